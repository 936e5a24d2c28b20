"""What of a release is still in force: while it is, nothing is withdrawn.

The webhook would restore what is removed, or refuse the change where no replica answers. The pod gate would refuse
new pods for lack of an identity. `helm uninstall` ends all of it.
"""

from __future__ import annotations

import asyncio
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from webhook.cli import suggested_commands as commands
from webhook.cli.snapshots.inspection import list_objects
from webhook.cli.withdraw.plan import Obstacle, ObstacleKind
from webhook.config.load import KEY, parse_configuration
from webhook.controller.leader_election import leader_lease
from webhook.coordination.leases import DURATION
from webhook.kube.errors import NotFoundError
from webhook.kube.leases import Leases
from webhook.model.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from webhook.cli.snapshots.session import Session
    from webhook.kube.connection import Connection

_RELEASE = "app.kubernetes.io/instance"
_RELEASE_NAMESPACE = "meta.helm.sh/release-namespace"
_ADMISSION = "/apis/admissionregistration.k8s.io/v1"
_ENDED = frozenset({"Succeeded", "Failed"})
_LOOK_SECONDS = 1.0


class _Metadata(msgspec.Struct, frozen=True, rename="camel"):
    name: str
    deletion_timestamp: str | None = None
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}


class _Service(msgspec.Struct, frozen=True):
    namespace: str = ""


class _Client(msgspec.Struct, frozen=True):
    service: _Service | None = None


class _Webhook(msgspec.Struct, frozen=True, rename={"client": "clientConfig"}):
    name: str = ""
    client: _Client = _Client()


class _Status(msgspec.Struct, frozen=True):
    phase: str = ""


class _Object(msgspec.Struct, frozen=True):
    """Of any of the kinds that are looked at; each has what its kind has."""

    metadata: _Metadata
    webhooks: list[_Webhook] = []
    status: _Status = _Status()
    data: dict[str, str] = {}

    @property
    def release(self) -> str:
        """The release of helm that it is part of, or what was rendered for one; empty where it is none."""
        return self.metadata.labels.get(_RELEASE, "")

    @property
    def namespaces(self) -> set[str]:
        """Where its release is, by what it says itself."""
        services = [one.client.service for one in self.webhooks]
        said = {service.namespace for service in services if service}
        return {*said, self.metadata.annotations.get(_RELEASE_NAMESPACE, "")} - {""}


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What is in force of the installation, and whether another has its release in the same namespace."""

    obstacles: tuple[Obstacle, ...]
    is_shared: bool


async def look_around(here: Session) -> Surroundings:
    """Look for it (list pods and configmaps in the program's namespace, and the registrations).

    Raises ClusterError.
    """
    connection, namespace = here.connection, here.namespace
    core = f"/api/v1/namespaces/{namespace}"
    others = [one for one in await _all(connection, f"{core}/configmaps") if _is_of_another(one, here)]
    releases = {one.release for one in others} - {""}

    def ours(found: Collection[_Object]) -> list[_Object]:
        return [one for one in found if one.release not in releases and one.namespaces <= {namespace}]

    registered = await _all(connection, f"{_ADMISSION}/mutatingwebhookconfigurations", labelled=False)
    webhooks = ours([one for one in registered if any(entry.name == commands.WEBHOOK for entry in one.webhooks)])
    gates = ours(await _all(connection, f"{_ADMISSION}/validatingadmissionpolicies"))
    pods = ours([one for one in await _all(connection, f"{core}/pods") if one.status.phase not in _ENDED])
    found = [*_registrations(webhooks, gates, namespace)]
    found += _pods(pods, namespace, found)
    if not found and await _is_led(connection, namespace, here.installation.name):
        why = f"a replica renews the leader's Lease in {namespace}, and is no pod there: end it"
        found.append(Obstacle(ObstacleKind.RUNNING, why))
    return Surroundings(tuple(found), bool(others))


def _registrations(
    webhooks: Collection[_Object], gates: Collection[_Object], namespace: str
) -> Iterator[Obstacle]:
    for one in webhooks:
        delete = ["kubectl", "delete", "mutatingwebhookconfiguration", one.metadata.name]
        why = f"MutatingWebhookConfiguration {one.metadata.name} is there: the API server calls the webhook"
        yield Obstacle(ObstacleKind.REGISTERED, why, _uninstall(one, namespace) or shlex.join(delete))
    for one in gates:
        delete = ["kubectl", "delete", "validatingadmissionpolicy", one.metadata.name]
        why = f"ValidatingAdmissionPolicy {one.metadata.name} is there: it may refuse pods without an identity"
        yield Obstacle(ObstacleKind.GATE, why, _uninstall(one, namespace) or shlex.join(delete))


def _pods(pods: Collection[_Object], namespace: str, registered: Collection[Obstacle]) -> Iterator[Obstacle]:
    """Pods of replicas. Where the release is to be uninstalled, that ends them too."""
    scale = ["kubectl", "scale", "-n", namespace, "deployment", "-l", commands.PROGRAM_LABEL, "--replicas=0"]
    wait = ["kubectl", "wait", "-n", namespace, "--for=delete", "pod", "-l", commands.PROGRAM_LABEL]
    for one in pods:
        ends = one.metadata.deletion_timestamp is not None
        why = f"pod {namespace}/{one.metadata.name} of the webhook {'is ending' if ends else 'runs'}"
        command = shlex.join([*wait, "--timeout=120s"] if ends else scale)
        yield Obstacle(ObstacleKind.RUNNING, why, next((it.next for it in registered), command))


def _uninstall(one: _Object, namespace: str) -> str | None:
    """The command of helm, for what helm has installed."""
    if _RELEASE_NAMESPACE not in one.metadata.annotations or not one.release:
        return None
    return shlex.join(["helm", "uninstall", one.release, "-n", namespace, "--wait"])


async def _is_led(connection: Connection, namespace: str, installation: str) -> bool:
    """Whether a replica renews the leader's Lease, as the leader does every 3 s (get leases).

    A holder that was killed stays in the Lease. Clocks are not compared, so this takes 11 s then. Raises
    ClusterError.
    """
    leases, name = Leases(connection, namespace), leader_lease(installation)
    first = await leases.get(name)
    if first is None or first.holder is None:
        return False
    for _ in range(int(DURATION / _LOOK_SECONDS) + 1):
        await asyncio.sleep(_LOOK_SECONDS)
        found = await leases.get(name)
        if found and found.holder and (found.holder, found.renewals) != (first.holder, first.renewals):
            return True
    return False


def _is_of_another(config_map: _Object, here: Session) -> bool:
    """Whether it is the configuration of another installation in the same namespace."""
    text = config_map.data.get(KEY)
    if text is None:
        return False
    try:
        found = parse_configuration(text, config_map.metadata.name)
    except ConfigurationError:
        return False
    return (found.installation or here.namespace) != here.installation.name


async def _all(connection: Connection, path: str, *, labelled: bool = True) -> list[_Object]:
    """The objects of the program there; none where the API server has no such kind."""
    query = {"labelSelector": commands.PROGRAM_LABEL} if labelled else {}
    try:
        return await list_objects(connection, _Object, path, query)
    except NotFoundError:
        return []
