"""What the cluster wants: a grant for every ServiceAccount of a binding, there already or about to be."""

from __future__ import annotations

from typing import TYPE_CHECKING

from webhook.model.decisions import Account, Grant, LiveNamespace, decide_existing

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from webhook.model.bindings import Binding

AccountKey = tuple[str, str]
"""Namespace and name."""


def wanted_grants(
    namespaces: Iterable[LiveNamespace],
    accounts: Mapping[AccountKey, Account],
    bindings: tuple[Binding, ...],
) -> list[Grant]:
    """The grants for all selected namespaces, in order of namespace and ServiceAccount.

    A selected namespace whose ServiceAccount is not there yet counts: its grant starts before the pod's owner
    exists, so that the review finds it done.
    """
    names = sorted({binding.service_account for binding in bindings})
    return [
        decision
        for namespace in sorted(namespaces, key=lambda namespace: namespace.name)
        for name in names
        if isinstance(
            decision := decide_existing(
                accounts.get((namespace.name, name), Account(namespace.name, name)), namespace, bindings
            ),
            Grant,
        )
    ]
