"""The namespace that the program is installed in, and the name of this process."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from webhook.model.errors import ConfigurationError

if TYPE_CHECKING:
    from webhook.config.contract import Configuration

_NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


def own_namespace(configuration: Configuration) -> str:
    """The namespace of the Leases, and by default the name of the installation. Raises ConfigurationError."""
    named = configuration.namespace or os.environ.get("POD_NAMESPACE")
    if named:
        return named
    try:
        return _NAMESPACE_FILE.read_text().strip()
    except OSError as error:
        raise ConfigurationError("namespace: is not given, and POD_NAMESPACE is not set") from error


def process_identity() -> str:
    """A name that no other process ever has."""
    return f"{os.environ.get('POD_NAME') or 'local'}_{uuid4()}"
