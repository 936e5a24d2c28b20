"""Taking our statement out for good: exactly that one, and never a live one."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given

from tests.iam.policies import (
    ISSUER,
    OTHER_CLUSTER,
    OTHER_ISSUER,
    OWN,
    ROLE,
    SUBJECTS,
    shared_documents,
)
from webhook.cli.apply.retirement import retire_issuer, retire_role
from webhook.iam.statement import OwnStatement
from webhook.iam.trust_policy import TrustPolicy
from webhook.model.bindings import Binding, Mode
from webhook.model.errors import InvalidNameError
from webhook.model.names import IssuerUrl, RoleArn
from webhook.model.selectors import NamePattern, NamespaceSelector
from webhook.planning.plan import Plan
from webhook.planning.snapshot import AccountSnapshot, Installation

BINDING = Binding("backup", "mxp-controller", NamespaceSelector((), NamePattern("*")), Mode.IRSA, (ROLE,))
INSTALLATION = Installation("mxp-identity", ISSUER, (BINDING,))
UNBOUND = RoleArn("arn:aws:iam::123456789012:role/unbound")
RETIRED = RoleArn("arn:aws:iam::123456789012:role/retired")
MISTYPED = IssuerUrl(f"https://oidc.eks.eu-west-1.amazonaws.com/id/{'B8' * 16}")
NOT_OF_A_CLUSTER: list[dict[str, Any]] = [
    {"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::123456789012:root"}, "Action": "sts:AssumeRole"},
    {
        "Effect": "Allow",
        "Principal": {"Federated": "arn:aws:iam::123456789012:saml-provider/people"},
        "Action": "sts:AssumeRoleWithSAML",
    },
]


@given(shared_documents)
def test_a_retired_cluster_loses_its_statement_and_everything_else_stays(document: dict[str, Any]) -> None:
    policy = TrustPolicy(document)
    _removes_exactly(
        lambda: retire_issuer(OTHER_ISSUER, "mxp-identity", INSTALLATION, AccountSnapshot({ROLE: policy})),
        policy,
        OTHER_CLUSTER,
    )


@given(shared_documents)
def test_a_role_no_longer_bound_loses_our_statement_and_everything_else_stays(document: dict[str, Any]) -> None:
    policy = TrustPolicy(document)
    _removes_exactly(lambda: retire_role(UNBOUND, INSTALLATION, AccountSnapshot({UNBOUND: policy})), policy, OWN)


@pytest.mark.parametrize("name", ["mxp-identity", "mxp-identity-canary"])
def test_the_cluster_s_own_issuer_is_refused_whatever_the_installation(name: str) -> None:
    with pytest.raises(InvalidNameError, match="own live issuer"):
        retire_issuer(ISSUER, name, INSTALLATION, AccountSnapshot({ROLE: TrustPolicy({"Statement": []})}))


def test_a_role_that_a_binding_names_is_refused() -> None:
    with pytest.raises(InvalidNameError, match="is a role of binding backup"):
        retire_role(ROLE, INSTALLATION, AccountSnapshot({ROLE: TrustPolicy({"Statement": []})}))


def test_a_role_that_could_not_be_read_is_a_problem_and_not_a_role_without_a_statement() -> None:
    account = AccountSnapshot({}, {UNBOUND: "GetRole: AccessDenied"})
    for plan in (
        retire_issuer(OTHER_ISSUER, "mxp-identity", INSTALLATION, account),
        retire_role(UNBOUND, INSTALLATION, account),
    ):
        assert [(problem.role, problem.message) for problem in plan.problems] == [
            (UNBOUND, "GetRole: AccessDenied")
        ]


def test_an_issuer_that_no_role_names_is_refused_with_those_that_are_named() -> None:
    statements = [OWN.render([SUBJECTS[0]]), OTHER_CLUSTER.render([SUBJECTS[0]]), *NOT_OF_A_CLUSTER]
    account = AccountSnapshot({ROLE: TrustPolicy({"Statement": statements})})
    with pytest.raises(InvalidNameError) as refused:
        retire_issuer(MISTYPED, "mxp-identity", INSTALLATION, account)
    assert str(refused.value) == (
        f"no role of the bindings names {MISTYPED} in its trust policy, so nothing is changed; issuers of other "
        f"clusters that they name: {OTHER_ISSUER}"
    )
    with pytest.raises(InvalidNameError, match="that they name: none"):
        retire_issuer(
            MISTYPED, "mxp-identity", INSTALLATION, AccountSnapshot({}, {ROLE: "gone"}, 0, frozenset({ROLE}))
        )


def test_a_mistyped_installation_of_an_issuer_that_is_named_is_refused() -> None:
    account = AccountSnapshot({ROLE: TrustPolicy({"Statement": [OTHER_CLUSTER.render([SUBJECTS[0]])]})})
    with pytest.raises(InvalidNameError, match=r"not in a statement of installation mxp-identify.*--installation"):
        retire_issuer(OTHER_ISSUER, "mxp-identify", INSTALLATION, account)


NOT_THERE: dict[str, tuple[AccountSnapshot, str]] = {
    "no such role": (
        AccountSnapshot({}, {UNBOUND: "GetRole: NoSuchEntity"}, 0, frozenset({UNBOUND})),
        f"there is no role {UNBOUND} (GetRole: NoSuchEntity)",
    ),
    "nothing of ours in it": (
        AccountSnapshot({UNBOUND: TrustPolicy({"Statement": [OTHER_CLUSTER.render([SUBJECTS[0]])]})}),
        f"{UNBOUND} has no statement of this installation that names ServiceAccounts",
    ),
}


@pytest.mark.parametrize(("account", "why"), NOT_THERE.values(), ids=NOT_THERE)
def test_a_role_without_a_statement_of_ours_is_refused_with_those_that_have_one(
    account: AccountSnapshot, why: str
) -> None:
    ours = TrustPolicy({"Statement": [OWN.render([SUBJECTS[0]])]})
    for others, said in (({}, "none"), ({ROLE: ours, RETIRED: ours}, str(RETIRED))):
        known = replace(account, policies={**account.policies, **others})
        with pytest.raises(InvalidNameError) as refused:
            retire_role(UNBOUND, INSTALLATION, known)
        assert str(refused.value) == (
            f"{why}, so nothing is changed; roles known to have one although no binding names them: {said}"
        )


def _removes_exactly(make_plan: Callable[[], Plan], policy: TrustPolicy, own: OwnStatement) -> None:
    if not policy.names_subjects(own):
        with pytest.raises(InvalidNameError, match="nothing is changed"):
            make_plan()
        return
    (change,) = make_plan().roles
    others = [statement for statement in policy.statements if not own.owns(statement)]
    left = others or [own.render_placeholder()]
    assert change.after.document == {**policy.document, "Statement": left}
    assert {item.subject for item in change.removed} == policy.subjects(own)
