"""External statements that allow more than the ServiceAccounts that they name: trust that nothing revokes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from webhook.iam.evaluation import allows, allows_by, as_list
from webhook.iam.statement import ACTIONS, ASSUME_WITH_TOKEN, SERVICE, TAGS_ASKED_FOR

if TYPE_CHECKING:
    from collections.abc import Iterator

    from webhook.iam.statement import OwnStatement
    from webhook.iam.trust_policy import Place, Statement, TrustPolicy

_ANY = "of-no-name-that-a-statement-has"
_ANY_SUBJECT = f"system:serviceaccount:{_ANY}:{_ANY}"


def wide_statements(policy: TrustPolicy, own: OwnStatement) -> list[Place]:
    """Those that allow, or may allow, ServiceAccounts of this cluster, or pods of any, without naming each.

    A statement for ServiceAccounts is wide where its subject has a wildcard or is not asked for. One for pods is
    wide unless it asks for namespace, ServiceAccount and cluster, as the managed ones do.
    """
    return [
        place
        for place, statement in policy.external(own)
        if _is_wide_for_tokens(statement, own) or _is_wide_for_pods(statement)
    ]


def _is_wide_for_tokens(statement: Statement, own: OwnStatement) -> bool:
    key = own.subject_key.lower()
    asked = "Federated", own.provider_arn, (ASSUME_WITH_TOKEN,), own.claims_of_all(), key
    test = allows_by(statement, *asked)
    return test is not None and any(test(claim) is not False for claim in _claims(statement, key))


def _claims(statement: Statement, key: str) -> Iterator[str]:
    """A subject of no known name, and one for each wildcard that the statement has."""
    yield _ANY_SUBJECT
    condition = statement.get("Condition")
    for block in condition.values() if isinstance(condition, dict) else ():
        for name, values in block.items() if isinstance(block, dict) else ():
            for value in as_list(values) if name.lower() == key else ():
                if not {"*", "?"}.isdisjoint(str(value)):
                    yield str(value).replace("*", _ANY).replace("?", "x")


def _is_wide_for_pods(statement: Statement) -> bool:
    return any(
        allows(statement, "Service", SERVICE, ACTIONS, {tag.lower(): _ANY}) is not False for tag in TAGS_ASKED_FOR
    )
