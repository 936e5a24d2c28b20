"""What a policy allows and denies, one right at a time: so that nobody's is lost when it is written anew."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from webhook.iam.evaluation import as_list
from webhook.model.errors import InvalidNameError
from webhook.model.names import RoleArn

if TYPE_CHECKING:
    from webhook.cli.setup.documents import Document

EDIT_TRUST = "iam:UpdateAssumeRolePolicy"


@dataclass(frozen=True, slots=True, order=True)
class Right:
    """One action on one resource, allowed or denied. Conditions are no part of it."""

    effect: str
    action: str
    resource: str

    def __str__(self) -> str:
        return f"{self.effect} {self.action} on {self.resource}"


def rights_of(policy: Document) -> frozenset[Right]:
    """Every right that a policy speaks of."""
    return frozenset(
        Right(str(statement.get("Effect")), action, resource)
        for statement in as_list(policy.get("Statement", []))
        if isinstance(statement, dict)
        for action in _named(statement, "Action")
        for resource in _named(statement, "Resource")
    )


def editable_roles(policy: Document) -> tuple[RoleArn, ...]:
    """The roles whose trust policies it lets its holder write; a pattern in a role's place is none."""
    resources = sorted(right.resource for right in rights_of(policy) if _edits_trust(right))
    return tuple(role for resource in resources if (role := _role(resource)) is not None)


def _edits_trust(right: Right) -> bool:
    return (right.effect, right.action) == ("Allow", EDIT_TRUST)


def _role(resource: str) -> RoleArn | None:
    try:
        role = RoleArn(resource)
    except InvalidNameError:
        return None
    return role if role.is_plain else None


def _named(statement: dict[str, Any], element: str) -> list[str]:
    """The values of an element, or of its opposite, such as NotAction."""
    excepted = as_list(statement.get(f"Not{element}", []))
    return [str(value) for value in as_list(statement.get(element, []))] + [f"all but {one}" for one in excepted]
