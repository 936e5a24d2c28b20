"""A way to an identity works only where no Deny may be in it: a migration takes the other way away."""

from __future__ import annotations

from typing import Any

import pytest

from tests.iam.policies import ISSUER, OWN, ROLE
from tests.support.associating import INSTALLATION, PODS, A, account, association
from webhook.cli.migrate.mode_readiness import IrsaReadiness, PodIdentityReadiness
from webhook.cli.migrate.rules import ModeReadiness
from webhook.iam.trust_policy import TrustPolicy
from webhook.model.bindings import Binding, Mode
from webhook.model.decisions import Grant
from webhook.model.selectors import NamePattern, NamespaceSelector
from webhook.planning.snapshot import AccountSnapshot, Installation

BINDING = Binding("backup", A.service_account, NamespaceSelector((), NamePattern("mxp-*")), Mode.IRSA, (ROLE,))
DENY: dict[str, Any] = {"Sid": "Org", "Effect": "Deny", "Principal": "*", "Action": "sts:*"}
OUTSIDE = {**DENY, "Condition": {"StringNotEquals": {"aws:PrincipalOrgID": "o-1234567890"}}}
ELSEWHERE = {**DENY, "Condition": {"StringNotLike": {OWN.subject_key: "*"}}}


@pytest.mark.parametrize("has_account", [True, False])
def test_irsa_works_where_nothing_may_deny_it_and_else_the_place_is_named(*, has_account: bool) -> None:
    def footing(*statements: dict[str, Any]) -> ModeReadiness:
        policies = {ROLE: TrustPolicy({"Statement": [OWN.render([A]), *statements]})}
        found = IrsaReadiness(Installation("mxp-identity", ISSUER, (BINDING,)), AccountSnapshot(policies), {})
        return found.as_new(Grant(A, BINDING, ROLE), has_account=has_account)

    assert footing() == footing(ELSEWHERE) == ModeReadiness(works=True)
    doubtful = footing(OUTSIDE)
    assert not doubtful.works
    assert doubtful.trouble.startswith(f"statement 2 (Sid Org) of the trust policy of {ROLE} may deny it")


def test_pod_identity_works_where_nothing_may_deny_it_and_else_the_place_is_named() -> None:
    def footing(*statements: dict[str, Any]) -> ModeReadiness:
        assert INSTALLATION.owner is not None
        seen = account(association(), statements=[PODS.render(), *statements])
        found = PodIdentityReadiness(ROLE, INSTALLATION.own_in(ROLE), INSTALLATION.owner, seen)
        return found.as_new(association())

    tags = {"aws:RequestTag/kubernetes-namespace": "mxp-other-system", "aws:SourceVpc": "vpc-1"}
    assert footing() == footing({**DENY, "Condition": {"StringEquals": tags}}) == ModeReadiness(works=True)
    doubtful = footing(OUTSIDE)
    assert not doubtful.works
    assert doubtful.trouble.startswith(f"statement 2 (Sid Org) of the trust policy of {ROLE} may deny it")
