"""A simulated API server: namespaces, ServiceAccounts and Leases, with watches, outages and slow answers."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from tests.simulation.processes import WORLD
from tests.simulation.sights import KINDS, Sights
from tests.simulation.wire import Fate, SilenceError
from tests.support.sites import SERVICE_ACCOUNT
from webhook.controller.ports import Change, RunningPod
from webhook.model.decisions import Account, LiveNamespace
from webhook.model.errors import ClusterError, ExpiredError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from tests.simulation.wire import Wire
    from tests.simulation.wishes import Wishes
    from tests.simulation.witness import Witness
    from webhook.coordination.leases import Lease
    from webhook.model.names import RoleArn, Subject

T = TypeVar("T")

_LATENCY = 0.006

_BOOKMARK_SECONDS = 60.0


@dataclass(slots=True)
class ApiTrouble:
    """What calls meet at present: probabilities, and seconds added to an answer."""

    down: bool = False
    error: float = 0.0
    lost: float = 0.0
    slow: float = 0.0
    watch_delay: float = 0.0
    cut: frozenset[str] = frozenset()
    """Names of namespaces that are missing from lists."""
    cut_from_reads: bool = False
    """Whether they are missing from single reads too: then the API server itself says that they are gone."""


class ApiServer:
    """What is stored, and every change in order."""

    def __init__(self, wire: Wire, witness: Witness, wishes: Wishes, sights: Sights) -> None:
        self.wire = wire
        self.witness = witness
        self.sights = sights
        self._wishes = wishes
        self.trouble = ApiTrouble()
        self.namespaces: dict[str, LiveNamespace] = {}
        self.accounts: dict[str, Account] = {}
        self.leases: dict[str, Lease] = {}
        self.oldest = 0
        self.changes: list[tuple[int, str, str, Any]] = []
        self.watchers: dict[_Watcher, None] = {}

    @property
    def version(self) -> int:
        """The number of the last change."""
        return len(self.changes)

    def store(self, kind: str, key: str, value: Any) -> None:
        """Put an object there, or take it away with None, and tell who watches."""
        objects = self._objects(kind)
        if value is None:
            objects.pop(key, None)
        else:
            objects[key] = value
        self.changes.append((self.version + 1, kind, key, value))
        self.sights.changed(kind, key, self.version)
        self.witness.cluster_changed()
        self._say(key)
        for watcher in self.watchers:
            watcher.see(self.changes[-1])

    def forget_old_versions(self) -> None:
        """Compact: watches end, and those of old versions cannot be resumed."""
        self.oldest = self.version
        self.break_watches()

    def cut(self, names: frozenset[str], *, from_reads: bool) -> None:
        """Have these be missing from now on, as after a restore that went wrong; every client must list again."""
        touched = names | self.trouble.cut
        self.trouble.cut, self.trouble.cut_from_reads = names, from_reads
        for name in sorted(touched):
            self._say(name)
        for kind in KINDS:
            self.changes.append((self.version + 1, kind, "", None))
        self.forget_old_versions()

    def read(self, kind: str, name: str) -> Any:
        """The answer to a single read."""
        if self.trouble.cut_from_reads and name in self.trouble.cut:
            return None
        return self._objects(kind).get(name)

    def break_watches(self) -> None:
        """End every watch with an error."""
        for watcher in self.watchers:
            watcher.fail()

    def annotate(self, subject: Subject, role: RoleArn, replacing: str | None) -> bool:
        """Set the annotation of a ServiceAccount where it is `replacing`."""
        account = self.accounts.get(subject.namespace)
        if account is None or account.role_annotation != replacing:
            return False
        self.store("accounts", subject.namespace, replace(account, role_annotation=role.value))
        return True

    def put_lease(self, lease: Lease, *, new: bool) -> Lease | None:
        """Compare and swap."""
        found = self.leases.get(lease.name)
        if (found is None) != new or (found is not None and found.version != lease.version):
            return None
        stored = replace(lease, version=str(int(lease.version or 0) + 1))
        self.leases[lease.name] = stored
        return stored

    def _say(self, name: str) -> None:
        namespace, account = self.read("namespaces", name), self.read("accounts", name)
        self._wishes.says(name, namespace, account, self.witness.now())

    def _objects(self, kind: str) -> dict[str, Any]:
        return self.namespaces if kind == "namespaces" else self.accounts


class ApiClient:
    """One process's way to the API server: the ports Cluster and LeaseStore, and sources to watch."""

    def __init__(self, server: ApiServer, caller: str) -> None:
        self._server = server
        self._caller = caller

    def source(self, kind: str) -> ObjectSource[Any]:
        """Namespaces or ServiceAccounts, to list and to watch."""
        return ObjectSource(self._server, self, kind, self._caller)

    async def namespace(self, name: str, seconds: float) -> LiveNamespace | None:  # noqa: ARG002  the port's signature
        """As the port says."""
        return await self.call(lambda: self._server.read("namespaces", name))

    async def account(self, subject: Subject, seconds: float) -> Account | None:  # noqa: ARG002  the wire has its own
        """As the port Cluster says."""
        return await self.call(lambda: self._server.read("accounts", subject.namespace))

    async def annotate(self, subject: Subject, role: RoleArn, replacing: str | None) -> bool:
        """As the port says."""
        self._server.witness.note(self._caller, f"annotates {subject.namespace} with {role.name}")
        return await self.call(lambda: self._server.annotate(subject, role, replacing))

    async def pods(self, service_account: str, namespace: str | None = None) -> list[RunningPod]:  # noqa: ARG002  the port's
        """None: pods are not simulated."""
        return await self.call(list)

    async def get(self, name: str) -> Lease | None:
        """As the port LeaseStore says."""
        return await self.call(lambda: self._server.leases.get(name))

    async def create(self, lease: Lease) -> Lease | None:
        """As the port LeaseStore says."""
        return await self.call(lambda: self._server.put_lease(lease, new=True))

    async def update(self, lease: Lease) -> Lease | None:
        """As the port LeaseStore says."""
        return await self.call(lambda: self._server.put_lease(lease, new=False))

    async def call(self, serve: Callable[[], T]) -> T:
        """One request. Raises ClusterError."""
        trouble, fate, latency = self._server.trouble, Fate.SERVED, _LATENCY
        if trouble.slow:
            latency += random.uniform(0, trouble.slow)
        if trouble.lost and random.random() < trouble.lost:
            fate = random.choice([Fate.ANSWER_LOST, Fate.REQUEST_LOST])
            self._server.witness.met("api_lost", self._caller, fate.name)
        fails = trouble.down or (trouble.error and random.random() < trouble.error)
        if fails:
            self._server.witness.met("api_error", self._caller, "")

        def refuse() -> T:
            raise ClusterError("etcdserver: leader changed")

        try:
            return await self._server.wire.ask(refuse if fails else serve, latency, fate)
        except SilenceError as error:
            raise ClusterError(str(error)) from error


class ObjectSource(Generic[T]):
    """The port Source."""

    def __init__(self, server: ApiServer, client: ApiClient, kind: str, caller: str) -> None:
        self.resource = kind
        self._caller = caller
        self._server = server
        self._client = client

    async def list(self) -> tuple[dict[str, T], str]:
        """As the port says."""
        objects, version, cut = await self._client.call(self._snapshot)
        self._server.sights.listed(self._caller, self.resource, version, cut)
        if self.resource == "namespaces":
            self._server.sights.listed_namespaces(self._caller, cast("dict[str, LiveNamespace]", objects))
        return objects, str(version)

    async def newest_version(self) -> str:
        """As the port says."""
        return str(await self._client.call(lambda: self._server.version))

    async def watch(self, version: str) -> AsyncGenerator[Change[T], None]:
        """As the port says."""
        watcher: _Watcher = await self._client.call(lambda: self._open(int(version)))
        try:
            while True:
                number, key, value = await watcher.next()
                if key is not None:
                    self._server.sights.watched(self._caller, self.resource, number, key)
                    if self.resource == "namespaces":
                        self._server.sights.watched_namespace(self._caller, key, value)
                yield Change(str(number), key, value)
        finally:
            self._server.watchers.pop(watcher, None)
            if self.resource == "namespaces":
                self._server.sights.lost_touch(self._caller)

    def _snapshot(self) -> tuple[dict[str, T], int, frozenset[str]]:
        stored: Any = self._server.namespaces if self.resource == "namespaces" else self._server.accounts
        cut = self._server.trouble.cut
        return {name: one for name, one in stored.items() if name not in cut}, self._server.version, cut

    def _open(self, version: int) -> _Watcher:
        if version < self._server.oldest:
            raise ExpiredError("too old resource version")
        watcher = _Watcher(self._server, self.resource)
        self._server.watchers[watcher] = None
        for change in self._server.changes[version:]:
            watcher.see(change)
        watcher.bookmark_later()
        return watcher


class _Watcher:
    """Changes of one kind on their way to one process, in order."""

    def __init__(self, server: ApiServer, kind: str) -> None:
        self._server = server
        self._kind = kind
        self._arrived: list[tuple[int, str | None, Any]] = []
        self._failed = False
        self._waiting: asyncio.Future[None] | None = None
        self._last = 0.0

    def see(self, change: tuple[int, str, str, Any]) -> None:
        """A change has happened; it arrives some time later."""
        number, kind, key, value = change
        if kind == self._kind and not self._failed:
            self._send((number, key, value))

    def bookmark_later(self) -> None:
        """Say every minute how far it has come, though nothing has changed, as the API server does."""
        asyncio.get_running_loop().call_later(_BOOKMARK_SECONDS, self._bookmark, context=WORLD)

    def fail(self) -> None:
        """The connection breaks; what has not arrived by now does not arrive."""
        self._failed = True
        self._wake()

    async def next(self) -> tuple[int, str | None, Any]:
        """The next change. Raises ClusterError."""
        while not self._arrived:
            if self._failed or self._server.wire.cut:
                raise ClusterError("watch broken")
            self._waiting = asyncio.get_running_loop().create_future()
            await self._waiting
        return self._arrived.pop(0)

    def _bookmark(self) -> None:
        if not self._failed and not self._server.wire.cut:
            self._send((self._server.version, None, None))
            self.bookmark_later()

    def _send(self, news: tuple[int, str | None, Any]) -> None:
        loop = asyncio.get_running_loop()
        delay = random.uniform(0.002, 0.05) + self._server.trouble.watch_delay
        self._last = max(self._last + 1e-6, loop.time() + delay)
        loop.call_at(self._last, self._arrive, news, context=WORLD)

    def _arrive(self, change: tuple[int, str | None, Any]) -> None:
        if not self._failed:
            self._arrived.append(change)
            self._wake()

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)


def account_of(namespace: str, annotation: str | None) -> Account:
    """The ServiceAccount of a control plane as it is stored."""
    return Account(namespace, SERVICE_ACCOUNT, role_annotation=annotation)
