"""What the cluster wants, by the watch cache: namespaces, bound ServiceAccounts, and the grants they make."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import TYPE_CHECKING

from webhook.controller.former_namespaces import FormerNamespaces
from webhook.controller.live_reads import LiveReads
from webhook.controller.reflector import Reflector
from webhook.model.decisions import wanted_grants
from webhook.model.names import Subject
from webhook.runtime.clock import loop_clock
from webhook.runtime.supervision import supervise

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from webhook.controller.ports import Source
    from webhook.model.bindings import Binding
    from webhook.model.decisions import Account, Grant, LiveNamespace
    from webhook.model.names import RoleArn
    from webhook.model.removal import Shown
    from webhook.telemetry.progress import Progress


class ClusterCache:
    """The namespaces, the bound ServiceAccounts, and an index of the grants that they make.

    The index is kept up to date one namespace at a time, so asking costs nothing at any size. `wall_clock` answers
    seconds since 1970, to compare with the API server's. A selected namespace counts for `grace` seconds after its
    creation even without its ServiceAccount, so that trust comes first.
    """

    def __init__(  # noqa: PLR0913, PLR0917  what it mirrors, and how
        self,
        bindings: tuple[Binding, ...],
        namespaces: Source[LiveNamespace],
        accounts: Mapping[str, Source[Account]],
        wall_clock: Callable[[], float],
        grace: float,
        progress: Progress | None = None,
    ) -> None:
        self.bindings = bindings
        self.wall_clock = wall_clock
        self._grace = grace
        self.clock = clock = loop_clock()
        """The clock of all that reconciles."""
        self._namespaces = Reflector(namespaces, self._namespace_changed, progress)
        self._accounts = {
            name: Reflector(source, lambda key, _: self._account_changed(key), progress)
            for name, source in accounts.items()
        }
        self._grants: dict[str, list[Grant]] = {}
        self._certain: defaultdict[RoleArn, dict[Subject, Grant]] = defaultdict(dict)
        self.former = FormerNamespaces(clock)
        self._live = LiveReads(clock)
        self._listeners: list[Callable[[str], None]] = []

    @property
    def service_accounts(self) -> list[str]:
        """The names of the ServiceAccounts that bindings are about."""
        return list(self._accounts)

    @property
    def synced(self) -> bool:
        """Whether every list has been read once."""
        return all(reflector.synced.is_set() for reflector in self._reflectors())

    @property
    def in_touch(self) -> bool:
        """Whether every list has been read, and no list or watch has failed since its last news."""
        return all(reflector.in_touch for reflector in self._reflectors())

    @property
    def namespaces_in_touch(self) -> bool:
        """Whether namespaces are known as they are now, but for the watch's own delay."""
        return self._namespaces.in_touch

    def record_live(self, name: str, selected: LiveNamespace | None) -> None:
        """Take in a live read of `name`: the namespace where a binding selects it, else None."""
        self._live.record(name, selected, self.cached(name))

    def may_add(self, subject: Subject) -> bool:
        """Whether `subject` may be given something new: the watch is in touch, or a live read is fresh.

        A cache that is out of touch may show a namespace that was recreated since.
        """
        return self.namespaces_in_touch or self._live.is_fresh(subject.namespace)

    def is_behind_a_live_read(self, name: str) -> bool:
        """Whether a binding selects the namespace by a fresh live read, which the watch has not shown yet."""
        return self._live.is_ahead(name)

    async def wait_until_synced(self) -> None:
        """Wait until every list has been read once."""
        for reflector in self._reflectors():
            await reflector.synced.wait()

    async def run(self) -> None:
        """Mirror the cluster until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for reflector in self._reflectors():
                tasks.create_task(supervise("reflector", reflector.run))

    def on_change(self, listener: Callable[[str], None]) -> None:
        """Have `listener` called with the name of each namespace in which something changed."""
        self._listeners.append(listener)

    def cached(self, name: str) -> LiveNamespace | None:
        """The namespace as the watch last showed it."""
        return self._namespaces.objects.get(name)

    def subjects_in(self, namespace: str) -> list[Subject]:
        """The ServiceAccounts of bound names that a namespace may have."""
        return [Subject(namespace, name) for name in self._accounts]

    def account(self, subject: Subject) -> Account | None:
        """The ServiceAccount as the watch last showed it."""
        reflector = self._accounts.get(subject.service_account)
        return reflector.objects.get(subject.namespace) if reflector else None

    def shown(self, subject: Subject) -> Shown:
        """Its namespace and its ServiceAccount, as the watch last showed them."""
        return self.cached(subject.namespace), self.account(subject)

    def accounts(self) -> list[Account]:
        """All ServiceAccounts of bound names, as the watch last showed them."""
        return [account for reflector in self._accounts.values() for account in reflector.objects.values()]

    def namespaces(self) -> dict[str, LiveNamespace]:
        """All namespaces by name, as the watch last showed them."""
        return dict(self._namespaces.objects)

    def grants_in(self, namespace: str) -> list[Grant]:
        """The grants that a namespace makes, due or not."""
        return self._grants.get(namespace, [])

    def grant(self, subject: Subject) -> Grant | None:
        """The grant of a ServiceAccount, due or not; None where no binding is for it."""
        return next((one for one in self.grants_in(subject.namespace) if one.subject == subject), None)

    def is_young(self, namespace: str) -> bool:
        """Whether a namespace is so new that its ServiceAccount may still come."""
        found = self.cached(namespace)
        return found is not None and self.wall_clock() - found.created < self._grace

    def selects(self, subject: Subject) -> bool:
        """Whether a binding selects it by its namespace, whatever its ServiceAccount says."""
        found = self.cached(subject.namespace)
        return found is not None and any(
            one.subject == subject for one in wanted_grants([found], {}, self.bindings)
        )

    def is_due(self, grant: Grant) -> bool:
        """Whether a grant should be made now: its ServiceAccount is there, or may still come.

        In an older namespace it may never come. Where it does, its review makes the grant.
        """
        return self.account(grant.subject) is not None or self.is_young(grant.subject.namespace)

    def namespaces_with_grants(self) -> list[str]:
        """The namespaces that some binding selects."""
        return list(self._grants)

    def grants_of(self, role: RoleArn) -> list[Grant]:
        """The grants that are due and certainly for `role`: annotated with it, or of a binding with no other."""
        return [
            grant
            for grant in self._certain.get(role, {}).values()
            if self.is_due(grant) and not self.is_behind_a_live_read(grant.subject.namespace)
        ]

    def may_want(self, role: RoleArn, subject: Subject) -> bool:
        """Whether a binding that lists `role` grants it to `subject`, by the namespace as last shown.

        A namespace that was not shown yet, or is gone, wants nothing.
        """
        return any(
            grant.subject == subject and grant.binding.names_subjects and role in grant.binding.roles
            for grant in self.grants_in(subject.namespace)
        )

    def wanted_associations(self) -> dict[Subject, RoleArn]:
        """The subjects that should have an association, and the role of each."""
        return {
            grant.subject: grant.binding.roles[0]
            for grants in self._grants.values()
            for grant in grants
            if grant.binding.associates
            and self.is_due(grant)
            and not self.is_behind_a_live_read(grant.subject.namespace)
        }

    def wanted(self) -> set[Subject]:
        """The subjects that are wanted in some role."""
        return {grant.subject for grants in self._grants.values() for grant in grants}

    def _reflectors(self) -> list[Reflector[LiveNamespace] | Reflector[Account]]:
        return [self._namespaces, *self._accounts.values()]

    def _namespace_changed(self, name: str, before: LiveNamespace | None) -> None:
        if (former := self._formerly_selected(name, before)) is not None:
            self.former.add(name, former)
        self._index(name)
        shown = self.cached(name)
        if name in self._grants:
            self.former.forget(name)
            self._live.forget(name)
        elif (
            shown
            and shown.terminating
            and self.former.uid(name) != shown.uid
            and wanted_grants([shown.staying()], {}, self.bindings)
        ):
            self.former.add(name, shown.uid)  # it was terminating when it was first seen
        mirror = self._namespaces
        self.former.show(name, before, shown, watched=mirror.is_watched, gaps=mirror.gaps)
        self._tell(name)

    def _account_changed(self, name: str) -> None:
        self._index(name)
        self._tell(name)

    def _formerly_selected(self, name: str, before: LiveNamespace | None) -> str | None:
        """The uid of the one that was selected until now, by the watch or by a live read that was ahead of it."""
        if before is not None and name in self._grants:
            return before.uid
        return self._live.replaced_uid(name, self.cached(name))

    def _index(self, name: str) -> None:
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
            grants = wanted_grants([namespace], accounts, self.bindings)
            if grants:
                self._grants[name] = grants
            for grant in grants:
                if (role := _certain_role(grant)) is not None:
                    self._certain[role][grant.subject] = grant

    def _tell(self, name: str) -> None:
        for listener in self._listeners:
            listener(name)


def _certain_role(grant: Grant) -> RoleArn | None:
    if not grant.binding.names_subjects:
        return None
    if grant.annotated is not None:
        return grant.annotated
    return grant.binding.roles[0] if len(grant.binding.roles) == 1 else None
