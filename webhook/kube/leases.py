"""Leases of coordination.k8s.io/v1 as the lock between replicas keeps them."""

from __future__ import annotations

import heapq
from datetime import UTC, datetime
from operator import itemgetter
from sys import intern
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import msgspec
import structlog

from webhook.coordination.leases import DIGEST_LENGTH, DURATION, Lease
from webhook.coordination.lock import MOST_REPAIRS, MOST_REPORTED
from webhook.kube.errors import ConflictError, NotFoundError, shown
from webhook.kube.objects import decode
from webhook.model.errors import ClusterError
from webhook.model.names import Subject
from webhook.telemetry.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from webhook.kube.connection import Connection

log = structlog.get_logger(__name__)

T = TypeVar("T")

_PREFIX = "mxp-identity/"
_SECONDS = 3.0
_LONGEST_CALL = 300.0
"""Seconds of a call that waits for its turn."""

_LONGEST_IDENTITY = 512
"""Characters; a replica's identity is the name of a pod (253 at most) and a UUID."""

_MOST_DIGITS = 15

_ROOM = 150_000
_ROOM_FOR_REMOVED = 50_000
"""Characters for the subjects: the annotations of an object may have 256 KiB in all."""

_MOST_REMOVALS = 100
"""Numbers of removals within an hour; those of a minute are one."""

_Ago = Annotated[float, msgspec.Meta(ge=0)]
_Digest = Annotated[str, msgspec.Meta(pattern=rf"^[0-9a-f]{{{DIGEST_LENGTH}}}\Z")]
_Count = Annotated[int, msgspec.Meta(ge=0, le=1_000_000)]

_UnixTime = Annotated[int, msgspec.Meta(ge=0, lt=2**40)]

_LONGEST_AGE = 30
"""Characters of a number of seconds, with what JSON puts around it."""


class _Metadata(msgspec.Struct, frozen=True, rename="camel"):
    name: str
    resource_version: str = ""
    annotations: dict[str, str] = {}


class _Spec(msgspec.Struct, frozen=True, rename="camel"):
    holder_identity: str | None = None


class _LeaseObject(msgspec.Struct, frozen=True):
    metadata: _Metadata
    spec: _Spec = _Spec()


class Leases:
    """The Leases of one namespace (get, create and update leases, in the program's own namespace only).

    A part of a Lease that is not as this program writes it is ignored, and logged once for each Lease. The rest
    holds, and the next holder replaces the Lease.
    """

    def __init__(self, connection: Connection, namespace: str, progress: Progress | None = None) -> None:
        self._connection = connection
        self._progress = progress or Progress()
        self._path = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"
        self._logged: set[str] = set()

    async def get(self, name: str) -> Lease | None:
        """The Lease, or None where there is none."""
        try:
            return await self._call("GET", f"{self._path}/{name}")
        except NotFoundError:
            return None

    async def create(self, lease: Lease) -> Lease | None:
        """Create it; None where there is one already."""
        try:
            return await self._call("POST", self._path, lease)
        except ConflictError:
            return None

    async def update(self, lease: Lease) -> Lease | None:
        """Replace the version that `lease` was read as; None where it has changed or gone since."""
        try:
            return await self._call("PUT", f"{self._path}/{lease.name}", lease)
        except (ConflictError, NotFoundError):
            return None

    async def _call(self, method: str, path: str, lease: Lease | None = None) -> Lease:
        body = None if lease is None else lease_object(lease)

        def call() -> tuple[Lease, list[str]]:
            return parse_lease(self._connection.request(method, path, body=body, seconds=_SECONDS))

        with self._progress.step("leases", _LONGEST_CALL):
            stored, ignored = await self._connection.in_thread(call, urgent=True)
        if ignored and stored.name not in self._logged:
            self._logged.add(stored.name)
            log.warning("lease_parts_ignored", lease=stored.name, reason=f"ignored: {', '.join(ignored)}")
        return stored


def lease_object(lease: Lease) -> dict[str, Any]:
    """The object that the API server stores."""
    annotations = {
        f"{_PREFIX}renewals": str(lease.renewals),
        f"{_PREFIX}edition": str(lease.edition),
        f"{_PREFIX}written": _annotation(lease.written, _ROOM),
    }
    if lease.removed:
        annotations[f"{_PREFIX}removed"] = _annotation(lease.removed, _ROOM_FOR_REMOVED)
    if lease.role:
        annotations[f"{_PREFIX}role-arn"] = lease.role
    if lease.removing:
        annotations[f"{_PREFIX}removing"] = msgspec.json.encode(lease.removing[:MOST_REPORTED]).decode()
    if lease.witnessed:
        annotations[f"{_PREFIX}witnessed"] = msgspec.json.encode(lease.witnessed[:MOST_REPORTED]).decode()
    if lease.repairs:
        annotations[f"{_PREFIX}repairs"] = msgspec.json.encode(lease.repairs[-MOST_REPAIRS:]).decode()
    if lease.removals:
        removals = [(round(ago, 1), count) for ago, count in lease.removals[-_MOST_REMOVALS:]]
        annotations[f"{_PREFIX}removals"] = msgspec.json.encode(removals).decode()
    if lease.waiter:
        annotations[f"{_PREFIX}waiter"] = lease.waiter
    now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": lease.name, "resourceVersion": lease.version, "annotations": annotations},
        "spec": {"holderIdentity": lease.holder, "leaseDurationSeconds": int(DURATION), "renewTime": now},
    }


def _annotation(ages: Mapping[Subject, float], room: int) -> str:
    """The newest of them, as many as have room in so many characters."""
    kept: dict[str, float] = {}
    for subject, ago in _newest(ages.items()):
        key = f"{subject.namespace}/{subject.service_account}"
        room -= len(key) + _LONGEST_AGE
        if room < 0:
            break
        kept[key] = round(ago, 1)
    return msgspec.json.encode(kept).decode()


def parse_lease(body: bytes) -> tuple[Lease, list[str]]:
    """The Lease that the API server answered, and the names of its parts that were ignored.

    Raises ClusterError for an answer that is no Lease.
    """
    try:
        found = decode(body, _LeaseObject)
    except ValueError as error:
        raise ClusterError(f"the API server answered something else than a Lease: {shown(str(error))}") from error
    ignored: list[str] = []
    annotations = found.metadata.annotations

    def part(name: str, parse: Callable[[str], T | None], default: T) -> T:
        """What an annotation says; `default` where there is none, or it is ignored."""
        text = annotations.get(_PREFIX + name)
        value = default if text is None else parse(text)
        if value is None and text is not None:
            ignored.append(name)
        return default if value is None else value

    def subjects(name: str) -> dict[Subject, float]:
        newest, is_whole = _subjects(annotations.get(_PREFIX + name, "{}"))
        if not is_whole:
            ignored.append(name)
        return newest

    lease = Lease(
        name=found.metadata.name,
        role=annotations.get(f"{_PREFIX}role-arn", ""),
        holder=found.spec.holder_identity or None,
        waiter=part("waiter", _identity, "") or None,
        renewals=part("renewals", _number, 0),
        edition=part("edition", _number, 0),
        written=subjects("written"),
        removed=subjects("removed"),
        removals=part("removals", lambda text: _array(text, list[tuple[_Ago, _Count]], _MOST_REMOVALS), ()),
        repairs=part("repairs", lambda text: _array(text, list[_UnixTime], MOST_REPAIRS), ()),
        removing=part("removing", _digests, ()),
        witnessed=part("witnessed", _digests, ()),
        version=found.metadata.resource_version,
    )
    return lease, ignored


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS else None


def _identity(text: str) -> str | None:
    return text if len(text) <= _LONGEST_IDENTITY else None


def _subjects(text: str) -> tuple[dict[Subject, float], bool]:
    """The newest subjects of an annotation with their ages in seconds, and whether they are all of it."""
    try:
        ages = msgspec.json.decode(text, type=dict[str, float])
    except (ValueError, RecursionError):
        return {}, False
    found = {}
    for key, ago in _newest(ages.items()):
        namespace, _, name = key.partition("/")
        try:
            found[Subject(intern(namespace), intern(name))] = max(ago, 0.0)
        except ValueError:
            continue
    return found, len(found) == len(ages)


def _digests(text: str) -> tuple[str, ...] | None:
    return _array(text, list[_Digest], MOST_REPORTED)


def _array(text: str, kind: type[list[T]], most: int) -> tuple[T, ...] | None:
    """An array of `kind`; None where it is not as this program writes it, or has more than `most` elements."""
    try:
        found = msgspec.json.decode(text, type=kind)
    except (ValueError, RecursionError):
        return None
    return tuple(found) if len(found) <= most else None


def _newest(ages: Iterable[tuple[T, float]]) -> list[tuple[T, float]]:
    return heapq.nsmallest(MOST_REPORTED, ages, key=itemgetter(1))
