"""Control planes that were there before the program: one pass annotates and trusts them, and costs few calls."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from rig.kubernetes import objects
from rig.waiting import eventually
from tests.e2e.observe import annotation, external_parts, kubernetes_events, log_events
from tests.e2e.scenes import LARGE_QUOTA, bare_space, create_account, create_namespace
from tests.proof.records import Record

ALL = 300
EXTERNAL = "arn:aws:iam::123456789012:role/external"
WITH_EXTERNAL_ROLE = 20
WITH_POD = 5


@pytest.mark.rig
@pytest.mark.timeout(300)
def test_control_planes_from_before_are_taken_up_by_one_pass_with_few_calls(record: Record) -> None:
    with bare_space(quota=LARGE_QUOTA) as space:
        role = space.roles[0]
        wishes = [EXTERNAL] * WITH_EXTERNAL_ROLE + [role, None] * ((ALL - WITH_EXTERNAL_ROLE) // 2)

        def make(wish: str | None) -> str:
            namespace = create_namespace(space)
            create_account(space, namespace, wish)
            return namespace

        with ThreadPoolExecutor(16) as threads:
            names = list(threads.map(make, wishes))
        unannotated = [name for name, wish in zip(names, wishes, strict=True) if wish is None]
        early = unannotated[:WITH_POD]
        space.cluster.create([objects.pod(name, "controller") for name in early])
        others = external_parts(space.aws.history("mxp-backup")[-1].document)

        webhook = space.start_webhook(space.configuration(reconciler={"interval": "10m"}))
        eventually(lambda: webhook.metrics().total("mxp_identity_pass_duration_seconds_count"), "a pass")
        wanted = ALL - WITH_EXTERNAL_ROLE
        eventually(lambda: webhook.metrics().total("mxp_identity_trust_subjects") == wanted, "trust", timeout=60)
        late = "mxp_identity_service_accounts_annotated_late_total"
        eventually(lambda: webhook.metrics().total(late) == len(unannotated), "annotations", timeout=60)
        eventually(lambda: len(log_events(webhook, "pod_without_identity")) == WITH_POD, "the early pods")

        assert webhook.metrics().total("mxp_identity_pass_duration_seconds_count") == 1
        with ThreadPoolExecutor(16) as threads:
            found = list(threads.map(lambda name: annotation(space, name), names))
        assert found == [EXTERNAL] * WITH_EXTERNAL_ROLE + [role] * wanted
        assert external_parts(space.aws.history("mxp-backup")[-1].document) == others
        calls, documents = space.aws.calls, len(space.aws.history("mxp-backup")) - 1
        asked = sum(number for (call, _), number in calls.items() if call in {"GetRole", "UpdateAssumeRolePolicy"})
        assert asked <= 3 * documents
        assert documents <= 3, "hundreds share a document"
        eventually(lambda: kubernetes_events(space, early[0], "StartedWithoutIdentity"), "an Event")
        record(
            "control planes from before the program are taken up by one pass",
            service_accounts=ALL,
            annotated_late=len(unannotated),
            of_an_external_role_and_left_alone=WITH_EXTERNAL_ROLE,
            documents_written=documents,
            IAM_calls_on_the_role=asked,
        )
