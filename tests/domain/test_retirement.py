"""Taking our statement out for good: exactly that one, and never a live one."""

from typing import Any

import pytest
from hypothesis import given

from tests.domain.policies import (
    ISSUER,
    OTHER_CLUSTER,
    OTHER_ISSUER,
    OWN,
    ROLE,
    shared_documents,
)
from webhook.domain.bindings import Binding, Mode
from webhook.domain.errors import InvalidNameError
from webhook.domain.names import RoleArn
from webhook.domain.plan import Plan
from webhook.domain.retirement import retire_issuer, retire_role
from webhook.domain.selectors import NamePattern, NamespaceSelector
from webhook.domain.snapshot import AccountSnapshot, Installation
from webhook.domain.statement import OwnStatement
from webhook.domain.trust_policy import TrustPolicy

BINDING = Binding("backup", "mxp-controller", NamespaceSelector((), NamePattern("*")), Mode.IRSA, (ROLE,))
INSTALLATION = Installation("mxp-identity", ISSUER, (BINDING,))
UNBOUND = RoleArn("arn:aws:iam::123456789012:role/unbound")


@given(shared_documents)
def test_a_retired_cluster_loses_its_statement_and_everything_else_stays(document: dict[str, Any]) -> None:
    policy = TrustPolicy(document)
    plan = retire_issuer(OTHER_ISSUER, "mxp-identity", INSTALLATION, AccountSnapshot({ROLE: policy}))
    _removes_exactly(plan, policy, OTHER_CLUSTER)


@given(shared_documents)
def test_a_role_no_longer_bound_loses_our_statement_and_everything_else_stays(document: dict[str, Any]) -> None:
    policy = TrustPolicy(document)
    plan = retire_role(UNBOUND, INSTALLATION, AccountSnapshot({UNBOUND: policy}))
    _removes_exactly(plan, policy, OWN)


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


def _removes_exactly(plan: Plan, policy: TrustPolicy, own: OwnStatement) -> None:
    is_there = any(own.owns(statement) for statement in policy.statements)
    assert len(plan.roles) == is_there
    for change in plan.roles:
        others = [statement for statement in policy.statements if not own.owns(statement)]
        assert change.after.document == {**policy.document, "Statement": others}
        assert {item.subject for item in change.removed} == policy.subjects(own)
