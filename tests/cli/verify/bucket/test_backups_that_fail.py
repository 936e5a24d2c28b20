"""The identity is right and the backup fails: `verify` names the cause, and what it prints corrects it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from rig.backups import BackupError
from rig.kubernetes import objects
from rig.space import EKS_CLUSTER, Space
from tests.cli.commands import Person, run_as_printed
from tests.cli.verify.bucket.planes import ACTIONS, Plane, person_of, planes_of, serving_backups
from tests.support.variants import variants

pytestmark = pytest.mark.rig

MOST_FIXES = 4
"""Some things only show once others are corrected."""

AGENT = "/apis/apps/v1/namespaces/kube-system/daemonsets/eks-pod-identity-agent"
LOOKED_AT = {"backup-config", "bucket", "agent"}


def _remove_config(plane: Plane) -> None:
    plane.space.cluster.api.delete(plane.config_path)


def _another_bucket(plane: Plane) -> None:
    plane.space.aws.add_bucket(f"other-{plane.number}")
    plane.configure(bucket=f"other-{plane.number}")


def _another_prefix(plane: Plane) -> None:
    plane.allow(*ACTIONS, prefix="prod/")
    plane.configure(prefix="test")


def _without(action: str) -> Callable[[Plane], None]:
    return lambda plane: plane.allow(*(one for one in ACTIONS if one != action))


USE = {"Effect": "Allow", "Action": "kms:*", "Resource": "*"}
ACCOUNT = {**USE, "Principal": {"AWS": "arn:aws:iam::123456789012:root"}}
ADMIN = {**ACCOUNT, "Principal": {"AWS": "arn:aws:iam::123456789012:user/admin"}}


@dataclass(frozen=True)
class Case:
    """How the way to the bucket is broken, the finding that names it, and the bucket that a person names."""

    spoil: Callable[[Plane], object]
    check: str
    words: str
    wanted: bool = False


def _denied(kind: str, action: str, *, explicit: bool = False) -> str:
    if explicit:
        return f"with an explicit deny in a {kind}"
    return f"because no {kind} allows the {action} action"


CASES: dict[str, Case] = {
    "no configuration": Case(_remove_config, "backup-config", "has no SharedBackupConfig", wanted=True),
    "credentials of a Secret": Case(
        lambda plane: plane.configure(credentials={"source": "Secret", "secretRef": {"name": "keys"}}),
        "backup-config",
        "takes its credentials from a Secret",
    ),
    "a bucket that is not there": Case(
        lambda plane: plane.configure(bucket="my-backupps"),
        "backup-config",
        "names bucket my-backupps",
        wanted=True,
    ),
    "a bucket of another purpose": Case(
        _another_bucket, "bucket", _denied("identity-based policy", "s3:PutObject")
    ),
    "another region": Case(
        lambda plane: plane.configure(config={"region": "eu-west-1", "endpoint": "s3.eu-west-1.amazonaws.com"}),
        "backup-config",
        "names region eu-west-1, but bucket",
    ),
    "a prefix that the role does not allow": Case(
        _another_prefix, "bucket", _denied("identity-based policy", "s3:PutObject")
    ),
    **{
        f"without {action}": Case(_without(action), "bucket", _denied("identity-based policy", action))
        for action in ACTIONS
    },
    "a key that the role does not allow": Case(
        lambda plane: plane.encrypt(ACCOUNT), "bucket", _denied("identity-based policy", "kms:GenerateDataKey")
    ),
    "a key whose policy does not name the account": Case(
        lambda plane: plane.encrypt(ADMIN), "bucket", _denied("resource-based policy", "kms:GenerateDataKey")
    ),
    "a Deny in the bucket policy": Case(
        Plane.forbid,
        "bucket",
        _denied("resource-based policy", "", explicit=True),
    ),
    "a narrow endpoint policy": Case(
        Plane.narrow_the_endpoint, "bucket", _denied("VPC endpoint policy", "s3:PutObject")
    ),
    "a permissions boundary": Case(
        lambda plane: plane.bound_by("sts:*"), "bucket", _denied("permissions boundary", "s3:PutObject")
    ),
}
FEW = (
    "credentials of a Secret", "a Deny in the bucket policy", "a narrow endpoint policy",
)  # fmt: skip
ASSOCIATED = len(CASES)
"""The number of the control plane in mode pod-identity."""


MODES = [*["irsa"] * ASSOCIATED, "pod-identity"]


@pytest.fixture(scope="module")
def space() -> Iterator[Space]:
    with serving_backups(len(MODES)) as running:
        yield running


@pytest.fixture(scope="module")
def person(space: Space) -> Person:
    return person_of(space, MODES)


@pytest.fixture(scope="module")
def planes(space: Space, person: Person) -> list[Plane]:
    """A control plane for each case, whose backups work; the last one is in mode pod-identity."""
    return planes_of(space, person, len(MODES))


@pytest.fixture(autouse=True)
def _no_endpoint(space: Space) -> Iterator[None]:
    """A VPC endpoint is there for one test: it is every control plane's."""
    yield
    space.aws.endpoints.clear()


@pytest.mark.parametrize("name", variants(CASES, *FEW))
def test_a_backup_that_fails_is_named_and_works_after_what_is_printed(
    planes: list[Plane], person: Person, name: str, tmp_path: Path
) -> None:
    plane, case = planes[list(CASES).index(name)], CASES[name]
    others = {"theirs": b"of another control plane"}
    plane.space.aws.bucket(plane.bucket).objects.update(others)
    plane.back_up()
    assert _broken(person, plane, case) == []

    case.spoil(plane)
    with pytest.raises((BackupError, ClientError)):
        plane.back_up()
    found = _broken(person, plane, case)
    assert any(one["check"] == case.check and case.words in one["message"] for one in found), found
    assert {one["check"] for one in found} <= LOOKED_AT, "the identity is right"

    for _ in range(MOST_FIXES):
        for finding in found:
            assert finding["fix"], finding
            run_as_printed(finding["fix"], person.environment, tmp_path)
        found = _broken(person, plane, case)
        if not found:
            break
    assert found == []
    plane.back_up()
    left = plane.space.aws.bucket(plane.bucket).objects
    assert {key for key in left if "verify" in key} == set(), "no probe is left"
    assert left["theirs"] == others["theirs"]


def test_without_the_agent_pods_get_no_credentials_and_the_add_on_is_named(
    space: Space, planes: list[Plane], person: Person, tmp_path: Path
) -> None:
    plane = planes[ASSOCIATED]
    plane.start()
    assert _broken(person, plane) == []
    assert "AssumeRoleForPodIdentity" in {record.action for record in space.aws.log}, "by the pod's own token"

    space.cluster.api.delete(AGENT)
    (found,) = _broken(person, plane)
    assert (found["check"], "has no DaemonSet eks-pod-identity-agent" in found["message"]) == ("agent", True)
    run_as_printed(found["fix"], person.environment, tmp_path)
    assert space.aws.addons(EKS_CLUSTER) == ("eks-pod-identity-agent",)
    space.cluster.apply([objects.agent()])  # as EKS does for the add-on
    assert _broken(person, plane) == []


def _broken(person: Person, plane: Plane, case: Case | None = None) -> list[dict[str, Any]]:
    wanted: Sequence[str] = [plane.bucket] if case and case.wanted else []
    answer = person("verify", "--namespace", plane.namespace, "--assume", "--bucket", *wanted, "-o", "json")
    assert answer.out, answer.err
    (found,) = answer.document["controlPlanes"]
    findings: list[dict[str, Any]] = found["findings"]
    assert {one["level"] for one in findings if one["check"] == "sts"} <= {"ok", "note"}
    assert [one for one in findings if one["level"] == "unknown"] == []
    return [one for one in findings if one["level"] == "broken"]
