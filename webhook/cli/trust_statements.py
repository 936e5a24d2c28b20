"""Statements of trust policies: whose they are, what they name, and in words what they allow.

An earlier `setup` wrote one of this program's: it began a role's trust policy with a Deny, which denies EKS too.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from webhook.iam.evaluation import as_list, conditions_of
from webhook.iam.statement import sid_for_pods
from webhook.iam.trust_policy import Place, canonical, is_placeholder
from webhook.model.text import legible

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

_OUR_SIDS = re.compile(r"MxpIdentity[0-9a-f]{8}")


def is_of_the_program(statement: Statement) -> bool:
    """Whether this program wrote it, in any cluster and by any installation."""
    return _OUR_SIDS.fullmatch(str(statement.get("Sid", ""))) is not None


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


def principals_of(statement: Statement, kind: str) -> list[str]:
    """Its principals of one kind, as text to show; `evaluation.principals` has those that count."""
    principal = statement.get("Principal")
    return [str(value) for value in as_list(principal.get(kind, []))] if isinstance(principal, dict) else []


def clusters_of_pods(statement: Statement) -> frozenset[str]:
    """The clusters, by ARN, whose pods EKS assumes the role for; none where the statement does not ask for any."""
    tag = "aws:requesttag/eks-cluster-arn"
    found = (values for _, key, values in conditions_of(statement) if key.lower() == tag)
    return frozenset(str(one) for values in found for one in values)


def names_in(statement: Statement) -> list[str]:
    """The subjects that a statement's condition names, as written there; else its principals."""
    conditions = conditions_of(statement)
    subjects = [legible(one) for _, key, values in conditions if key.lower().endswith(":sub") for one in values]
    if subjects:
        return subjects
    principal = statement.get("Principal")
    if isinstance(principal, dict):
        return [legible(value) for kind in principal for value in as_list(principal[kind])] or ["no principal"]
    return ["every principal"] if principal == "*" else ["every principal but those it names"]


def effect_of(statement: Statement) -> str:
    """What it allows or denies."""
    effect = "denies" if statement.get("Effect") == "Deny" else "allows"
    actions = statement.get("Action", statement.get("NotAction", []))
    spelled = ", ".join(str(action) for action in as_list(actions))
    rest = " with conditions" if statement.get("Condition") else ""
    return legible(f"{effect} {'all but ' if 'NotAction' in statement else ''}{spelled}{rest}")


def pods_allowed_by(statement: Statement) -> str:
    """The pods that EKS assumes the role for, by the session tags that the statement asks for."""
    tags = {key.rpartition("/")[2]: ", ".join(map(str, values)) for _, key, values in conditions_of(statement)}
    return legible(
        f"EKS assumes it for ServiceAccount {tags.get('kubernetes-service-account', 'any')} of namespaces "
        f"{tags.get('kubernetes-namespace', 'of any name')} of {tags.get('eks-cluster-arn', 'any cluster')}"
    )
