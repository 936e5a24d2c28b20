"""Where a tool's binary comes from: KUBEBUILDER_ASSETS, else the cache."""

import os
from collections.abc import Iterable
from pathlib import Path

from rig.tools.catalogue import Tool
from rig.tools.store import Store


def look_up(tool: Tool, store: Store) -> Path | None:
    """Return the tool's binary: from KUBEBUILDER_ASSETS, else from the cache, else None."""
    return _from_assets(tool) or store.find(tool)


def missing_of(tools: Iterable[Tool], store: Store) -> list[Tool]:
    """Return the tools that cannot be found whole."""
    return [tool for tool in tools if look_up(tool, store) is None]


def _from_assets(tool: Tool) -> Path | None:
    """Return the tool's binary in KUBEBUILDER_ASSETS, the folder that envtest and its kin use."""
    assets = os.environ.get("KUBEBUILDER_ASSETS")
    if not assets:
        return None
    path = Path(assets).absolute() / tool.name
    return path if path.is_file() and os.access(path, os.X_OK) else None
