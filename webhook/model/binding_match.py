"""How a ServiceAccount matches the bindings: what a person should know beyond what is done about it."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from webhook.model.decisions import Grant, Ignore, IgnoreReason, decide_existing

if TYPE_CHECKING:
    from webhook.model.bindings import Binding
    from webhook.model.decisions import Account, LiveNamespace


class BindingMatch(StrEnum):
    """How a ServiceAccount of a bound name matches the bindings."""

    BOUND = "bound"
    AMBIGUOUS = "ambiguous"
    """Several bindings that differ in mode or roles select it; the first decides."""
    FOREIGN_ROLE = "foreign_role"
    """Its annotation names a role that no binding lists, and its binding keeps it."""
    NOT_SELECTED = "not_selected"
    """It has a bound name, but no binding selects its namespace: perhaps a label is missing."""


def binding_match(
    account: Account, namespace: LiveNamespace | None, bindings: tuple[Binding, ...]
) -> BindingMatch | None:
    """How `account` matches the bindings; None where it is being deleted."""
    decision = decide_existing(account, namespace, bindings)
    if isinstance(decision, Grant):
        return BindingMatch.AMBIGUOUS if len(competing(account, namespace, bindings)) > 1 else BindingMatch.BOUND
    reason = decision.reason if isinstance(decision, Ignore) else IgnoreReason.FOREIGN_ROLE
    return _BY_REASON.get(reason)


def competing(
    account: Account, namespace: LiveNamespace | None, bindings: tuple[Binding, ...]
) -> tuple[Binding, ...]:
    """The bindings that select `account`, the one that decides first; one for each mode and set of roles."""
    if namespace is None:
        return ()
    found = [
        binding
        for binding in bindings
        if binding.service_account == account.name and binding.selects(namespace.name, namespace.labels)
    ]
    return tuple({(one.mode, frozenset(one.roles)): one for one in reversed(found)}.values())[::-1]


_BY_REASON = {
    IgnoreReason.NOT_BOUND: BindingMatch.NOT_SELECTED,
    IgnoreReason.FOREIGN_ROLE: BindingMatch.FOREIGN_ROLE,
}
