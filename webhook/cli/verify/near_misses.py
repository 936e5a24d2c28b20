"""Statements that were meant for a ServiceAccount and do not let it in, with what is wrong in them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from webhook.iam.evaluation import as_list, conditions_hold
from webhook.iam.statement import ASSUME_WITH_TOKEN
from webhook.iam.trust_policy import Place
from webhook.model.names import AUDIENCE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from webhook.iam.statement import OwnStatement
    from webhook.iam.trust_policy import Statement, TrustPolicy
    from webhook.model.names import Subject


def near_misses(policy: TrustPolicy, own: OwnStatement, subject: Subject) -> list[str]:
    """A sentence for each Allow that names the subject and does not let it in."""
    return [
        f"{Place(index, statement.get('Sid'))} names it, but {'; '.join(wrong)}"
        for index, statement in enumerate(policy.statements)
        if statement.get("Effect") == "Allow" and _names(statement, subject)
        if (wrong := list(_wrong_in(statement, own, subject)))
    ]


def _names(statement: Statement, subject: Subject) -> bool:
    return any(str(subject) in values for _, _, values in _conditions(statement))


def _wrong_in(statement: Statement, own: OwnStatement, subject: Subject) -> Iterator[str]:
    principal = statement.get("Principal")
    providers = as_list(principal.get("Federated", [])) if isinstance(principal, dict) else []
    if own.provider_arn not in providers:
        yield f"its principal is not this cluster's OIDC provider {own.provider_arn}"
    actions = as_list(statement.get("Action", []))
    if ASSUME_WITH_TOKEN not in actions and "sts:*" not in actions:
        yield f"its action is not {ASSUME_WITH_TOKEN}"
    operators = set()
    for operator, key, values in _conditions(statement):
        if key.lower() == own.subject_key.lower():
            operators.add(operator)
        if conditions_hold({operator: {key: values}}, own.claims(subject)) is not False:
            continue
        if key.lower() == own.audience_key.lower():
            yield f"it wants the audience {', '.join(values)}, and tokens are for {AUDIENCE}"
        elif key.lower() == own.subject_key.lower():
            yield f"its {operator} on the subject does not hold for it"
    if len(operators) > 1:
        yield f"{' and '.join(sorted(operators))} on the subject must both hold"


def _conditions(statement: Statement) -> Iterator[tuple[str, str, list[Any]]]:
    condition = statement.get("Condition")
    for operator, block in condition.items() if isinstance(condition, dict) else ():
        for key, values in block.items() if isinstance(block, dict) else ():
            yield operator, key, [value for value in as_list(values) if isinstance(value, str)]
