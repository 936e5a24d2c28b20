"""Associations of the one cluster that is ours: each error of EKS has a kind, and no other cluster gets a call."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from rig.aws import AwsStandIn, Deny, FailAfterwards, Hang, LoseAnswer, Refuse, Throttle
from tests.aws.conftest import Program, always, use
from tests.support.pods import CLUSTER, OWN, OWNER, PODS
from tests.support.sites import ELSEWHERE, ISSUER, role, subject
from webhook.aws.association_tags import AssociationTags
from webhook.aws.associations import EksAssociations
from webhook.aws.cluster import ClusterCheck
from webhook.aws.trust_policies import IamTrustPolicies
from webhook.model.aws_errors import FailureKind
from webhook.model.names import ClusterArn, RoleArn
from webhook.podidentity.association import Listing
from webhook.podidentity.ports import AssociationInUseError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

    from rig.aws import Fault
    from webhook.model.names import IssuerUrl

PODS_ROLE = role("pods")
SUBJECT = subject(1)
TAGS = OWNER.tags()
ADDON = "arn:aws:eks:us-west-2:123456789012:addon/spaces-prod/velero/1"
CALLS = {"Create", "Describe", "List", "Update", "Delete"}


@pytest.fixture(scope="module")
def aws() -> Iterator[AwsStandIn]:
    """A stand-in of its own: what one test makes is no business of the next."""
    with AwsStandIn() as server:
        yield server


@pytest.fixture(autouse=True)
def _clean(aws: AwsStandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, aws.environment())
    aws.clear_faults()
    aws.association_quota = 5000
    for name, issuer in ((CLUSTER.name, ISSUER), ("elsewhere", ELSEWHERE)):
        aws.add_cluster(name, issuer.value)
    iam, eks = aws.admin_client("iam"), aws.admin_client("eks")
    document = json.dumps({"Version": "2012-10-17", "Statement": [PODS.render()]})
    if PODS_ROLE.name not in {one["RoleName"] for one in iam.list_roles()["Roles"]}:
        iam.create_role(RoleName=PODS_ROLE.name, AssumeRolePolicyDocument=document)
        iam.create_role(RoleName="other", AssumeRolePolicyDocument=document)
    for one in aws.associations(CLUSTER.name):
        eks.delete_pod_identity_association(clusterName=CLUSTER.name, associationId=one.id)
    aws.forget_calls()


class Eks(Program):
    """What the program has of EKS."""

    def __init__(self, arn: ClusterArn = CLUSTER, issuer: IssuerUrl = ISSUER) -> None:
        super().__init__()
        self.cluster = ClusterCheck(self.calls, self.caller, arn, lambda: issuer)
        self.associations = EksAssociations(self.calls, self.cluster)
        self.tags = AssociationTags(self.calls, self.cluster, arn)

    def create(self, number: int = 1, one: RoleArn = PODS_ROLE) -> Callable[[], Coroutine[Any, Any, Any]]:
        """Making the association of a subject."""
        return lambda: self.associations.create(subject(number), one, TAGS)


@pytest.fixture
def eks() -> Iterator[Eks]:
    program = Eks()
    yield program
    program.calls.close()


def test_what_was_made_is_described_and_listed(eks: Eks, aws: AwsStandIn) -> None:
    made = eks.run(eks.create())
    found = eks.run(lambda: eks.associations.describe(made.id))
    assert found == made
    assert (found.subject, found.role, dict(found.tags)) == (SUBJECT, PODS_ROLE.value, TAGS)
    assert (found.session_tags, found.owner_arn, found.target_role) == (True, None, None)
    assert OWNER.owns(found)
    assert eks.run(eks.associations.list) == Listing({SUBJECT: made.id})
    aws.give_to_addon(CLUSTER.name, made.id, ADDON)
    assert eks.run(eks.associations.list) == Listing({SUBJECT: made.id}, frozenset({made.id}))
    assert eks.run(lambda: eks.associations.describe(made.id)).owner_arn == ADDON


def test_a_long_list_is_read_to_its_end(eks: Eks, aws: AwsStandIn) -> None:
    client = aws.admin_client("eks")
    for number in range(250):
        client.create_pod_identity_association(
            clusterName=CLUSTER.name,
            namespace=subject(number).namespace,
            serviceAccount=SUBJECT.service_account,
            roleArn=PODS_ROLE.value,
        )
    aws.forget_calls()
    assert len(eks.run(eks.associations.list).ids) == 250
    assert aws.count("ListPodIdentityAssociations") == 3


def test_one_is_looked_for_with_one_call_however_many_there_are(eks: Eks, aws: AwsStandIn) -> None:
    made = [eks.run(eks.create(number)) for number in range(3)]
    aws.forget_calls()
    assert eks.run(lambda: eks.associations.list(subject(1))) == Listing({subject(1): made[1].id})
    assert eks.run(lambda: eks.associations.list(subject(9))) == Listing()
    assert aws.count("ListPodIdentityAssociations") == 2


def test_an_update_gives_another_role_with_session_tags(eks: Eks, aws: AwsStandIn) -> None:
    made = eks.run(eks.create())
    aws.admin_client("eks").update_pod_identity_association(
        clusterName=CLUSTER.name, associationId=made.id, disableSessionTags=True
    )
    eks.run(lambda: eks.associations.update(made.id, role("other")))
    (found,) = aws.associations(CLUSTER.name)
    assert (found.role_arn, found.disable_session_tags) == (role("other").value, False)


def test_tags_are_added_and_removed_and_others_stay(eks: Eks, aws: AwsStandIn) -> None:
    made = eks.run(eks.create())
    eks.run(lambda: eks.tags.add(made.id, {"team": "backup"}))
    for _ in range(2):
        eks.run(lambda: eks.tags.remove(made.id, list(TAGS)))
    (found,) = aws.associations(CLUSTER.name)
    assert found.tags == {"team": "backup"}
    eks.run(lambda: eks.associations.delete(made.id))
    eks.run(lambda: eks.tags.remove(made.id, list(TAGS)))
    assert eks.refused(lambda: eks.tags.add(made.id, TAGS)).kind is FailureKind.NOT_FOUND


def test_what_was_deleted_is_gone_and_may_be_gone_already(eks: Eks) -> None:
    made = eks.run(eks.create())
    for _ in range(2):
        eks.run(lambda: eks.associations.delete(made.id))
    assert eks.run(lambda: eks.associations.describe(made.id)) is None


# Each error of the model


def test_in_use_says_by_which(eks: Eks) -> None:
    made = eks.run(eks.create())
    refusal = eks.refused(eks.create())
    assert isinstance(refusal, AssociationInUseError)
    assert refusal.association_id == made.id


def test_a_full_cluster_is_final(eks: Eks, aws: AwsStandIn) -> None:
    aws.association_quota = 0
    refusal = eks.refused(eks.create())
    assert refusal.kind is FailureKind.FULL
    assert refusal.kind.is_final


def test_a_role_that_is_not_there_or_lets_eks_in_no_more_may_be_accepted_soon(eks: Eks) -> None:
    refusal = eks.refused(eks.create(one=role("missing")))
    assert (refusal.kind, refusal.kind.passes_soon) == (FailureKind.ROLE_NOT_ACCEPTED, True)
    assert "Role provided in the request does not exist" in str(refusal)


def test_an_update_of_what_is_gone_is_not_found(eks: Eks) -> None:
    refusal = eks.refused(lambda: eks.associations.update("a-0123456789abcdefg", PODS_ROLE))
    assert refusal.kind is FailureKind.NOT_FOUND


KINDS: list[tuple[Fault, FailureKind, str]] = [
    (Deny(), FailureKind.ACCESS_DENIED, "not authorized to perform"),
    (Throttle(rate=0.001, burst=0.5), FailureKind.THROTTLED, "Rate exceeded"),
    (Refuse(code="ServerException", status=500), FailureKind.UNAVAILABLE, "ServerException"),
    (Refuse(code="InvalidRequestException", status=400), FailureKind.MALFORMED, "InvalidRequestException"),
    (Refuse(code="ServiceUnavailableException", status=503), FailureKind.UNAVAILABLE, "ServiceUnavailable"),
    (FailAfterwards(code="ServerException"), FailureKind.UNAVAILABLE, "ServerException"),
    (LoseAnswer(), FailureKind.UNAVAILABLE, ""),
    (Hang(), FailureKind.UNAVAILABLE, "timed out"),
]


@pytest.mark.parametrize(("fault", "kind", "words"), KINDS, ids=lambda value: type(value).__name__)
def test_what_eks_says_has_a_kind_and_its_own_words(
    eks: Eks, aws: AwsStandIn, fault: Fault, kind: FailureKind, words: str
) -> None:
    eks.run(eks.cluster.confirm)
    with aws.fault(fault):
        refusal = eks.refused(eks.create())
    assert refusal.kind is kind
    assert words in str(refusal)


# Which cluster


def test_the_cluster_is_asked_for_once(eks: Eks, aws: AwsStandIn) -> None:
    eks.run(eks.create(1), eks.create(2), eks.associations.list)
    assert aws.count("DescribeCluster") == 1


WRONG: dict[str, tuple[str, FailureKind, str]] = {
    "another cluster's name": ("elsewhere", FailureKind.NOT_ALLOWED, "names another cluster"),
    "an unknown name": ("nowhere", FailureKind.NO_SUCH_CLUSTER, "correct cluster.name"),
}


@pytest.mark.parametrize("case", WRONG)
def test_under_a_wrong_name_nothing_is_made_and_no_role_is_touched(aws: AwsStandIn, case: str) -> None:
    name, kind, words = WRONG[case]
    program = Eks(ClusterArn(CLUSTER.value.replace(CLUSTER.name, name)))
    policies = IamTrustPolicies(program.calls, program.cluster, program.quota)
    attempts: list[Callable[[], Coroutine[Any, Any, Any]]] = [
        program.create(),
        program.associations.list,
        lambda: program.associations.describe("a-1"),
        lambda: program.associations.update("a-1", PODS_ROLE),
        lambda: program.associations.delete("a-1"),
        lambda: policies.read(PODS_ROLE),
    ]
    for attempt in attempts:
        refusal = program.refused(attempt)
        assert refusal.kind is kind
        assert words in str(refusal)
    program.calls.close()
    assert {record.action for record in aws.log} <= {"DescribeCluster", "GetCallerIdentity"}


def test_while_eks_does_not_say_which_cluster_it_is_nothing_is_made(eks: Eks, aws: AwsStandIn) -> None:
    with aws.fault(Refuse(code="ServerException", actions=("DescribeCluster",))):
        assert eks.refused(eks.create()).kind is FailureKind.UNAVAILABLE
    eks.run(eks.create())
    assert len(aws.associations(CLUSTER.name)) == 1


def test_a_role_of_the_cluster_is_read_and_written_as_any_other(eks: Eks) -> None:
    policies = IamTrustPolicies(eks.calls, eks.cluster, eks.quota)
    policy = eks.run(lambda: policies.read(PODS_ROLE))
    eks.run(lambda: policies.write(PODS_ROLE, policy.with_subjects(OWN, [SUBJECT]), always))
    assert eks.run(lambda: policies.read(PODS_ROLE)).subjects(OWN) == {SUBJECT}
