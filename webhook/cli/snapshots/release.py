"""What the cluster has of a release: its configuration, and Leases that name the roles it has written."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec

from webhook.cli.suggested_commands import PROGRAM_LABEL
from webhook.config.bindings import bindings_of
from webhook.config.load import KEY, load_configuration, parse_configuration
from webhook.coordination.leases import Lease
from webhook.kube.errors import NotFoundError, RefusedError
from webhook.kube.leases import lease_object
from webhook.kube.lists import listed
from webhook.kube.objects import Metadata
from webhook.model.errors import ConfigurationError, InvalidNameError
from webhook.model.names import RoleArn
from webhook.server.issuer import configured_issuer

if TYPE_CHECKING:
    from pathlib import Path

    from webhook.config.contract import Configuration
    from webhook.kube.connection import Connection
    from webhook.model.bindings import Binding

DEFAULT_NAMESPACE = "mxp-identity"
"""Where docs/run/install.md installs the chart."""

_ROLE = "mxp-identity/role-arn"

_NOBODY = "mxp-identity-nobody"
"""A Lease that there never is."""


class _ConfigMap(msgspec.Struct, frozen=True):
    metadata: Metadata
    data: dict[str, str] = {}


class _Lease(msgspec.Struct, frozen=True):
    metadata: Metadata


def checked_file(path: Path, namespace: str | None = None) -> tuple[Configuration, tuple[Binding, ...]]:
    """The file's configuration and its bindings, both checked as far as they can be without a cluster.

    `namespace`, where given, is where the program is installed. Raises ConfigurationError.
    """
    found = load_configuration(path)
    bindings = bindings_of(found.bindings, found.cluster.name)
    configured_issuer(found.cluster.issuer)
    return (found.model_copy(update={"namespace": namespace}) if namespace else found), bindings


async def configuration_of_release(connection: Connection, namespace: str | None) -> Configuration:
    """The configuration of the chart's release in `namespace` (list configmaps in it).

    Raises ClusterError, and ConfigurationError where there is not exactly one release.
    """
    where = namespace or DEFAULT_NAMESPACE
    path = f"/api/v1/namespaces/{where}/configmaps"

    def read() -> list[_ConfigMap]:
        return list(listed(connection, _ConfigMap, path, {"labelSelector": PROGRAM_LABEL}))

    found = [item for item in await connection.in_thread(read) if KEY in item.data]
    if not found:
        raise ConfigurationError(f"no release in namespace {where}; use --release-namespace, or --config")
    if len(found) > 1:
        names = ", ".join(item.metadata.name for item in found)
        raise ConfigurationError(f"{len(found)} releases in namespace {where} ({names}); use --config")
    (item,) = found
    configuration = parse_configuration(item.data[KEY], f"ConfigMap {where}/{item.metadata.name}")
    return configuration if configuration.namespace else configuration.model_copy(update={"namespace": where})


async def check_locks(connection: Connection, namespace: str) -> None:
    """Raise ClusterError without the right to take the program's locks (get, create and update leases).

    A writer whose lock is refused tries again and again; a person would wait with it. Sent as dry runs.
    """
    path = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"
    body, dry = lease_object(Lease(_NOBODY, "")), {"dryRun": "All"}

    def ask() -> None:
        connection.request("POST", path, body=body, query=dry)
        connection.request("PUT", f"{path}/{_NOBODY}", body=body, query=dry)
        with suppress(NotFoundError):
            connection.request("GET", f"{path}/{_NOBODY}")

    await connection.in_thread(ask)


async def roles_written_before(connection: Connection, namespace: str) -> frozenset[RoleArn]:
    """The roles of the Leases in `namespace`; none without the right to list them. Raises ClusterError."""
    path = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"

    def read() -> list[_Lease]:
        return list(listed(connection, _Lease, path, {}))

    try:
        leases = await connection.in_thread(read)
    except RefusedError:
        return frozenset()
    roles = set()
    for lease in leases:
        try:
            roles.add(RoleArn((lease.metadata.annotations or {}).get(_ROLE, "")))
        except InvalidNameError:
            continue
    return frozenset(roles)
