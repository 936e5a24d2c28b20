"""A table of what EKS says and what people do about associations, each with what a careful operator would want."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import botocore.session
import pytest

from rig.aws.faults import Deny, FailAfterwards, Fault, Hang, LoseAnswer, Refuse, Stale, Throttle
from rig.space import EKS_CLUSTER, Space
from rig.waiting import eventually
from rig.webhook import Webhook
from tests.e2e.observe import audit_annotations, audit_event, kubernetes_events, log_events
from tests.e2e.pod_identity import OFTEN, associated, association, make_by_hand, serving_pods, stays
from tests.e2e.scenes import bare_space, create_account, create_namespace

pytestmark = pytest.mark.rig

CREATE = ("CreatePodIdentityAssociation",)
ADDON = "arn:aws:eks:us-west-2:123456789012:addon/spaces-prod/velero/1"
PODS_TRUST = (
    '{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"Service":"pods.eks.amazonaws.com"},'
    '"Action":["sts:AssumeRole","sts:TagSession"]}}'
)


@pytest.fixture(scope="module")
def space() -> Iterator[Space]:
    with bare_space(eks_lag=0) as running:
        iam = running.aws.admin_client("iam")
        iam.create_role(RoleName="theirs", AssumeRolePolicyDocument=PODS_TRUST)
        yield running


@pytest.fixture(scope="module")
def webhook(space: Space) -> Iterator[Webhook]:
    with serving_pods(space, reconciler=OFTEN) as running:
        associated(space, create_namespace(space))
        yield running


@pytest.fixture(autouse=True)
def _no_faults(space: Space) -> Iterator[None]:
    yield
    space.aws.clear_faults()
    space.aws.association_quota = 5000


# What EKS says: the ServiceAccount is created in time all the same, people are told, and it heals alone.


@dataclass(frozen=True)
class Refusal:
    """What EKS answers, the audit annotation's name for it, and words that people read."""

    fault: Fault
    trust: str
    says: str


def says(code: str, status: int, message: str = "no") -> Fault:
    return Refuse(code=code, status=status, message=message, actions=CREATE)


REFUSALS = {
    "ResourceNotFoundException": Refusal(
        says("ResourceNotFoundException", 404), "no_such_cluster", "ResourceNotFoundException"
    ),
    "InvalidParameterException": Refusal(
        says("InvalidParameterException", 400, "Trust policy of the role provided in the request is invalid"),
        "role_not_accepted",
        "Trust policy of the role",
    ),
    "InvalidRequestException": Refusal(
        says("InvalidRequestException", 400), "malformed", "InvalidRequestException"
    ),
    "ResourceLimitExceededException": Refusal(
        says("ResourceLimitExceededException", 400), "full", "ResourceLimitExceededException"
    ),
    "ResourceInUseException by one that cannot be seen": Refusal(
        says("ResourceInUseException", 409, "Association already exists: a-0123456789abcdefg"),
        "unavailable",
        "cannot be described yet or any more",
    ),
    "ServerException": Refusal(says("ServerException", 500), "unavailable", "ServerException"),
    "AccessDeniedException": Refusal(Deny(actions=CREATE), "access_denied", "AccessDeniedException"),
    "ThrottlingException": Refusal(Throttle(rate=0, burst=0, actions=CREATE), "throttled", "ThrottlingException"),
    "no answer": Refusal(Hang(actions=CREATE), "pending|unavailable", "not answered within|timed out"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_what_eks_refuses_is_told_and_heals_alone(space: Space, webhook: Webhook, case: str) -> None:
    refusal = REFUSALS[case]
    assert webhook.is_ready()
    with space.aws.fault(refusal.fault):
        namespace = create_namespace(space)
        reply = create_account(space, namespace)
        said = audit_annotations(audit_event(space, namespace))
        assert re.fullmatch(refusal.trust, said["trust"])
        assert re.search(refusal.says, said["reason"])
        assert any("is not associated with" in warning for warning in reply.warnings)
        told = eventually(lambda: kubernetes_events(space, namespace, "TrustPending"), "its owner is told")
        assert re.search(refusal.says, told[0]["message"])
        assert association(space, namespace) is None
    associated(space, namespace)


def test_the_table_has_every_error_that_eks_own_model_has_for_create() -> None:
    model = botocore.session.get_session().get_service_model("eks").operation_model(*CREATE)
    assert {shape.name for shape in model.error_shapes} <= {name.split(" ")[0] for name in REFUSALS}


BROKEN: dict[str, Fault] = {
    "an error after it was made": FailAfterwards(code="ServerException", actions=CREATE, times=1),
    "an answer that is lost": LoseAnswer(actions=CREATE, times=1),
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_was_made_in_spite_of_an_error_is_taken_for_ours(space: Space, webhook: Webhook, case: str) -> None:
    space.aws.switch_on(BROKEN[case])
    namespace = create_namespace(space)
    create_account(space, namespace)
    made = associated(space, namespace)
    trusted = eventually(lambda: log_events(webhook, "subject_trusted", namespace=namespace), "it is trusted")
    assert trusted[0]["outcome"] == "already"
    assert association(space, namespace) == made


@pytest.mark.proof
def test_where_reads_are_late_and_a_deletion_is_young_it_comes_in_time(space: Space, webhook: Webhook) -> None:
    assert webhook.is_ready()
    reads = ("ListPodIdentityAssociations", "DescribePodIdentityAssociation")
    space.aws.switch_on(Stale(seconds=2, actions=(*reads, *CREATE)))
    namespace = create_namespace(space)
    made = associated(space, namespace)
    space.aws.admin_client("eks").delete_pod_identity_association(clusterName=EKS_CLUSTER, associationId=made.id)
    again = eventually(lambda: _another(space, namespace, made.id), "it is made anew", timeout=60)
    assert again.role_arn == space.roles[0]


# What people do: what carries our tags is put right, and nothing else is touched.


@pytest.mark.proof
def test_a_role_changed_by_hand_is_put_right(space: Space, webhook: Webhook) -> None:
    namespace = create_namespace(space)
    made = associated(space, namespace)
    space.aws.admin_client("eks").update_pod_identity_association(
        clusterName=EKS_CLUSTER, associationId=made.id, roleArn=space.role_arn("theirs")
    )
    eventually(lambda: associated(space, namespace).role_arn == space.roles[0], "it is put right", timeout=60)
    eventually(lambda: log_events(webhook, "association_repaired", namespace=namespace), "it is told")


def by_another_installation(space: Space, namespace: str) -> None:
    cluster = space.aws.admin_client("eks").describe_cluster(name=EKS_CLUSTER)["cluster"]["arn"]
    tags = {"mxp-identity/cluster": cluster, "mxp-identity/installation": "canary"}
    make_by_hand(space, namespace, space.role_arn("theirs"), tags=tags)


def by_another_cluster(space: Space, namespace: str) -> None:
    tags = {
        "mxp-identity/cluster": "arn:aws:eks:us-west-2:123456789012:cluster/other",
        "mxp-identity/installation": "mxp-identity",
    }
    make_by_hand(space, namespace, space.role_arn("theirs"), tags=tags)


def by_an_addon(space: Space, namespace: str) -> None:
    made = make_by_hand(space, namespace, space.role_arn("theirs"))
    space.aws.give_to_addon(EKS_CLUSTER, made, ADDON)


THEIRS: dict[str, tuple[Callable[[Space, str], Any], str]] = {
    "made by hand": (
        lambda space, namespace: make_by_hand(space, namespace, space.role_arn("theirs")),
        "created externally",
    ),
    "of another installation": (by_another_installation, "of installation canary"),
    "of another cluster": (by_another_cluster, "in cluster arn:aws:eks:us-west-2:123456789012:cluster/other"),
    "owned by an add-on": (by_an_addon, f"of add-on {ADDON}"),
    "without session tags": (
        lambda space, namespace: make_by_hand(space, namespace, space.roles[0], disableSessionTags=True),
        "disables session tags",
    ),
}


@pytest.mark.parametrize("case", THEIRS)
def test_what_others_made_is_reported_and_left_as_it_is(space: Space, webhook: Webhook, case: str) -> None:
    make, words = THEIRS[case]
    namespace = create_namespace(space, selected=False)
    make(space, namespace)
    theirs = association(space, namespace)
    assert webhook.is_ready()
    _select(space, namespace)
    told = eventually(lambda: log_events(webhook, "not_associated", namespace=namespace), "it is reported")
    assert (told[0]["outcome"], words in told[0]["reason"]) == ("taken", True)
    reply = create_account(space, namespace)
    assert any("a person has to act" in warning for warning in reply.warnings)
    assert stays(lambda: association(space, namespace) == theirs)


def test_what_others_made_and_is_right_is_left_as_it_is_too(space: Space, webhook: Webhook) -> None:
    assert webhook.is_ready()
    namespace = create_namespace(space, selected=False)
    make_by_hand(space, namespace, space.roles[0])
    theirs = association(space, namespace)
    _select(space, namespace)
    assert not create_account(space, namespace).warnings
    assert stays(lambda: association(space, namespace) == theirs)


def test_once_there_is_room_it_is_made(space: Space, webhook: Webhook) -> None:
    assert webhook.is_ready()
    namespace = create_namespace(space, selected=False)
    made = make_by_hand(space, namespace, space.role_arn("theirs"))
    _select(space, namespace)
    eventually(lambda: log_events(webhook, "not_associated", namespace=namespace), "it is reported")
    space.aws.admin_client("eks").delete_pod_identity_association(clusterName=EKS_CLUSTER, associationId=made)
    ours = eventually(lambda: _another(space, namespace, made), "ours is made", timeout=60)
    assert ours.role_arn == space.roles[0]


def _another(space: Space, namespace: str, made: str) -> Any:
    found = association(space, namespace)
    return found if found and found.id != made else None


def _select(space: Space, namespace: str) -> None:
    labels = {"metadata": {"labels": {"internal.spaces.upbound.io/controlplane-name": "control-plane"}}}
    space.cluster.api.patch(f"/api/v1/namespaces/{namespace}", labels)
