"""The API server as reconciling and admission need it: objects, lists, watches, and what goes wrong with them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Generic, TypeVar

from webhook.controller.ports import Change, RunningPod
from webhook.model.decisions import Account, LiveNamespace
from webhook.model.errors import ClusterError, ExpiredError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from webhook.model.names import RoleArn, Subject
    from webhook.telemetry.events import EventSubject

T = TypeVar("T")

WATCH_SECONDS = 300.0
_MOMENT = 1e-6
"""Seconds: nearer to its end than that a watch has ended, as no timer waits for less."""
LABEL = "internal.spaces.upbound.io/controlplane-name"


class SimulatedSource(Generic[T]):
    """One kind of object: list and watch, and a log of what changed."""

    def __init__(self, resource: str, latency: float) -> None:
        self.resource = resource
        self.objects: dict[str, T] = {}
        self.version = 0
        self.lists: list[float] = []
        self.watches: list[float] = []
        self.failing_lists: float = 0
        self.failing_watches: float = 0
        self.expiring_watches: float = 0
        self.watch_seconds = WATCH_SECONDS
        self.latency = latency
        self._log: list[tuple[int, Change[T]]] = []
        self._shown: list[Change[T]] = []
        self._forgotten = 0
        self._changed = asyncio.Event()
        self._broken = asyncio.Event()

    def put(self, key: str, value: T) -> None:
        """Create or change an object."""
        self.objects[key] = value
        self._note(Change(str(self.version + 1), key, value))

    def remove(self, key: str) -> None:
        """Delete an object; nothing if there is none."""
        if self.objects.pop(key, None) is not None:
            self._note(Change(str(self.version + 1), key, None))

    def lose(self, key: str) -> None:
        """Tell watchers that an object was deleted, though it is there."""
        self._note(Change(str(self.version + 1), key, None))

    def bookmark(self) -> None:
        """Tell watchers the version, without a change."""
        self._note(Change(str(self.version + 1)))

    def restore(self, version: int, objects: dict[str, T]) -> None:
        """Go back to an older version, as etcd does from a backup: watches that are open notice nothing."""
        self.version, self.objects = version, dict(objects)
        self._log = [entry for entry in self._log if entry[0] <= version]

    def show(self, version: int, key: str | None = None, value: T | None = None) -> None:
        """Tell the one watcher of something with a version that it should not have."""
        self._shown.append(Change(str(version), key, value))
        self._changed.set()
        self._changed = asyncio.Event()

    def break_watches(self) -> None:
        """Cut every watch that is open."""
        self._broken.set()
        self._broken = asyncio.Event()

    def forget(self) -> None:
        """Compact: a watch from any version before now is too old."""
        self._forgotten = self.version
        self._log.clear()

    async def list(self) -> tuple[dict[str, T], str]:
        """As the port says."""
        self.lists.append(asyncio.get_running_loop().time())
        objects, version = dict(self.objects), str(self.version)
        await asyncio.sleep(self.latency)
        if self.failing_lists > 0:
            self.failing_lists -= 1
            raise ClusterError(f"list {self.resource}: 503 service unavailable")
        return objects, version

    async def newest_version(self) -> str:
        """As the port says."""
        await asyncio.sleep(self.latency)
        if self.failing_lists > 0:
            self.failing_lists -= 1
            raise ClusterError(f"list {self.resource}: 503 service unavailable")
        return str(self.version)

    async def watch(self, version: str) -> AsyncGenerator[Change[T], None]:
        """As the port says."""
        loop = asyncio.get_running_loop()
        self.watches.append(loop.time())
        end = loop.time() + self.watch_seconds
        seen, broken = int(version), self._broken
        await asyncio.sleep(self.latency)
        if self.failing_watches > 0:
            self.failing_watches -= 1
            raise ClusterError(f"watch {self.resource}: 403 forbidden")
        if self.expiring_watches > 0 or seen < self._forgotten:
            self.expiring_watches = max(self.expiring_watches - 1, 0)
            raise ExpiredError(f"watch {self.resource}: 410 too old resource version")
        while end - loop.time() > _MOMENT:
            for number, change in [entry for entry in self._log if entry[0] > seen]:
                await asyncio.sleep(self.latency)
                if broken.is_set():
                    break
                seen = number
                yield change
            while self._shown:
                yield self._shown.pop(0)
            if broken.is_set():
                raise ClusterError(f"watch {self.resource}: connection reset by peer")
            await self._wait_for_change(seen, broken, end)

    async def _wait_for_change(self, seen: int, broken: asyncio.Event, end: float) -> None:
        if self.version > seen:
            return
        waiting = [asyncio.ensure_future(event.wait()) for event in (self._changed, broken)]
        try:
            timeout = end - asyncio.get_running_loop().time()
            await asyncio.wait(waiting, timeout=max(timeout, 0), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waiting:
                task.cancel()

    def _note(self, change: Change[T]) -> None:
        self.version += 1
        self._log.append((self.version, change))
        self._changed.set()
        self._changed = asyncio.Event()


@dataclass(frozen=True, slots=True)
class Event:
    """An Event that was written."""

    about: EventSubject
    kind: str
    reason: str
    message: str


class RecordedEvents:
    """The port Events."""

    def __init__(self) -> None:
        self.written: list[Event] = []

    def warn(self, about: EventSubject, reason: str, message: str) -> None:
        """As the port says."""
        self.written.append(Event(about, "Warning", reason, message))

    def note(self, about: EventSubject, reason: str, message: str) -> None:
        """As the port says."""
        self.written.append(Event(about, "Normal", reason, message))

    def reasons(self) -> list[str]:
        """The reasons of all Events, in order."""
        return [event.reason for event in self.written]


class SimulatedCluster:
    """The port Cluster, and the sources of a view; `latency` seconds for each call and each event."""

    def __init__(self, *service_accounts: str, latency: float = 0.02) -> None:
        self.namespaces: SimulatedSource[LiveNamespace] = SimulatedSource("namespaces", latency)
        self.accounts: dict[str, SimulatedSource[Account]] = {
            name: SimulatedSource("serviceaccounts", latency) for name in service_accounts
        }
        self.running: dict[str, RunningPod] = {}
        self.annotated: list[tuple[Subject, RoleArn]] = []
        self.patches: list[Subject] = []
        """Each call that asks for an annotation, whatever becomes of it."""
        self.reads: list[str] = []
        self.failing_annotations: float = 0
        self.failing_reads: float = 0
        self.reads_take: float = 0
        """Seconds that a look-up of a namespace takes, beside the latency."""
        self.pods_latency = latency
        self._latency = latency

    def add_namespace(
        self, name: str, *, selected: bool = True, terminating: bool = False, uid: str = "uid-1", **more: str
    ) -> None:
        """Create or change a namespace; `more` are its other labels."""
        labels = {LABEL: "cp", **more} if selected else more
        before = self.namespaces.objects.get(name)
        created = before.created if before and before.uid == uid else asyncio.get_running_loop().time()
        self.namespaces.put(name, LiveNamespace(name, uid, labels, terminating, created))

    def delete_namespace(self, subject: Subject) -> None:
        """Delete a control plane's namespace as the API server does it: terminating, then gone."""
        shown = self.namespaces.objects[subject.namespace]
        self.namespaces.put(subject.namespace, replace(shown, terminating=True))
        self.remove_namespace(subject)

    def remove_namespace(self, subject: Subject) -> None:
        """Have a namespace be gone, its ServiceAccount too, as after a restore: it was never terminating."""
        self.remove_account(subject)
        self.namespaces.remove(subject.namespace)

    def remove_account(self, subject: Subject) -> None:
        """Delete a ServiceAccount."""
        self.accounts[subject.service_account].remove(subject.namespace)

    def add_account(self, subject: Subject, annotation: str | None = None) -> None:
        """Create or change a ServiceAccount."""
        account = Account(subject.namespace, subject.service_account, annotation)
        self.accounts[subject.service_account].put(subject.namespace, account)

    def annotation(self, subject: Subject) -> str | None:
        """The role annotation as it is."""
        return self.accounts[subject.service_account].objects[subject.namespace].role_annotation

    def run_pod(self, subject: Subject, name: str, *, has_identity: bool, role: str | None = None) -> None:
        """Start a pod; `role` is the one that it carries by the annotation."""
        roles = frozenset({role} if role else ())
        self.running[name] = RunningPod(
            subject.namespace, name, subject.service_account, f"uid-{name}", has_identity, roles=roles
        )

    def break_watches(self) -> None:
        """Cut every watch that is open."""
        self.namespaces.break_watches()
        for source in self.accounts.values():
            source.break_watches()

    def forget(self) -> None:
        """Compact: all versions up to now are too old to watch from."""
        self.namespaces.forget()
        for source in self.accounts.values():
            source.forget()

    async def namespace(self, name: str, seconds: float) -> LiveNamespace | None:  # noqa: ARG002
        """As the port says."""
        self.reads.append(name)
        await asyncio.sleep(self._latency + self.reads_take)
        if self.failing_reads > 0:
            self.failing_reads -= 1
            raise ClusterError("GET namespace: 503 service unavailable")
        return self.namespaces.objects.get(name)

    async def account(self, subject: Subject, seconds: float) -> Account | None:  # noqa: ARG002
        """As the port says."""
        await asyncio.sleep(self._latency)
        if self.failing_reads > 0:
            self.failing_reads -= 1
            raise ClusterError("GET serviceaccount: 503 service unavailable")
        return self.accounts[subject.service_account].objects.get(subject.namespace)

    async def annotate(self, subject: Subject, role: RoleArn, replacing: str | None) -> bool:
        """As the port says."""
        self.patches.append(subject)
        await asyncio.sleep(self._latency)
        if self.failing_annotations > 0:
            self.failing_annotations -= 1
            raise ClusterError("PATCH serviceaccount: 500 internal error")
        source = self.accounts[subject.service_account]
        account = source.objects.get(subject.namespace)
        if account is None or account.role_annotation != replacing:
            return False
        source.put(subject.namespace, replace(account, role_annotation=role.value))
        self.annotated.append((subject, role))
        return True

    async def pods(self, service_account: str, namespace: str | None = None) -> list[RunningPod]:
        """As the port says."""
        await asyncio.sleep(self.pods_latency)
        return [
            pod
            for pod in self.running.values()
            if pod.service_account == service_account and namespace in {None, pod.namespace}
        ]
