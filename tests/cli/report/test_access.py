"""Who may assume which role and why, as the report has it."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given

from tests.iam.policies import ISSUER, OTHER_CLUSTER, OTHER_INSTALLATION, OWN, ROLE, shared_documents
from tests.support.hand_written import guided
from webhook.cli.report.access import AccessFinding
from webhook.cli.report.statements import accesses, provider_arns
from webhook.cli.trust_statements import FIRST_OF_SETUP
from webhook.iam.trust_policy import TrustPolicy
from webhook.model.bindings import Binding, Mode
from webhook.model.decisions import Account, LiveNamespace
from webhook.model.names import AUDIENCE, RoleArn, Subject
from webhook.model.selectors import NamePattern, NamespaceSelector
from webhook.planning.snapshot import AccountSnapshot, ClusterSnapshot, Installation

NAME = "mxp-controller"
A, B, GONE = (Subject(f"mxp-{name}-system", NAME) for name in ("a", "b", "gone"))
EVERY_PLANE = NamespaceSelector(pattern=NamePattern("mxp-*-system"))
INSTALLATION = Installation("mxp-identity", ISSUER, (Binding("backup", NAME, EVERY_PLANE, Mode.IRSA, (ROLE,)),))

PATTERN: dict[str, Any] = {
    "Sid": "Pattern",
    "Effect": "Allow",
    "Principal": {"Federated": OWN.provider_arn},
    "Action": "sts:AssumeRoleWithWebIdentity",
    "Condition": {
        "StringLike": {OWN.subject_key: "system:serviceaccount:mxp-*"},
        "StringEquals": {OWN.audience_key: AUDIENCE},
    },
}
OUTSIDE: dict[str, Any] = {
    "Sid": "Org",
    "Effect": "Deny",
    "Principal": {"AWS": "*"},
    "Action": "sts:*",
    "Condition": {"StringNotEquals": {"aws:PrincipalOrgID": "o-1234567890"}},
}
DENY_B: dict[str, Any] = {
    "Effect": "Deny",
    "Principal": "*",
    "Action": "sts:AssumeRoleWithWebIdentity",
    "Condition": {"StringEquals": {OWN.subject_key: str(B)}},
}
PLAIN_PODS: dict[str, Any] = {
    "Effect": "Allow",
    "Principal": {"Service": "pods.eks.amazonaws.com"},
    "Action": ["sts:AssumeRole", "sts:TagSession"],
}
ADMIN: dict[str, Any] = {
    "Sid": "BreakGlass",
    "Effect": "Allow",
    "Principal": {"AWS": "arn:aws:iam::123456789012:root"},
    "Action": "sts:AssumeRole",
}


def _cluster(*subjects: Subject) -> ClusterSnapshot:
    namespaces = {one.namespace: LiveNamespace(one.namespace, "uid", {}) for one in subjects}
    accounts = {(one.namespace, NAME): Account(one.namespace, NAME, ROLE.value) for one in subjects}
    return ClusterSnapshot(namespaces, accounts)


def _findings(
    *statements: dict[str, Any], others: bool | None = None
) -> set[tuple[str, AccessFinding, str | None]]:
    """Who, the finding and the place, for a cluster with A and B."""
    policy = TrustPolicy({"Version": "2012-10-17", "Statement": list(statements)})
    exist = dict.fromkeys(provider_arns(AccountSnapshot({ROLE: policy})), others)
    found = accesses(INSTALLATION, _cluster(A, B), AccountSnapshot({ROLE: policy}), exist)
    return {(line.principal, line.finding, str(line.place) if line.place else None) for line in found}


FOR_PODS: dict[str, Any] = {
    "Sid": "MxpIdentity0a1b2c3d",
    "Effect": "Allow",
    "Principal": {"Service": "pods.eks.amazonaws.com"},
    "Action": ["sts:AssumeRole", "sts:TagSession"],
    "Condition": {"StringLike": {"aws:RequestTag/kubernetes-namespace": "mxp-*-system"}},
}
OURS = f"statement 1 (Sid {OWN.sid})"

CASES: dict[str, tuple[list[dict[str, Any]], Subject | str, AccessFinding, str | None]] = {
    "by our statement": ([OWN.render([A, B])], A, AccessFinding.AS_WANTED, OURS),
    "by an external pattern": ([ADMIN, PATTERN], A, AccessFinding.AS_WANTED, "statement 2 (Sid Pattern)"),
    "the pattern itself": (
        [PATTERN],
        "system:serviceaccount:mxp-*",
        AccessFinding.WIDE,
        "statement 1 (Sid Pattern)",
    ),
    "EKS, for pods of any name": ([PLAIN_PODS], "pods.eks.amazonaws.com", AccessFinding.WIDE, "statement 1"),
    "by hand, for what is gone": ([guided(OWN, GONE)], GONE, AccessFinding.WIDE, "statement 1"),
    "by hand, for what is there": ([guided(OWN, A)], A, AccessFinding.EXTERNAL, "statement 1"),
    "by hand, for what no binding is about": (
        [guided(OWN, Subject("velero", "velero"))],
        Subject("velero", "velero"),
        AccessFinding.EXTERNAL,
        "statement 1",
    ),
    "nowhere": ([OWN.render([B])], A, AccessFinding.WANTED_NOT_TRUSTED, None),
    "denied though trusted": ([OWN.render([A, B]), DENY_B], B, AccessFinding.DENIED, "statement 2"),
    "trusted, and perhaps denied": (
        [OWN.render([A]), OUTSIDE],
        A,
        AccessFinding.MAY_BE_DENIED,
        "statement 2 (Sid Org)",
    ),
    "by an external pattern, and perhaps denied": (
        [PATTERN, OUTSIDE],
        A,
        AccessFinding.MAY_BE_DENIED,
        "statement 2 (Sid Org)",
    ),
    "gone": ([OWN.render([A, B, GONE])], GONE, AccessFinding.TRUSTED_NOT_WANTED, OURS),
    "an administrator": (
        [ADMIN],
        "arn:aws:iam::123456789012:root",
        AccessFinding.EXTERNAL,
        "statement 1 (Sid BreakGlass)",
    ),
    "pods by EKS": (
        [FOR_PODS],
        "pods.eks.amazonaws.com",
        AccessFinding.POD_IDENTITY,
        "statement 1 (Sid MxpIdentity0a1b2c3d)",
    ),
    "another cluster": (
        [OTHER_CLUSTER.render([GONE])],
        GONE,
        AccessFinding.OTHER_CLUSTER,
        f"statement 1 (Sid {OTHER_CLUSTER.sid})",
    ),
    "nobody": ([OWN.render_placeholder()], "nobody", AccessFinding.AS_WANTED, OURS),
    "no subject of another cluster": (
        [OTHER_CLUSTER.render_placeholder()],
        "nobody",
        AccessFinding.OTHER_CLUSTER,
        f"statement 1 (Sid {OTHER_CLUSTER.sid})",
    ),
    "what setup wrote before": ([FIRST_OF_SETUP], "*", AccessFinding.EXTERNAL, "statement 1 (Sid NobodyYet)"),
    "another installation": (
        [OTHER_INSTALLATION.render([GONE])],
        GONE,
        AccessFinding.OTHER_INSTALLATION,
        f"statement 1 (Sid {OTHER_INSTALLATION.sid})",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_each_line_has_a_principal_the_statement_that_allows_it_and_a_finding(case: str) -> None:
    statements, subject, finding, place = CASES[case]
    assert (str(subject), finding, place) in _findings(*statements)


def test_an_issuer_without_a_provider_is_dead_and_one_that_could_not_be_read_is_not() -> None:
    statement, place = OTHER_CLUSTER.render([GONE]), f"statement 1 (Sid {OTHER_CLUSTER.sid})"
    assert (str(GONE), AccessFinding.DEAD_ISSUER, place) in _findings(statement, others=False)
    for answer in (True, None):
        assert (str(GONE), AccessFinding.OTHER_CLUSTER, place) in _findings(statement, others=answer)


def test_our_statement_loosened_by_hand_shows_what_it_allows_now() -> None:
    loosened = {**OWN.render([A]), "Condition": {"StringLike": {OWN.subject_key: "system:serviceaccount:*"}}}
    found = _findings(loosened)
    assert ("system:serviceaccount:*", AccessFinding.CHANGED, OURS) in found
    assert (str(A), AccessFinding.WANTED_NOT_TRUSTED, None) in found


def test_a_wildcard_is_as_wanted_where_a_binding_only_annotates() -> None:
    bare = Binding("bare", "velero", EVERY_PLANE, Mode.ANNOTATE, (ROLE,))
    installation = replace(INSTALLATION, bindings=(*INSTALLATION.bindings, bare))
    account = AccountSnapshot({ROLE: TrustPolicy({"Statement": [PATTERN]})})
    found = accesses(installation, _cluster(), account, {})
    assert [line.finding for line in found] == [AccessFinding.EXTERNAL]


def test_our_statement_in_a_retired_role_is_marked() -> None:
    dropped = RoleArn("arn:aws:iam::123456789012:role/dropped")
    policies = {dropped: TrustPolicy({"Statement": [INSTALLATION.own_in(dropped).render([A])]})}
    found = accesses(INSTALLATION, _cluster(), AccountSnapshot(policies), {})
    assert [(line.principal, line.finding) for line in found] == [(str(A), AccessFinding.RETIRED_ROLE)]


def test_a_role_that_could_not_be_read_has_the_reason_at_each_of_its_control_planes() -> None:
    found = accesses(INSTALLATION, _cluster(A), AccountSnapshot({}, {ROLE: "AccessDenied: no"}), {})
    assert [(line.principal, line.finding, line.why) for line in found] == [
        (str(A), AccessFinding.NOT_KNOWN, "AccessDenied: no")
    ]


@given(shared_documents)
def test_every_control_plane_and_every_statement_of_others_has_a_line(document: dict[str, Any]) -> None:
    policy = TrustPolicy(document)
    found = accesses(INSTALLATION, _cluster(A, B), AccountSnapshot({ROLE: policy}), {})
    others = {index for index, statement in enumerate(policy.statements) if not OWN.owns(statement)}
    assert others <= {line.place.index for line in found if line.place}
    assert {str(A), str(B)} <= {line.principal for line in found if line.namespace}
