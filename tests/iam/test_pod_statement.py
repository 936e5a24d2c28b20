"""The statement for pods: narrowed in all three ways, beside whatever else a policy says, and judged by others."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.iam.policies import (
    ISSUER,
    OWN,
    ROLE,
    external_documents,
    hand_edited_documents,
    shared_documents,
    stored_documents,
    subject_sets,
)
from webhook.cli.trust_statements import FIRST_OF_SETUP
from webhook.iam.external import denial_of_pods, effects_on_pod
from webhook.iam.statement import ACTIONS, SERVICE, OwnStatement, PodStatement
from webhook.iam.trust_policy import TrustPolicy, is_placeholder
from webhook.model.names import ClusterArn, Subject
from webhook.model.selectors import NamePattern

if TYPE_CHECKING:
    from rig.oracle import TrustOracle

CLUSTER = ClusterArn("arn:aws:eks:us-west-2:123456789012:cluster/spaces-prod")
OTHER_CLUSTER = ClusterArn("arn:aws:eks:us-west-2:123456789012:cluster/spaces-test")
PODS = PodStatement("mxp-identity", "backup", CLUSTER, "mxp-controller", NamePattern("mxp-*-system"))
MORE = PodStatement("mxp-identity", "velero", CLUSTER, "velero", NamePattern("velero"))
BOTH = OwnStatement.for_role(ROLE, ISSUER, "mxp-identity", (PODS, MORE))

any_document = st.one_of(external_documents, stored_documents, shared_documents, hand_edited_documents)


def lets_in(oracle: TrustOracle, document: dict[str, Any], cluster: ClusterArn, subject: Subject) -> bool:
    tags = {
        "eks-cluster-arn": cluster.value,
        "eks-cluster-name": cluster.name,
        "kubernetes-namespace": subject.namespace,
        "kubernetes-service-account": subject.service_account,
        "kubernetes-pod-name": "p",
        "kubernetes-pod-uid": "u",
    }
    context = {f"aws:RequestTag/{name}": [value] for name, value in tags.items()}
    return oracle.judge_service(document, service=SERVICE, actions=ACTIONS, context=context).allowed


CALLERS = list(
    product(
        (CLUSTER, OTHER_CLUSTER),
        (
            Subject(namespace, account)
            for namespace in ("mxp-a-system", "mxp--system", "mxp-a-systems", "xmxp-a-system", "velero", "default")
            for account in ("mxp-controller", "velero", "default")
        ),
    )
)


@pytest.mark.parametrize(("cluster", "subject"), CALLERS, ids=str)
def test_it_lets_in_the_bindings_pods_and_no_others(
    oracle: TrustOracle, cluster: ClusterArn, subject: Subject
) -> None:
    alone = {"Version": "2012-10-17", "Statement": [PODS.render()]}
    expected = (
        cluster == CLUSTER
        and subject.service_account == PODS.service_account
        and PODS.pattern.matches(subject.namespace)
    )
    assert lets_in(oracle, alone, cluster, subject) is expected


def test_the_only_wildcard_is_in_the_namespace_under_string_like() -> None:
    condition = PODS.render()["Condition"]
    assert condition == {
        "StringEquals": {
            "aws:RequestTag/kubernetes-service-account": "mxp-controller",
            "aws:RequestTag/eks-cluster-arn": CLUSTER.value,
        },
        "StringLike": {"aws:RequestTag/kubernetes-namespace": "mxp-*-system"},
    }


@given(any_document, subject_sets)
def test_it_stands_beside_everything_else(document: dict[str, Any], named: frozenset[Subject]) -> None:
    policy = TrustPolicy.parse(document)
    with_pods = policy.with_subjects(BOTH, named)
    sids = [one.get("Sid") for one in with_pods.statements]
    assert with_pods.allows_pods(BOTH)
    assert sids.count(PODS.sid) == sids.count(MORE.sid) == 1
    assert with_pods.subjects(BOTH) == named
    others = [one for one in with_pods.statements if one.get("Sid") not in {PODS.sid, MORE.sid}]
    alone = policy.with_subjects(OWN, named).statements
    assert others == [one for one in alone if not is_placeholder(one, OWN)]


@given(any_document, subject_sets)
def test_writing_it_again_changes_nothing(document: dict[str, Any], named: frozenset[Subject]) -> None:
    once = TrustPolicy.parse(document).with_subjects(BOTH, named)
    assert once.with_subjects(BOTH, named) is once


@given(any_document, subject_sets)
def test_it_costs_the_same_however_many_namespaces_there_are(
    document: dict[str, Any], named: frozenset[Subject]
) -> None:
    policy = TrustPolicy.parse(document)
    alone = policy.with_subjects(OWN, named).size()
    assert policy.with_subjects(BOTH, named).size() - alone <= 2 * 600


def _edited(**changes: Any) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": [{**PODS.render(), **changes}]}


EDITS = [
    _edited(Effect="Deny"),
    _edited(Action="sts:AssumeRole"),
    _edited(Principal={"Service": "ec2.amazonaws.com"}),
    _edited(Condition={}),
    _edited(Condition={"StringLike": {"aws:RequestTag/kubernetes-namespace": "*"}}),
    _edited(Sid="Renamed"),
    {"Version": "2012-10-17", "Statement": []},
]


@pytest.mark.parametrize("document", EDITS)
def test_what_was_edited_by_hand_is_put_right(document: dict[str, Any]) -> None:
    own = OwnStatement.for_role(ROLE, ISSUER, "mxp-identity", (PODS,))
    policy = TrustPolicy.parse(document)
    assert not policy.allows_pods(own)
    right = policy.with_subjects(own, ())
    assert [one for one in right.statements if one.get("Sid") == PODS.sid] == [PODS.render()]


def test_as_iam_stores_it_it_is_still_whole() -> None:
    own = OwnStatement.for_role(ROLE, ISSUER, "mxp-identity", (PODS,))
    stored = PODS.render()
    condition = {operator: stored["Condition"][operator] for operator in ("StringLike", "StringEquals")}
    stored |= {"Condition": condition, "Action": stored["Action"][::-1], "Principal": {"Service": [SERVICE]}}
    policy = TrustPolicy.parse({"Version": "2012-10-17", "Statement": stored})
    assert policy.allows_pods(own)
    assert policy.with_subjects(own, ()) is policy


DENIALS: dict[str, tuple[dict[str, Any], bool]] = {
    "of the service": ({"Principal": {"Service": SERVICE}, "Action": "sts:*"}, True),
    "of everybody": ({"Principal": {"AWS": "*"}, "Action": "sts:TagSession"}, True),
    "of another service": ({"Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:*"}, False),
    "of another action": (
        {"Principal": {"Service": SERVICE}, "Action": "sts:AssumeRoleWithWebIdentity"},
        False,
    ),
    "of this service account": (
        {
            "Principal": {"Service": SERVICE},
            "Action": "sts:AssumeRole",
            "Condition": {"StringEquals": {"aws:RequestTag/kubernetes-service-account": "mxp-controller"}},
        },
        True,
    ),
    "of another cluster": (
        {
            "Principal": {"Service": SERVICE},
            "Action": "sts:AssumeRole",
            "Condition": {"StringEquals": {"aws:RequestTag/eks-cluster-arn": OTHER_CLUSTER.value}},
        },
        False,
    ),
    "of one namespace": (
        {
            "Principal": {"Service": SERVICE},
            "Action": "sts:AssumeRole",
            "Condition": {"StringEquals": {"aws:RequestTag/kubernetes-namespace": "mxp-a-system"}},
        },
        False,
    ),
}


@pytest.mark.parametrize("case", DENIALS)
def test_a_deny_that_keeps_all_pods_out_is_found(case: str) -> None:
    denial, keeps_out = DENIALS[case]
    own = OwnStatement.for_role(ROLE, ISSUER, "mxp-identity", (PODS,))
    document = {"Version": "2012-10-17", "Statement": [{"Sid": "No", "Effect": "Deny", **denial}]}
    place = denial_of_pods(TrustPolicy.parse(document).with_subjects(own, ()), own)
    assert str(place) == ("statement 1 (Sid No)" if keeps_out else "None")


def test_a_statement_that_allows_nothing_does_not_deny_eks_and_is_removed_with_our_statement_for_pods() -> None:
    own = OwnStatement.for_role(ROLE, ISSUER, "mxp-identity", (PODS,))
    before = TrustPolicy({"Version": "2012-10-17", "Statement": [FIRST_OF_SETUP]})
    assert denial_of_pods(before, own) is not None
    alone = TrustPolicy({"Version": "2012-10-17", "Statement": [own.render_placeholder()]})
    assert denial_of_pods(alone, own) is None
    assert effects_on_pod(alone, PODS.claims()).possible_denial is None
    assert alone.with_subjects(own, ()).statements == [PODS.render()]


def test_each_binding_cluster_and_installation_has_a_statement_of_its_own() -> None:
    sids = {
        PodStatement(installation, name, cluster, "mxp-controller", PODS.pattern).sid
        for installation, name, cluster in product(("a", "b"), ("backup", "other"), (CLUSTER, OTHER_CLUSTER))
    }
    assert len(sids) == 8
    assert all(sid.isalnum() for sid in sids)
    assert OWN.sid not in sids
