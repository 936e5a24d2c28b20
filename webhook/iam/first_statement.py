"""The statement with which an earlier `setup` began the trust policy of a role: it denies EKS too."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from webhook.iam.trust_policy import canonical

if TYPE_CHECKING:
    from webhook.iam.statement import OwnStatement
    from webhook.iam.trust_policy import Statement, TrustPolicy

FIRST_OF_SETUP: dict[str, Any] = {
    "Sid": "NobodyYet",
    "Effect": "Deny",
    "Principal": {"AWS": "*"},
    "Action": "sts:AssumeRole",
}
"""It was there because IAM requires a statement. EKS assumes a role by the action that it denies."""


def is_first(statement: Statement) -> bool:
    """Whether a statement is that one, unchanged."""
    return canonical(statement) == canonical(FIRST_OF_SETUP)


def begins_with_denial(policy: TrustPolicy) -> bool:
    """Whether it is in the policy."""
    return any(map(is_first, policy.statements))


def own_without_denial(own: OwnStatement) -> OwnStatement:
    """Our statement in a role for a writer that removes it, and changes nothing else."""
    return replace(own.without_pods, former=frozenset({FIRST_OF_SETUP["Sid"]}))


def without_denial(policy: TrustPolicy, own: OwnStatement) -> TrustPolicy:
    """The policy without it; where it was the only statement, with the one that allows no subject."""
    return policy.with_subjects(own_without_denial(own), policy.subjects(own))
