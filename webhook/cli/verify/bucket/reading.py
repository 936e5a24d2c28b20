"""Reading backup configurations and schedules, and the agent's DaemonSets, with a person's rights."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from webhook.cli.snapshots.inspection import list_objects
from webhook.cli.verify.bucket.agent import Agents
from webhook.cli.verify.bucket.configs import BackupConfig, Backups, ConfigKind, Schedule
from webhook.kube.errors import NotFoundError
from webhook.model.errors import ClusterError

if TYPE_CHECKING:
    from webhook.kube.connection import Connection

_SHARED, _SPACE = "/apis/spaces.upbound.io/v1alpha1", "/apis/admin.spaces.upbound.io/v1alpha1"
"""The stored version of the shared kinds, and the only one of the Space's (CRDs v1.13 to v1.17)."""

_CONFIGS = {
    ConfigKind.SHARED: f"{_SHARED}/sharedbackupconfigs",
    ConfigKind.SPACE: f"{_SPACE}/spacebackupconfigs",
}
_SCHEDULES = {
    "SharedBackupSchedule": f"{_SHARED}/sharedbackupschedules",
    "BackupSchedule": f"{_SHARED}/backupschedules",
    "SpaceBackupSchedule": f"{_SPACE}/spacebackupschedules",
}
_DAEMON_SETS = "/apis/apps/v1/namespaces/kube-system/daemonsets"
_NODES = "/api/v1/nodes"


class _Metadata(msgspec.Struct, frozen=True):
    name: str
    namespace: str = ""
    labels: dict[str, str] | None = None


class _Named(msgspec.Struct, frozen=True):
    metadata: _Metadata


class _Kind(msgspec.Struct, frozen=True):
    name: str


class _Kinds(msgspec.Struct, frozen=True):
    resources: list[_Kind]


class _Credentials(msgspec.Struct, frozen=True):
    source: str = ""


class _Storage(msgspec.Struct, frozen=True):
    provider: str = ""
    bucket: str = ""
    prefix: str = ""
    credentials: _Credentials = _Credentials()
    config: dict[str, msgspec.Raw] | None = None

    def setting(self, key: str) -> str:
        """A text of Thanos' free-form configuration; empty where it is none."""
        try:
            return msgspec.json.decode((self.config or {}).get(key, b'""'), type=str)
        except msgspec.MsgspecError:
            return ""


class _ConfigSpec(msgspec.Struct, rename="camel", frozen=True):
    object_storage: _Storage = _Storage()


class _Config(msgspec.Struct, frozen=True):
    metadata: _Metadata
    spec: _ConfigSpec = _ConfigSpec()


class _Reference(msgspec.Struct, frozen=True):
    name: str = ""


class _Selector(msgspec.Struct, rename="camel", frozen=True):
    names: list[str] | None = None
    label_selectors: list[msgspec.Raw] | None = None


class _ScheduleSpec(msgspec.Struct, rename="camel", frozen=True):
    config_ref: _Reference = _Reference()
    control_plane: str = ""
    control_plane_selector: _Selector = _Selector()
    suspend: bool = False


class _Schedule(msgspec.Struct, frozen=True):
    metadata: _Metadata
    spec: _ScheduleSpec = _ScheduleSpec()


async def read_backups(connection: Connection) -> Backups:
    """All configurations and schedules of the cluster (list). A kind that may not be listed is unread.

    Raises ClusterError where the API server does not say what it serves.
    """
    configs: list[BackupConfig] = []
    schedules: list[Schedule] = []
    unread: dict[str, str] = {}
    listed_kinds: set[ConfigKind] = set()
    served = [*await _served(connection, _SHARED), *await _served(connection, _SPACE)]
    for kind, path in _CONFIGS.items():
        if path in served:
            try:
                configs += [_config(kind, one) for one in await list_objects(connection, _Config, path)]
                listed_kinds.add(kind)
            except ClusterError as error:
                unread[kind.resource] = str(error)
    for name, path in _SCHEDULES.items():
        if path in served:
            try:
                schedules += [_schedule(name, one) for one in await list_objects(connection, _Schedule, path)]
            except ClusterError as error:
                unread[path.rpartition("/")[2]] = str(error)
    return Backups(tuple(configs), tuple(schedules), frozenset(listed_kinds), unread)


async def _served(connection: Connection, root: str) -> list[str]:
    """Where the kinds of a version are, by discovery: lists of what is not there may be denied, too."""
    try:
        found = await connection.in_thread(lambda: connection.ask(_Kinds, "GET", root))
    except NotFoundError:
        return []
    return [f"{root}/{one.name}" for one in found.resources]


async def read_agents(connection: Connection) -> Agents:
    """Those of the cluster (list daemonsets in kube-system, list nodes)."""
    sets, why_sets = await _named(connection, _DAEMON_SETS)
    nodes, why_nodes = await _named(connection, _NODES)
    return Agents(
        None if sets is None else frozenset(one.metadata.name for one in sets),
        None if nodes is None else {one.metadata.name: one.metadata.labels or {} for one in nodes},
        why_sets or why_nodes,
    )


async def _named(connection: Connection, path: str) -> tuple[list[_Named] | None, str]:
    try:
        return await list_objects(connection, _Named, path), ""
    except ClusterError as error:
        return None, str(error)


def _config(kind: ConfigKind, found: _Config) -> BackupConfig:
    storage = found.spec.object_storage
    return BackupConfig(
        kind=kind,
        name=found.metadata.name,
        group=found.metadata.namespace,
        provider=storage.provider,
        bucket=storage.bucket,
        prefix=storage.prefix,
        source=storage.credentials.source,
        region=storage.setting("region"),
        endpoint=storage.setting("endpoint"),
    )


def _schedule(kind: str, found: _Schedule) -> Schedule:
    spec, selector = found.spec, found.spec.control_plane_selector
    names = frozenset({spec.control_plane} if spec.control_plane else selector.names or ())
    return Schedule(
        kind=kind,
        name=found.metadata.name,
        group=found.metadata.namespace,
        config=spec.config_ref.name,
        control_planes=None if selector.label_selectors else names,
        suspended=spec.suspend,
    )
