"""Statements of trust policies in words: what they allow, and what they name."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from webhook.iam.evaluation import as_list
from webhook.model.text import legible

if TYPE_CHECKING:
    from webhook.iam.trust_policy import Statement

_OUR_SIDS = re.compile(r"MxpIdentity[0-9a-f]{8}")


def pods_allowed_by(statement: Statement) -> str:
    """The pods that EKS assumes the role for, by the session tags that the statement asks for."""
    tags = {
        key.rpartition("/")[2]: ", ".join(str(value) for value in as_list(values))
        for block in _blocks(statement.get("Condition"))
        for key, values in block.items()
    }
    return legible(
        f"EKS assumes it for ServiceAccount {tags.get('kubernetes-service-account', 'any')} of namespaces "
        f"{tags.get('kubernetes-namespace', 'of any name')} of {tags.get('eks-cluster-arn', 'any cluster')}"
    )


def clusters_of_pods(statement: Statement) -> frozenset[str]:
    """The clusters, by ARN, whose pods EKS assumes the role for; none where the statement does not ask for any."""
    return frozenset(
        str(value)
        for block in _blocks(statement.get("Condition"))
        for key, values in block.items()
        if key.lower() == "aws:requesttag/eks-cluster-arn"
        for value in as_list(values)
    )


def effect_of(statement: Statement) -> str:
    """What it allows or denies."""
    effect = "denies" if statement.get("Effect") == "Deny" else "allows"
    actions = statement.get("Action", statement.get("NotAction", []))
    spelled = ", ".join(str(action) for action in as_list(actions))
    rest = " with conditions" if statement.get("Condition") else ""
    return legible(f"{effect} {'all but ' if 'NotAction' in statement else ''}{spelled}{rest}")


def names_in(statement: Statement) -> list[str]:
    """The subjects that a statement's condition names, as written there; else its principals."""
    subjects = [
        legible(value)
        for block in _blocks(statement.get("Condition"))
        for key, values in block.items()
        if key.lower().endswith(":sub")
        for value in as_list(values)
    ]
    if subjects:
        return subjects
    principal = statement.get("Principal")
    if isinstance(principal, dict):
        return [legible(value) for kind in principal for value in as_list(principal[kind])] or ["nobody"]
    return ["everybody"] if principal == "*" else ["everybody but those it names"]


def _blocks(condition: Any) -> list[dict[str, Any]]:
    blocks = condition.values() if isinstance(condition, dict) else ()
    return [block for block in blocks if isinstance(block, dict)]


def principals_of(statement: Statement, kind: str) -> list[str]:
    """Its principals of one kind, as text to show; `evaluation.principals` has those that count."""
    principal = statement.get("Principal")
    return [str(value) for value in as_list(principal.get(kind, []))] if isinstance(principal, dict) else []


def is_of_the_program(statement: Statement) -> bool:
    """Whether this program wrote it, in any cluster and by any installation."""
    return _OUR_SIDS.fullmatch(str(statement.get("Sid", ""))) is not None
