"""The configuration that a command works with: a file, or what the chart has put into the cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from webhook.config.errors import ConfigurationError
from webhook.config.load import load_configuration, parse_configuration
from webhook.kube.lists import listed

if TYPE_CHECKING:
    from pathlib import Path

    from webhook.config.contract import Configuration
    from webhook.kube.connection import Connection

DEFAULT_NAMESPACE = "mxp-identity"
"""Where docs/run/install.md installs the chart."""

_SELECTOR = "app.kubernetes.io/name=mxp-identity-webhook"
_KEY = "config.yaml"


class _Metadata(msgspec.Struct, frozen=True):
    name: str


class _ConfigMap(msgspec.Struct, frozen=True):
    metadata: _Metadata
    data: dict[str, str] = {}


def configuration_from_file(path: Path, namespace: str | None) -> Configuration:
    """The file's configuration; `namespace`, where given, says where the program is installed."""
    found = load_configuration(path)
    return found.model_copy(update={"namespace": namespace}) if namespace else found


async def configuration_of_release(connection: Connection, namespace: str | None) -> Configuration:
    """The configuration of the chart's release in `namespace` (list configmaps in it).

    Raises ClusterError, and ConfigurationError where there is not exactly one release.
    """
    where = namespace or DEFAULT_NAMESPACE
    path = f"/api/v1/namespaces/{where}/configmaps"

    def read() -> list[_ConfigMap]:
        return list(listed(connection, _ConfigMap, path, {"labelSelector": _SELECTOR}))

    found = [item for item in await connection.in_thread(read) if _KEY in item.data]
    if len(found) != 1:
        names = ", ".join(item.metadata.name for item in found) or "none"
        raise ConfigurationError(
            f"namespace {where} has {len(found)} ConfigMaps of a release ({names}), not one: name the release's "
            "namespace with --namespace, or a file with --config"
        )
    (item,) = found
    configuration = parse_configuration(item.data[_KEY], f"ConfigMap {where}/{item.metadata.name}")
    return configuration if configuration.namespace else configuration.model_copy(update={"namespace": where})
