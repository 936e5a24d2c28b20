"""Whether one statement of a trust policy concerns a request: True, False, or None where it may.

AWS knows more of a request than we do, and its grammar grows: an element, a principal or a condition that is not
read here leaves the answer open.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from webhook.iam.conditions import all_hold, as_list, by_claim, conditions_hold
from webhook.model.wildcards import matches_wildcard

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from webhook.iam.trust_policy import Statement

    ByClaim = Callable[[str], bool | None]

_READ_HERE = frozenset({"Sid", "Effect", "Principal", "Action", "NotAction", "Condition"})


def allows(
    statement: Statement, kind: str, principal: str, actions: Iterable[str], claims: Mapping[str, str]
) -> bool | None:
    """Whether it lets the principal, by name, do all of `actions`; `claims` are by lower-case condition key."""
    concerned = _is_allowed(statement, kind, principal, actions)
    return all_hold([concerned, conditions_hold(statement.get("Condition"), claims)])


def denies(
    statement: Statement, kind: str, principal: str, actions: Iterable[str], claims: Mapping[str, str]
) -> bool | None:
    """Whether it keeps the principal from any of `actions`."""
    concerned = _is_denied(statement, kind, principal, actions)
    return all_hold([concerned, conditions_hold(statement.get("Condition"), claims)])


def allows_by(  # noqa: PLR0913, PLR0917  as `allows`, and the claim that varies
    statement: Statement, kind: str, principal: str, actions: Iterable[str], claims: Mapping[str, str], key: str
) -> ByClaim | None:
    """`allows` by the value of one claim more, whose condition key is `key`; None where it never does."""
    return _by_claim(_is_allowed(statement, kind, principal, actions), statement, claims, key)


def denies_by(  # noqa: PLR0913, PLR0917  as `denies`, and the claim that varies
    statement: Statement, kind: str, principal: str, actions: Iterable[str], claims: Mapping[str, str], key: str
) -> ByClaim | None:
    """`denies` likewise."""
    return _by_claim(_is_denied(statement, kind, principal, actions), statement, claims, key)


def principals(statement: Statement, kind: str) -> list[str]:
    """Its principals of one kind."""
    principal = statement.get("Principal")
    if not isinstance(principal, dict):
        return []
    return [value for value in as_list(principal.get(kind, [])) if isinstance(value, str)]


def _is_allowed(statement: Statement, kind: str, principal: str, actions: Iterable[str]) -> bool | None:
    if statement.get("Effect") != "Allow" or principal not in principals(statement, kind):
        return False
    return all_hold([*(_covers(statement, action) for action in actions), _is_understood(statement)])


def _is_denied(statement: Statement, kind: str, principal: str, actions: Iterable[str]) -> bool | None:
    if statement.get("Effect") != "Deny":
        return False
    covered = [_covers(statement, action) for action in actions]
    covers_any = True if True in covered else None if None in covered else False
    return all_hold([_may_be(statement, kind, principal), covers_any, _is_understood(statement)])


def _by_claim(
    concerned: bool | None,  # noqa: FBT001  as the functions above answer
    statement: Statement,
    claims: Mapping[str, str],
    key: str,
) -> ByClaim | None:
    holds = None if concerned is False else by_claim(statement.get("Condition"), claims, key)
    if holds is None or concerned:
        return holds
    return lambda value: False if holds(value) is False else None


def _is_understood(statement: Statement) -> bool | None:
    return True if statement.keys() <= _READ_HERE else None


def _may_be(statement: Statement, kind: str, principal: str) -> bool | None:
    named = statement.get("Principal")
    if named == "*" or "*" in principals(statement, "AWS"):
        return True
    if not isinstance(named, dict):
        return None  # NotPrincipal: everybody whom it does not name, by rules that need the account's own names
    return not {principal, "*"}.isdisjoint(principals(statement, kind))


def _covers(statement: Statement, action: str) -> bool | None:
    if "NotAction" in statement:
        named = _names(statement["NotAction"], action)
        return None if named is None else not named
    return _names(statement.get("Action", []), action)


def _names(patterns: Any, action: str) -> bool | None:
    if not all(isinstance(pattern, str) for pattern in as_list(patterns)):
        return None
    return any(matches_wildcard(pattern.lower(), action.lower()) for pattern in as_list(patterns))
