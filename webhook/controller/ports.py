"""What reconciling needs of the API server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from webhook.model.bindings import Mode
    from webhook.model.decisions import Account, LiveNamespace
    from webhook.model.deployments import Deployment
    from webhook.model.names import RoleArn, Subject

T = TypeVar("T")

MOST_OBJECTS = 30_000
"""Objects of a list, and of a mirror.

Kubernetes is tested for clusters of 10,000 namespaces. So little is kept of each that this many fit into memory.
"""


@dataclass(frozen=True, slots=True)
class Change(Generic[T]):
    """One event of a watch. A bookmark has only a version; a deletion has a key and no value."""

    version: str
    key: str | None = None
    value: T | None = None


class Source(Protocol[T]):
    """One kind of object in the API server."""

    resource: str

    async def list(self) -> tuple[dict[str, T], str]:
        """All objects by key, and the version to watch from. Raises ClusterError."""

    async def newest_version(self) -> str:
        """The version that a list would have now, which is cheap to ask for. Raises ClusterError."""

    def watch(self, version: str) -> AsyncGenerator[Change[T], None]:
        """Changes after `version`, until the API server ends the watch. Raises ClusterError, ExpiredError."""


@dataclass(frozen=True, slots=True)
class RunningPod:
    """A pod of a bound ServiceAccount that has not ended."""

    namespace: str
    name: str
    service_account: str
    uid: str
    has_identity: bool
    created: float = 0.0
    """Seconds since 1970."""
    deployment: str | None = None
    """The name of the Deployment that it is of, if it is of one."""
    carries: frozenset[Mode] = frozenset()
    """The modes for which any of its containers has variables."""
    is_being_deleted: bool = False
    roles: frozenset[str] = frozenset()
    """The roles that its containers were given by the annotation, as it was when the pod was created."""

    def lacks(self, role: RoleArn | None) -> bool:
        """Whether it has to be recreated to get its identity.

        `role` is what it should carry by the annotation; None where the annotation does not decide, as in mode
        pod-identity.
        """
        return not self.has_identity or bool(self.others_than(role))

    def others_than(self, role: RoleArn | None) -> list[str]:
        """The roles that it carries instead of `role`."""
        return [] if role is None else sorted(self.roles - {role.value})


class Cluster(Protocol):
    """Single calls to the API server. All raise ClusterError."""

    async def namespace(self, name: str, seconds: float) -> LiveNamespace | None:
        """The namespace as it is now, or None where there is none."""

    async def account(self, subject: Subject, seconds: float) -> Account | None:
        """The ServiceAccount as it is now, or None where there is none."""

    async def annotate(self, subject: Subject, role: RoleArn, replacing: str | None) -> bool:
        """Set the role annotation where it still is `replacing`; False where it is not, or the account is gone."""

    async def pods(self, service_account: str, namespace: str | None = None) -> list[RunningPod]:
        """Pods that run as `service_account`, in one namespace or in all."""


class Deployments(Protocol):
    """Deployments by their names, in whichever namespace. All raise ClusterError."""

    async def get(self, namespace: str, name: str) -> Deployment | None:
        """The Deployment as it is now, or None where there is none."""

    async def refused(self, name: str) -> list[Deployment]:
        """Those of that name, in all namespaces, that cannot create their pods at the moment."""

    async def retry(self, deployment: Deployment) -> bool:
        """Have its ReplicaSet try again at once; False where the Deployment is gone."""

    async def restart(
        self, deployment: Deployment, moment: float, role: RoleArn | None = None, *, noted: bool = True
    ) -> bool:
        """Start a rollout of new pods. If `noted`, the Deployment says when, and which role they should carry.

        False where the Deployment has changed since it was read.
        """


class GateMarks(Protocol):
    """The marks of bindings for which the gate refuses pods, with the bindings' names. All raise ClusterError."""

    async def read(self) -> Mapping[str, str]:
        """Those that are there."""

    async def write(self, marks: Mapping[str, str], replacing: Mapping[str, str]) -> None:
        """Have these in place of those that were read."""
