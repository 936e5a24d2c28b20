"""The documents of commands that correct a policy: one statement more, or a role that a Deny no longer covers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from webhook.model.wildcards import matches_wildcard

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from webhook.model.names import RoleArn

Document = dict[str, Any]
Statement = dict[str, Any]

_PRINCIPAL = "aws:PrincipalArn"
_EXEMPT = "ArnNotEquals"


def with_statements(document: Mapping[str, Any], statements: Sequence[Statement]) -> Document:
    """The policy with these statements beside its own."""
    return {"Version": "2012-10-17", **document, "Statement": [*_statements(document), *statements]}


def exempting(document: Mapping[str, Any], role: RoleArn, action: str, resource: str) -> Document | None:
    """The policy whose Denies of the action no longer cover the role, and cover all else as before.

    None where no Deny is about the action and the resource. Conditions are not evaluated: AWS has, and denied.
    """
    changed = [_exempt(one, role) if _denies(one, action, resource) else one for one in _statements(document)]
    return None if changed == _statements(document) else {**document, "Statement": changed}


def for_role_alone(statements: Sequence[Statement], role: RoleArn) -> list[Statement]:
    """The same for an endpoint policy: a gateway's names principals by a condition alone (PrivateLink guide)."""
    condition = {"ArnEquals": {_PRINCIPAL: role.value}}
    return [{**one, "Principal": "*", "Condition": condition} for one in statements]


def for_principal(statements: Sequence[Statement], role: RoleArn) -> list[Statement]:
    """The same for a bucket policy."""
    return [{**one, "Principal": {"AWS": role.value}} for one in statements]


def _exempt(statement: Statement, role: RoleArn) -> Statement:
    condition = statement.get("Condition", {})
    exempt = condition.get(_EXEMPT, {})
    key = next((one for one in exempt if one.lower() == _PRINCIPAL.lower()), _PRINCIPAL)
    names = list(dict.fromkeys([*_listed(exempt.get(key, [])), role.value]))
    return {**statement, "Condition": {**condition, _EXEMPT: {**exempt, key: names}}}


def _denies(statement: Statement, action: str, resource: str) -> bool:
    if statement.get("Effect") != "Deny":
        return False
    return _covers(statement, "Action", action.lower(), lower=True) and _covers(
        statement, "Resource", resource, lower=False
    )


def _covers(statement: Statement, element: str, value: str, *, lower: bool) -> bool:
    """Whether Action or Resource, or their negation, covers a value; an absent resource is any."""

    def names(patterns: object) -> bool:
        texts = [str(one).lower() if lower else str(one) for one in _listed(patterns)]
        return any(matches_wildcard(one, value) for one in texts)

    if f"Not{element}" in statement:
        return not names(statement[f"Not{element}"])
    return element not in statement or names(statement[element])


def _statements(document: Mapping[str, Any]) -> list[Statement]:
    return [one for one in _listed(document.get("Statement", [])) if isinstance(one, dict)]


def _listed(value: object) -> list[Any]:
    return value if isinstance(value, list) else [value]
