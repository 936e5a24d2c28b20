"""Which statements are this program's, also those that the bindings of an installation no longer give cause for.

One of them an earlier `setup` wrote: it began the trust policy of a role with a Deny, which denies EKS too.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from webhook.cli.statement_words import clusters_of_pods, is_of_the_program
from webhook.iam.statement import sid_for_pods
from webhook.iam.trust_policy import Place, canonical, is_placeholder

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from webhook.iam.statement import OwnStatement
    from webhook.iam.trust_policy import Statement, TrustPolicy
    from webhook.model.names import RoleArn
    from webhook.planning.snapshot import Installation

FIRST_OF_SETUP: dict[str, Any] = {
    "Sid": "NobodyYet",
    "Effect": "Deny",
    "Principal": {"AWS": "*"},
    "Action": "sts:AssumeRole",
}
"""How an earlier `setup` began a trust policy: IAM requires a statement.

EKS assumes a role by the action that it denies.
"""


def own_in(role: RoleArn, installation: Installation, former_bindings: Collection[str] = ()) -> OwnStatement:
    """All that an installation may have written into `role`.

    That is also statements for pods of a binding that has another role or mode now, or is only among
    `former_bindings`: their Sids follow from the binding's name.
    """
    own, cluster = installation.own_in(role), installation.eks
    if cluster is None:
        return own
    names = {*former_bindings, *(binding.name for binding in installation.bindings)}
    sids = {sid_for_pods(installation.name, name, cluster) for name in names}
    return replace(own, former=frozenset(sids - {one.sid for one in own.pods}))


def names_subjects(policy: TrustPolicy, own: OwnStatement) -> bool:
    """Whether a statement of ours is there, whole or changed, that is more than a placeholder."""
    return any(own.owns(one) and not is_placeholder(one, own) for one in policy.statements)


def other_statements_for_pods(policy: TrustPolicy, own: OwnStatement) -> Iterator[tuple[Place, frozenset[str]]]:
    """This program's statements for pods that are not `own`, each with the ARNs of its clusters.

    The Sid does not tell whose they are.
    """
    for index, one in enumerate(policy.statements):
        clusters = clusters_of_pods(one)
        if is_of_the_program(one) and clusters and not own.owns(one):
            yield Place(index, one["Sid"]), clusters


def is_first(statement: Statement) -> bool:
    """Whether a statement is the one of an earlier `setup`, unchanged."""
    return canonical(statement) == canonical(FIRST_OF_SETUP)


def begins_with_denial(policy: TrustPolicy) -> bool:
    """Whether the statement of an earlier `setup` is in the policy."""
    return any(map(is_first, policy.statements))


def own_without_denial(own: OwnStatement) -> OwnStatement:
    """Our statement in a role for a writer that removes it, and changes nothing else."""
    return replace(own.without_pods, former=frozenset({FIRST_OF_SETUP["Sid"]}))


def without_denial(policy: TrustPolicy, own: OwnStatement) -> TrustPolicy:
    """The policy without it; where it was the only statement, with the one that allows no subject."""
    return policy.with_subjects(own_without_denial(own), policy.subjects(own))
