"""What a policy of an account allows: compared where a call would take rights away."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from webhook.iam.evaluation import as_list
from webhook.model.errors import InvalidNameError
from webhook.model.names import RoleArn

if TYPE_CHECKING:
    from webhook.cli.account_calls import Document

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
    """Every right that a policy allows or denies."""
    return frozenset(
        Right(str(statement.get("Effect")), action, resource)
        for statement in statements_of(policy)
        for action in _named(statement, "Action")
        for resource in _named(statement, "Resource")
    )


def statements_of(policy: Document) -> list[dict[str, Any]]:
    """Its statements; IAM takes a single one without a list."""
    return [one for one in as_list(policy.get("Statement", [])) if isinstance(one, dict)]


def editable_roles(policy: Document) -> tuple[RoleArn, ...]:
    """The roles whose trust policies it allows to be edited; a pattern in place of a role is none."""
    rights = sorted(rights_of(policy))
    resources = [one.resource for one in rights if (one.effect, one.action) == ("Allow", EDIT_TRUST)]
    return tuple(role for resource in resources if (role := _role(resource)) is not None)


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
