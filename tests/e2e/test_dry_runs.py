"""A dry run shows what would be, and nothing is: no call to AWS for trust, no write to the cluster."""

import json
from collections.abc import Iterator

import pytest
import yaml

from rig.aws.faults import Deny
from rig.kubernetes import objects
from rig.space import Space
from rig.waiting import eventually
from tests.e2e.observe import (
    annotation,
    audit_annotations,
    audit_event,
    is_trusted,
    kubernetes_events,
    writes_of_the_program,
)
from tests.e2e.rights import without_cluster_right
from tests.e2e.scenes import (
    ROLE_ANNOTATION,
    account_path,
    bare_space,
    create_account,
    create_namespace,
    kubectl_create,
    serving,
)

DRY_RUN = ("--dry-run=server", "-o", "yaml")


@pytest.fixture(scope="module")
def dry_space() -> Iterator[Space]:
    with bare_space() as space:
        yield space


@pytest.mark.rig
def test_a_dry_run_shows_the_annotation_and_asks_aws_for_nothing(dry_space: Space) -> None:
    """The program's watch of namespaces is cut off here, so that only a review can make it ask for trust."""
    space = dry_space
    with without_cluster_right(space, "namespaces", "watch"), serving(space):
        asked = ("GetCallerIdentity", "GetOpenIDConnectProvider", "GetRole")
        space.aws.wait_until(lambda: all(map(space.aws.count, asked)) and not space.aws.in_flight)
        namespace, other = create_namespace(space), create_namespace(space)
        before, writes = space.aws.calls, writes_of_the_program(space)

        printed, warnings = kubectl_create(space, objects.service_account(namespace), *DRY_RUN)

        assert yaml.safe_load(printed)["metadata"]["annotations"][ROLE_ANNOTATION] == space.roles[0]
        assert not warnings
        assert audit_annotations(audit_event(space, namespace))["trust"] == "not-asked"
        create_account(space, other)  # a real one asks at once: had the dry run asked, it would show by now
        assert is_trusted(space, other)
        subject = f"system:serviceaccount:{namespace}:"
        assert not [write for write in space.aws.history("mxp-backup") if subject in write.document]
        more = space.aws.calls - before
        assert more["UpdateAssumeRolePolicy", "OK"] == 1, "one for the real ServiceAccount"
        assert writes_of_the_program(space) == writes


@pytest.mark.rig
def test_a_dry_run_writes_no_event_where_a_real_one_does(dry_space: Space) -> None:
    space = dry_space
    with serving(space), space.aws.fault(Deny()):
        namespace = create_namespace(space)
        writes = writes_of_the_program(space)
        _, warnings = kubectl_create(space, objects.service_account(namespace), *DRY_RUN)
        assert not warnings, "a dry run does not wait for AWS, and has nothing to complain of"
        assert audit_annotations(audit_event(space, namespace))["trust"] == "not-asked"

        other = create_namespace(space)
        create_account(space, other)
        eventually(lambda: kubernetes_events(space, other, "TrustPending"), "an Event about the real one")
        assert not kubernetes_events(space, namespace, "TrustPending")
        more = writes_of_the_program(space)[len(writes) :]
        assert [write.split("?")[0] for write in more] == [f"create /api/v1/namespaces/{other}/events"]


@pytest.mark.rig
def test_a_dry_run_of_an_update_that_strips_the_annotation_shows_it_again(dry_space: Space) -> None:
    space = dry_space
    with serving(space):
        namespace = create_namespace(space)
        create_account(space, namespace)
        strip = {"metadata": {"annotations": {ROLE_ANNOTATION: None}}}
        stripped = space.cluster.api.patch(account_path(namespace), strip, dryRun="All")
        assert stripped["metadata"]["annotations"][ROLE_ANNOTATION] == space.roles[0], json.dumps(stripped)
        assert annotation(space, namespace) == space.roles[0]
