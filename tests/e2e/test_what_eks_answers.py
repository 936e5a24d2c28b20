"""What EKS may answer to each call but Create, by its own model, and what a careful operator would want then.

Create has a table of its own, in test_associations_of_others.py.
"""

from collections.abc import Iterator

import botocore.session
import pytest

from rig.aws.faults import Fault, Refuse
from rig.space import EKS_CLUSTER, Space
from rig.waiting import eventually
from rig.webhook import Webhook
from tests.e2e.observe import log_events
from tests.e2e.pod_identity import associated, association, make_by_hand, serving_pods, stays
from tests.e2e.scenes import bare_space, create_account, create_namespace, label
from tests.support.variants import variants

pytestmark = pytest.mark.rig

GONE = "ResourceNotFoundException"
SELECTED: dict[str, str | None] = {"internal.spaces.upbound.io/controlplane-name": "control-plane"}
NOT_SELECTED: dict[str, str | None] = dict.fromkeys(SELECTED)
PODS_TRUST = (
    '{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"Service":"pods.eks.amazonaws.com"},'
    '"Action":["sts:AssumeRole","sts:TagSession"]}}'
)


def modelled(operation: str) -> list[str]:
    """The error codes that EKS's own model has for a call."""
    model = botocore.session.get_session().get_service_model("eks")
    return sorted(shape.name for shape in model.operation_model(operation).error_shapes)


def says(operation: str, code: str) -> Fault:
    """What EKS says to the program, and to no other caller."""
    status = 404 if code == GONE else 500
    return Refuse(code=code, status=status, message="no", actions=(operation,), caller="*:assumed-role/*")


@pytest.fixture(scope="module")
def space() -> Iterator[Space]:
    with bare_space(eks_lag=0) as running:
        iam = running.aws.admin_client("iam")
        iam.create_role(RoleName="theirs", AssumeRolePolicyDocument=PODS_TRUST)
        yield running


@pytest.fixture(scope="module")
def webhook(space: Space) -> Iterator[Webhook]:
    often = {"interval": "500ms", "pruneGrace": "5s", "maxRemovalFraction": 1.0}
    with serving_pods(space, reconciler=often) as running:
        plane(space)
        yield running


def plane(space: Space) -> str:
    """A control plane that is associated."""
    namespace = create_namespace(space)
    create_account(space, namespace)
    associated(space, namespace)
    return namespace


@pytest.mark.parametrize("code", variants(modelled("ListPodIdentityAssociations")))
def test_a_list_that_is_refused_is_reported_and_delays_no_association(
    space: Space, webhook: Webhook, code: str
) -> None:
    before = space.aws.associations(EKS_CLUSTER)
    with space.aws.fault(says("ListPodIdentityAssociations", code)):
        eventually(lambda: _told(webhook, "associations_not_listed", code), "it is told")
        plane(space)
        now = space.aws.associations(EKS_CLUSTER)
    assert now[: len(before)] == before, "what was there is as it was"
    assert len(now) == len(before) + 1


@pytest.mark.parametrize("code", variants(modelled("DescribePodIdentityAssociation")))
def test_what_cannot_be_described_is_neither_made_twice_nor_touched_and_is_judged_later(
    space: Space, webhook: Webhook, code: str
) -> None:
    namespace = create_namespace(space, selected=False)
    make_by_hand(space, namespace, space.role_arn("theirs"))
    theirs = association(space, namespace)
    words = "cannot be described yet or any more" if code == GONE else code
    with space.aws.fault(says("DescribePodIdentityAssociation", code)):
        label(space, namespace, SELECTED)
        create_account(space, namespace)
        eventually(lambda: _told(webhook, "not_associated", words, namespace), "it is told")
        assert stays(lambda: association(space, namespace) == theirs)
    eventually(lambda: _told(webhook, "not_associated", "created externally", namespace), "it is judged")
    assert association(space, namespace) == theirs


@pytest.mark.parametrize("code", variants(modelled("UpdatePodIdentityAssociation")))
def test_what_cannot_be_put_right_now_is_told_and_put_right_later(
    space: Space, webhook: Webhook, code: str
) -> None:
    namespace, theirs = plane(space), space.role_arn("theirs")
    made = associated(space, namespace)
    with space.aws.fault(says("UpdatePodIdentityAssociation", code)):
        space.aws.admin_client("eks").update_pod_identity_association(
            clusterName=EKS_CLUSTER, associationId=made.id, roleArn=theirs
        )
        eventually(lambda: _told(webhook, "not_associated", code, namespace), "it is told", timeout=90)
        assert associated(space, namespace).role_arn == theirs
    eventually(lambda: associated(space, namespace).role_arn == space.roles[0], "it is put right", timeout=90)
    assert associated(space, namespace).id == made.id


@pytest.mark.parametrize("code", variants(modelled("DeletePodIdentityAssociation")))
def test_what_cannot_be_deleted_now_goes_later(space: Space, webhook: Webhook, code: str) -> None:
    namespace = plane(space)
    event = "association_deleted" if code == GONE else "association_not_deleted"
    with space.aws.fault(says("DeletePodIdentityAssociation", code)):
        label(space, namespace, NOT_SELECTED)
        words = "" if code == GONE else code
        eventually(lambda: _told(webhook, event, words, namespace), "it is told", timeout=60)
        assert association(space, namespace), "it is there as long as EKS has it"
    eventually(lambda: association(space, namespace) is None, "it is deleted", timeout=60)


@pytest.mark.proof
@pytest.mark.parametrize("code", modelled("DescribeCluster"))
def test_while_eks_does_not_say_which_cluster_it_is_nothing_is_made(code: str) -> None:
    with bare_space(eks_lag=0) as space:
        space.aws.switch_on(says("DescribeCluster", code))
        replica = space.start_webhook(space.in_mode("pod-identity"), wait=False)
        if code == GONE:
            assert replica.process.wait(60) != 0
            assert "cluster.name" in replica.process.log_tail()
            return
        replica.wait_until_ready()
        eventually(lambda: _told(replica, "check_pending", code), "it is told")
        namespace = create_namespace(space)
        eventually(lambda: space.aws.count("DescribeCluster") > 1, "it is asked again")
        assert association(space, namespace) is None
        assert len(space.aws.history("mxp-backup")) == 1
        space.aws.clear_faults()
        associated(space, namespace)


def _told(webhook: Webhook, event: str, words: str, namespace: str | None = None) -> bool:
    about = {"namespace": namespace} if namespace else {}
    return any(words in str(line.get("reason", "")) for line in log_events(webhook, event, **about))
