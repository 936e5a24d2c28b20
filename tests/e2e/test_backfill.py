"""Control planes that were there before the program: one pass annotates and trusts them, and costs few calls."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from rig.kubernetes import objects
from rig.space import Space
from rig.waiting import eventually
from tests.e2e.observe import annotation, foreign_parts, is_trusted, kubernetes_events, log_events
from tests.e2e.scenes import LARGE_QUOTA, bare_space, create_account, create_namespace
from tests.proof.records import Record

ALL = 300
FOREIGN = "arn:aws:iam::123456789012:role/somebody-elses"
WITH_FOREIGN_ROLE = 20
WITH_POD = 5
ROLES = ("mxp-backup", "mxp-archive")


@pytest.mark.rig
@pytest.mark.timeout(300)
def test_control_planes_from_before_are_taken_up_by_one_pass_with_few_calls(record: Record) -> None:
    with bare_space(quota=LARGE_QUOTA, roles=ROLES) as space:
        wishes = [FOREIGN] * WITH_FOREIGN_ROLE + [*space.roles, None, None] * ((ALL - WITH_FOREIGN_ROLE) // 4)

        def make(wish: str | None) -> str:
            namespace = create_namespace(space)
            create_account(space, namespace, wish)
            return namespace

        with ThreadPoolExecutor(16) as threads:
            names = list(threads.map(make, wishes))
        unannotated = [name for name, wish in zip(names, wishes, strict=True) if wish is None]
        early = unannotated[:WITH_POD]
        space.cluster.create([objects.pod(name, "controller") for name in early])
        others = _others(space)

        webhook = space.start_webhook(space.configuration(reconciler={"interval": "10m"}))
        eventually(lambda: webhook.metrics().total("mxp_identity_pass_duration_seconds_count"), "a pass")
        wanted = ALL - WITH_FOREIGN_ROLE
        eventually(lambda: webhook.metrics().total("mxp_identity_trust_subjects") == wanted, "trust", timeout=60)
        late = "mxp_identity_service_accounts_annotated_late_total"
        eventually(lambda: webhook.metrics().total(late) == len(unannotated), "annotations", timeout=60)
        eventually(lambda: len(log_events(webhook, "pod_without_identity")) == WITH_POD, "the early pods")

        assert webhook.metrics().total("mxp_identity_pass_duration_seconds_count") == 1
        documents = {role: len(space.aws.history(role)) - 1 for role in ROLES}
        asked = {role: _calls_on(space, role) for role in ROLES}
        assert all(0 < documents[role] <= 3 for role in ROLES), "hundreds share a document"
        assert all(asked[role] <= 3 * documents[role] for role in ROLES), (asked, documents)
        with ThreadPoolExecutor(16) as threads:
            found = list(threads.map(lambda name: annotation(space, name), names))
            ours = [(name, role) for name, role in zip(names, found, strict=True) if role != FOREIGN]
            assert all(threads.map(lambda one: is_trusted(space, *one), ours)), (
                "each by the role it is annotated with"
            )
        assert [one for one, wish in zip(found, wishes, strict=True) if wish] == [wish for wish in wishes if wish]
        assert set(found) == {FOREIGN, *space.roles}
        assert _others(space) == others
        eventually(lambda: kubernetes_events(space, early[0], "StartedWithoutIdentity"), "an Event")
        record(
            "control planes from before the program are taken up by one pass",
            service_accounts=ALL,
            annotated_late=len(unannotated),
            of_a_foreign_role_and_left_alone=WITH_FOREIGN_ROLE,
            roles=len(ROLES),
            documents_written=sum(documents.values()),
            IAM_calls_on_the_roles=sum(asked.values()),
        )


def _others(space: Space) -> list[Any]:
    """What is not ours in each role."""
    return [foreign_parts(space.aws.history(role)[-1].document) for role in ROLES]


def _calls_on(space: Space, role: str) -> int:
    """The reads and writes of a role's policy so far."""
    actions = {"GetRole", "UpdateAssumeRolePolicy"}
    return sum(call.role == role and call.action in actions for call in space.aws.log)
