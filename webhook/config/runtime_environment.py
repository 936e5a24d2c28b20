"""Where the program is installed and what it is called, as far as its configuration and its surroundings say."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from webhook.config.errors import ConfigurationError

if TYPE_CHECKING:
    from webhook.config.contract import Configuration

_NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


def own_namespace(configuration: Configuration) -> str:
    """Where the Leases are, and by default the name that tells our statement from another installation's."""
    named = configuration.namespace or os.environ.get("POD_NAMESPACE")
    if named:
        return named
    try:
        return _NAMESPACE_FILE.read_text().strip()
    except OSError as error:
        raise ConfigurationError(
            "namespace: is not given, and POD_NAMESPACE does not say where this runs"
        ) from error


def process_identity() -> str:
    """A name for this process that no other will ever have."""
    return f"{os.environ.get('POD_NAME') or 'local'}_{uuid4()}"
