"""Backup configurations and schedules of Spaces, as far as they decide whether a backup reaches its bucket."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from webhook.model.control_planes import ControlPlane

INJECTED = "InjectedIdentity"
"""The source of credentials that is the pod's own identity."""


class ConfigKind(StrEnum):
    """The kinds of configuration, by the workload whose backups they are about."""

    SHARED = "SharedBackupConfig"
    """Of the control planes of a group."""
    SPACE = "SpaceBackupConfig"
    """Of the whole Space, with the identity of its own controller."""

    @property
    def resource(self) -> str:
        """What kubectl calls it."""
        group = "spaces" if self is ConfigKind.SHARED else "admin.spaces"
        return f"{self.value.lower()}s.{group}.upbound.io"


@dataclass(frozen=True, slots=True)
class BackupConfig:
    """One configuration. `group` is empty for one of the whole Space."""

    kind: ConfigKind
    name: str
    group: str
    provider: str
    bucket: str
    prefix: str
    source: str
    """Where credentials come from: InjectedIdentity or Secret."""
    region: str = ""
    endpoint: str = ""

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"

    @property
    def folder(self) -> str:
        """What the names of all its objects begin with."""
        prefix = self.prefix.strip("/")
        return f"{prefix}/" if prefix else ""

    def place(self, plane: ControlPlane) -> str:
        """What the names of a control plane's objects begin with (layout by the CRD: prefix/group/name)."""
        return f"{self.folder}{plane.group}/{plane.name}/"


@dataclass(frozen=True, slots=True)
class Schedule:
    """A schedule, and the configuration that it names. `control_planes` is None where labels decide."""

    kind: str
    name: str
    group: str
    config: str
    control_planes: frozenset[str] | None
    suspended: bool = False

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


@dataclass(frozen=True, slots=True)
class Backups:
    """What a cluster has. A kind that the API server does not serve has none and is not `served`.

    `unread` is why a kind could not be listed.
    """

    configs: tuple[BackupConfig, ...] = ()
    schedules: tuple[Schedule, ...] = ()
    served: frozenset[ConfigKind] = frozenset()
    unread: Mapping[str, str] = field(default_factory=dict)

    def of(self, kind: ConfigKind, group: str) -> list[BackupConfig]:
        """The configurations of a kind and group, by their names."""
        found = [one for one in self.configs if (one.kind, one.group) == (kind, group)]
        return sorted(found, key=lambda one: one.name)
