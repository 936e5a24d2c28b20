"""`verify` goes to the bucket of a control plane: what it says before it writes, and what it never touches."""

import signal
from collections.abc import Iterator
from typing import Any

import pytest

from rig.aws.faults import Hang
from rig.kubernetes.objects import GROUP_LABEL
from rig.space import Space
from tests.cli.commands import Person, Ran, start
from tests.cli.verify.bucket.planes import ACTIONS, Plane, person_of, planes_of, serving_backups
from tests.e2e.scenes import label

pytestmark = pytest.mark.rig

TRY = ("--assume", "--bucket")


@pytest.fixture(scope="module")
def space() -> Iterator[Space]:
    with serving_backups(1) as running:
        yield running


@pytest.fixture(scope="module")
def person(space: Space) -> Person:
    return person_of(space, ["irsa"])


@pytest.fixture(scope="module")
def _plane(space: Space, person: Person) -> Plane:
    (made,) = planes_of(space, person, 1)
    return made


@pytest.fixture
def plane(_plane: Plane) -> Iterator[Plane]:
    """One whose backups work, afterwards as it was."""
    _plane.space.aws.forget_calls()
    yield _plane
    _plane.allow(*ACTIONS)
    label(_plane.space, _plane.namespace, {GROUP_LABEL: _plane.group})
    bucket = _plane.space.aws.bucket(_plane.bucket)
    bucket.versioned, bucket.lock = False, 0


def _findings(answer: Ran, check: str) -> list[dict[str, Any]]:
    assert answer.out, answer.err
    (found,) = answer.document["controlPlanes"]
    return [one for one in found["findings"] if one["check"] == check]


def test_it_says_beforehand_what_stays_on_a_versioned_and_locked_bucket(plane: Plane, person: Person) -> None:
    bucket = plane.space.aws.bucket(plane.bucket)
    bucket.versioned, bucket.lock = True, 30
    answer = person("verify", "--namespace", plane.namespace, *TRY, "-o", "json")
    said = "a version and two delete markers of each probe stay, the version locked (GOVERNANCE, 30 days)"
    assert f"bucket {plane.bucket} keeps versions: {said}" in answer.err
    assert [is_marker for _, is_marker in bucket.versions] == [True, False, True]
    actions = [record.action for record in plane.space.aws.log]
    assert actions.index("GetObjectLockConfiguration") < actions.index("PutObject")


def test_ctrl_c_leaves_no_object(plane: Plane, person: Person) -> None:
    aws, objects = plane.space.aws, plane.space.aws.bucket(plane.bucket).objects
    with aws.fault(Hang(actions=("GetObject",))):
        options = ("--config", str(person.file), "--namespace", plane.namespace, *TRY)
        process = start("verify", *options, env=person.environment)
        aws.wait_until(lambda: "GetObject" in aws.in_flight, timeout=60)
        assert len(objects) == 1
        process.send_signal(signal.SIGINT)
    _, printed = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in printed
    assert objects == {}


def test_nothing_is_tried_where_the_group_is_unknown(plane: Plane, person: Person) -> None:
    label(plane.space, plane.namespace, {GROUP_LABEL: None})
    answer = person("verify", "--namespace", plane.namespace, *TRY, "-o", "json")
    (found,) = _findings(answer, "bucket")
    assert (found["level"], "so its prefix is not known" in found["message"]) == ("unknown", True)
    assert plane.space.aws.count("PutObject") == plane.space.aws.count("DeleteObject") == 0


def test_without_assume_iam_is_asked_and_s3_is_not_written(plane: Plane, person: Person) -> None:
    plane.allow("s3:ListBucket", "s3:GetObject")
    answer = person("verify", "--namespace", plane.namespace, "-o", "json")
    (found,) = _findings(answer, "bucket")
    place = f"s3://{plane.bucket}/{plane.group}/orders/"
    assert found["message"] == f"no policy of mxp-0 allows s3:PutObject, s3:DeleteObject in {place}"
    assert "--policy-name backups-in-backups-0" in found["fix"]
    assert {record.action for record in plane.space.aws.log if record.service == "s3"} == {"HeadBucket"}


def test_a_bucket_that_there_is_not_is_a_wrong_call(plane: Plane, person: Person) -> None:
    answer = person("verify", "--namespace", plane.namespace, *TRY, "my-backupps")
    assert (answer.code, answer.out) == (2, "")
    assert answer.err.endswith("Error: there is no bucket my-backupps: correct --bucket\n")
