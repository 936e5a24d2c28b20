"""What a statement that a person wrote allows ServiceAccounts of this cluster, and why it cannot be taken over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from webhook.cli.trust_statements import is_of_the_program
from webhook.iam.evaluation import as_list, covers, principals
from webhook.iam.statement import ASSUME_WITH_TOKEN
from webhook.model.names import AUDIENCE, Subject
from webhook.model.text import legible

if TYPE_CHECKING:
    from webhook.iam.statement import OwnStatement
    from webhook.iam.trust_policy import Statement

_ELEMENTS = frozenset({"Sid", "Effect", "Principal", "Action", "Condition"})
_LIKE = "stringlike"
_OPERATORS = frozenset({"stringequals", _LIKE})
_EVERY = "*"
"""The pattern of a statement that asks for no subject."""


@dataclass(frozen=True, slots=True)
class HandMade:
    """A statement that allows ServiceAccounts of this cluster the role."""

    subjects: frozenset[Subject] = frozenset()
    """Those that it names exactly."""
    patterns: tuple[str, ...] = ()
    """Its wildcards; without any it allows `subjects` and no others."""
    flaw: str = ""
    """Why it is left to people: it does more, or something else, than to name ServiceAccounts."""


class _FlawError(Exception):
    """The message completes a sentence about the statement."""


def read_statement(statement: Statement, own: OwnStatement) -> HandMade | None:
    """What the statement allows by tokens of this cluster; None for one that is about something else.

    It can be taken over without a flaw only where it is an Allow of one action to one provider, by audience and
    subject alone: the managed statement asks for just that.
    """
    if statement.get("Effect") != "Allow" or own.provider_arn not in principals(statement, "Federated"):
        return None
    if covers(statement, ASSUME_WITH_TOKEN) is False:
        return None
    if is_of_the_program(statement):
        return HandMade(flaw="it is another installation's of this program")
    try:
        _check_frame(statement, own)
        return _by_conditions(_conditions(statement.get("Condition", {}), own), own)
    except _FlawError as flaw:
        return HandMade(flaw=str(flaw))


def _check_frame(statement: Statement, own: OwnStatement) -> None:
    if unknown := statement.keys() - _ELEMENTS:
        raise _FlawError(f"it has {legible(', '.join(sorted(unknown)))}")
    named = statement["Principal"]
    if named.keys() != {"Federated"} or as_list(named["Federated"]) != [own.provider_arn]:
        raise _FlawError("it is for other principals too")
    if [str(action).lower() for action in as_list(statement["Action"])] != [ASSUME_WITH_TOKEN.lower()]:
        raise _FlawError("it allows other actions too")


def _conditions(condition: Any, own: OwnStatement) -> dict[str, tuple[str, list[Any]]]:
    """Operator and values by lower-case key, of which there are audience and subject at most."""
    if not isinstance(condition, dict):
        raise _FlawError("its Condition cannot be read")
    found: dict[str, tuple[str, list[Any]]] = {}
    for operator, block in condition.items():
        if operator.lower() not in _OPERATORS or not isinstance(block, dict):
            raise _FlawError(f"it has a condition by {legible(operator)}")
        for key, values in block.items():
            if key.lower() not in {own.audience_key.lower(), own.subject_key.lower()}:
                raise _FlawError(f"it has a condition on {legible(key)}")
            if key.lower() in found:
                raise _FlawError(f"it has two conditions on {legible(key)}")
            found[key.lower()] = operator.lower(), as_list(values)
    return found


def _by_conditions(found: dict[str, tuple[str, list[Any]]], own: OwnStatement) -> HandMade:
    audiences = found.get(own.audience_key.lower())
    if audiences is not None and audiences[1] != [AUDIENCE]:
        raise _FlawError("it is for another audience")
    operator, values = found.get(own.subject_key.lower(), (_LIKE, [_EVERY]))
    names = [str(value) for value in values]
    patterns = tuple(name for name in names if operator == _LIKE and not {"*", "?"}.isdisjoint(name))
    exact = {name: Subject.parse(name) for name in names if name not in patterns}
    if wrong := next((name for name, subject in exact.items() if subject is None), "" if names else "nothing"):
        raise _FlawError(f"it names {legible(wrong)}, which is no ServiceAccount")
    if audiences is None and not patterns:
        raise _FlawError("it asks for no audience")
    return HandMade(frozenset(one for one in exact.values() if one), patterns)
