"""What the cluster has of a release: its configuration, and Leases that name the roles it has written."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from webhook.cli.snapshots.inspection import list_objects
from webhook.cli.suggested_commands import PROGRAM_LABEL
from webhook.config.bindings import bindings_of
from webhook.config.load import KEY, load_configuration, parse_configuration
from webhook.kube.errors import RefusedError
from webhook.kube.objects import AnnotatedObject, Metadata
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


class _ConfigMap(msgspec.Struct, frozen=True):
    metadata: Metadata
    data: dict[str, str] = {}


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
    items = await list_objects(connection, _ConfigMap, path, {"labelSelector": PROGRAM_LABEL})
    found = [item for item in items if KEY in item.data]
    if not found:
        raise ConfigurationError(f"no release in namespace {where}; use --release-namespace, or --config")
    if len(found) > 1:
        names = ", ".join(item.metadata.name for item in found)
        raise ConfigurationError(f"{len(found)} releases in namespace {where} ({names}); use --config")
    (item,) = found
    configuration = parse_configuration(item.data[KEY], f"ConfigMap {where}/{item.metadata.name}")
    return configuration if configuration.namespace else configuration.model_copy(update={"namespace": where})


async def leases_in(connection: Connection, namespace: str) -> list[Metadata]:
    """The Leases of a namespace (list leases). Raises ClusterError."""
    path = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"
    return [one.metadata for one in await list_objects(connection, AnnotatedObject, path)]


def role_of(lease: Metadata) -> RoleArn | None:
    """The role that a Lease names."""
    try:
        return RoleArn((lease.annotations or {}).get(_ROLE, ""))
    except InvalidNameError:
        return None


async def roles_written_before(connection: Connection, namespace: str) -> frozenset[RoleArn]:
    """The roles of the Leases in `namespace`; none without the right to list them. Raises ClusterError."""
    try:
        leases = await leases_in(connection, namespace)
    except RefusedError:
        return frozenset()
    return frozenset(role for lease in leases if (role := role_of(lease)))
