"""Statements that were meant for a subject and do not allow it: what is wrong in each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from webhook.cli.trust_statements import principals_of
from webhook.iam.evaluation import conditions_hold, conditions_of, covers
from webhook.iam.statement import ASSUME_WITH_TOKEN
from webhook.iam.trust_policy import Place, TrustPolicy
from webhook.model.names import AUDIENCE
from webhook.model.text import legible
from webhook.model.wildcards import matches_wildcard

if TYPE_CHECKING:
    from collections.abc import Iterator

    from webhook.iam.statement import OwnStatement
    from webhook.iam.trust_policy import Statement
    from webhook.model.names import Subject

_ARN = ":oidc-provider/"
_WILDCARDS = frozenset("*?")


def near_misses(policy: TrustPolicy, own: OwnStatement, subject: Subject) -> list[str]:
    """A sentence for each Allow that names the subject, also by a pattern, and does not allow it."""
    return [
        f"{Place(index, statement.get('Sid'))} names it, but {'; '.join(wrong)}"
        for index, statement in enumerate(policy.statements)
        if statement.get("Effect") == "Allow"
        if any(_names(operator, key, values, subject) for operator, key, values in _conditions(statement))
        if (wrong := list(_wrong_in(statement, own, subject)))
    ]


def _names(operator: str, key: str, values: list[str], subject: Subject) -> bool:
    """Whether a condition was meant for the subject, whatever its operator makes of a pattern."""
    if str(subject) in values:
        return True
    is_positive = key.lower().endswith(":sub") and "not" not in operator.lower()
    return is_positive and any(_has_wildcards(value) and matches_wildcard(value, str(subject)) for value in values)


def _wrong_in(statement: Statement, own: OwnStatement, subject: Subject) -> Iterator[str]:
    yield from _wrong_principal(statement, own)
    if covers(statement, ASSUME_WITH_TOKEN) is False:
        yield f"its action is not {ASSUME_WITH_TOKEN}"
    operators, fails = set(), False
    for operator, key, values in _conditions(statement):
        if meant := _misspelt(key, own):
            yield f"its condition key {legible(key)} is of no token: {meant}"
        if key.lower() == own.subject_key.lower():
            operators.add(operator)
        if conditions_hold({operator: {key: values}}, own.claims(subject)) is not False:
            continue
        if key.lower() == own.audience_key.lower():
            yield f"it wants the audience {legible(', '.join(values))}, and tokens are for {AUDIENCE}"
        elif key.lower() == own.subject_key.lower():
            fails = True
            yield _failing(operator, values, subject)
    if fails and len(operators) > 1:
        yield f"{' and '.join(sorted(operators))} on the subject must both hold"


def _wrong_principal(statement: Statement, own: OwnStatement) -> Iterator[str]:
    named = principals_of(statement, "Federated")
    if own.provider_arn in named:
        return
    twin = next((one for one in named if own.issuer.is_twin(one.rpartition(_ARN)[2])), None)
    if twin is None:
        yield f"its principal is not this cluster's OIDC provider {own.provider_arn}"
    else:
        why = f"another address of the same issuer, which no token names; correct is {own.provider_arn}"
        yield f"its principal {legible(twin)} is {why}"


def _misspelt(key: str, own: OwnStatement) -> str | None:
    """What is wrong with a condition key that was meant to be one of this cluster's tokens."""
    prefix, _, claim = key.rpartition(":")
    right = {"sub": own.subject_key, "aud": own.audience_key}.get(claim.lower())
    if right is None or key.lower() == right.lower():
        return None
    is_arn, has_scheme = _ARN in prefix, prefix.lower().startswith("https://")
    issuer = prefix.rpartition(_ARN)[2] if is_arn else prefix[len("https://") :] if has_scheme else prefix
    if own.issuer.is_twin(issuer):
        return f"it has another address of the issuer, which no token names; correct is {right}"
    if issuer.lower() != own.issuer.key.lower():
        return None
    return f"it begins with {'an ARN' if is_arn else 'https://'}; correct is {right}"


def _failing(operator: str, values: list[str], subject: Subject) -> str:
    """A condition on the subject that does not hold for it."""
    patterns = [value for value in values if _has_wildcards(value) and matches_wildcard(value, str(subject))]
    if patterns and "equals" in operator.lower():
        return f"its {operator} reads {legible(patterns[0])} without wildcards; StringLike has them"
    return f"its {operator} on the subject does not hold for it"


def _has_wildcards(value: str) -> bool:
    return not _WILDCARDS.isdisjoint(value)


def _conditions(statement: Statement) -> Iterator[tuple[str, str, list[str]]]:
    for operator, key, values in conditions_of(statement):
        yield operator, key, [value for value in values if isinstance(value, str)]
