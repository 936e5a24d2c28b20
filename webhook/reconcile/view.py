"""What the cluster wants, by the watch cache: namespaces, bound ServiceAccounts, and the grants they make."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import TYPE_CHECKING

from webhook.domain.wanted import wanted_grants
from webhook.reconcile.reflector import Reflector

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from webhook.domain.bindings import Binding
    from webhook.domain.decisions import Account, Grant, LiveNamespace
    from webhook.domain.names import RoleArn, Subject
    from webhook.reconcile.ports import Source


class ClusterView:
    """The namespaces, the bound ServiceAccounts, and an index of the grants that they make.

    The index is kept up to date one namespace at a time, so that asking costs nothing at any size.
    """

    def __init__(
        self,
        bindings: tuple[Binding, ...],
        namespaces: Source[LiveNamespace],
        accounts: Mapping[str, Source[Account]],
    ) -> None:
        self._bindings = bindings
        self._namespaces = Reflector(namespaces, self._namespace_changed)
        self._accounts = {name: Reflector(source, self._namespace_changed) for name, source in accounts.items()}
        self._grants: dict[str, list[Grant]] = {}
        self._certain: defaultdict[RoleArn, dict[Subject, Grant]] = defaultdict(dict)
        self._listeners: list[Callable[[str], None]] = []

    @property
    def service_accounts(self) -> list[str]:
        """The names of the ServiceAccounts that bindings are about."""
        return list(self._accounts)

    @property
    def synced(self) -> bool:
        """Whether every list has been read once."""
        return all(reflector.synced.is_set() for reflector in self._reflectors())

    async def wait_until_synced(self) -> None:
        """Wait until every list has been read once."""
        for reflector in self._reflectors():
            await reflector.synced.wait()

    async def run(self) -> None:
        """Mirror the cluster until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for reflector in self._reflectors():
                tasks.create_task(reflector.run())

    def on_change(self, listener: Callable[[str], None]) -> None:
        """Have `listener` called with the name of each namespace in which something changed."""
        self._listeners.append(listener)

    def cached(self, name: str) -> LiveNamespace | None:
        """The namespace as the watch last showed it."""
        return self._namespaces.objects.get(name)

    def account(self, subject: Subject) -> Account | None:
        """The ServiceAccount as the watch last showed it."""
        reflector = self._accounts.get(subject.service_account)
        return reflector.objects.get(subject.namespace) if reflector else None

    def grants_in(self, namespace: str) -> list[Grant]:
        """The grants that a namespace makes."""
        return self._grants.get(namespace, [])

    def namespaces_with_grants(self) -> list[str]:
        """The namespaces that some binding selects."""
        return list(self._grants)

    def grants_of(self, role: RoleArn) -> Iterable[Grant]:
        """The grants that are for `role` for certain: annotated with it, or bound to it alone."""
        return self._certain.get(role, {}).values()

    def may_want(self, role: RoleArn, subject: Subject) -> bool:
        """Whether a binding that lists `role` grants it to `subject`, by the namespace as last shown.

        A namespace that was not shown yet, or is gone, wants nobody.
        """
        return any(
            grant.subject == subject and grant.binding.names_subjects and role in grant.binding.roles
            for grant in self.grants_in(subject.namespace)
        )

    def associations(self) -> dict[Subject, RoleArn]:
        """Who is wanted associated, and with which role."""
        return {
            grant.subject: grant.binding.roles[0]
            for grants in self._grants.values()
            for grant in grants
            if grant.binding.associates
        }

    def wanted(self) -> set[Subject]:
        """Who is wanted in some role."""
        return {grant.subject for grants in self._grants.values() for grant in grants}

    def _reflectors(self) -> list[Reflector[LiveNamespace] | Reflector[Account]]:
        return [self._namespaces, *self._accounts.values()]

    def _namespace_changed(self, name: str) -> None:
        for grant in self._grants.pop(name, []):
            if (role := _certain_role(grant)) is not None:
                self._certain[role].pop(grant.subject, None)
        namespace = self._namespaces.objects.get(name)
        if namespace is not None:
            accounts = {
                (name, account_name): account
                for account_name, reflector in self._accounts.items()
                if (account := reflector.objects.get(name)) is not None
            }
            grants = wanted_grants([namespace], accounts, self._bindings)
            if grants:
                self._grants[name] = grants
            for grant in grants:
                if (role := _certain_role(grant)) is not None:
                    self._certain[role][grant.subject] = grant
        for listener in self._listeners:
            listener(name)


def _certain_role(grant: Grant) -> RoleArn | None:
    if not grant.binding.names_subjects:
        return None
    if grant.annotated is not None:
        return grant.annotated
    return grant.binding.roles[0] if len(grant.binding.roles) == 1 else None
