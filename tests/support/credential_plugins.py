"""Kubeconfigs whose credentials come from a plugin, as EKS writes them; the plugin is a shell program."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

API_VERSION = "client.authentication.k8s.io/v1beta1"
EXPIRED, FAR_AWAY = "2020-01-01T00:00:00Z", "2999-01-01T00:00:00Z"


def kubeconfig(path: Path, argv: list[str], server: str = "https://127.0.0.1:1") -> Path:
    """Write a kubeconfig for one server, whose plugin is `argv`."""
    plugin = {"apiVersion": API_VERSION, "command": argv[0], "args": argv[1:]}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "a", "cluster": {"server": server}}],
        "users": [{"name": "a", "user": {"exec": plugin}}],
        "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
        "current-context": "a",
    }
    path.write_text(json.dumps(document))
    return path


def counted(asked: Path, program: str) -> list[str]:
    """A plugin that adds a line to `asked` each time; how many there are by then is `$n` of its program."""
    return ["sh", "-c", f"echo >> {asked}; n=$(wc -l < {asked}); {program}"]


def giving(until: str) -> str:
    """The program that gives a token, which is said to end at `until`."""
    status = {"token": "t", "expirationTimestamp": until}
    return f"echo '{json.dumps({'apiVersion': API_VERSION, 'kind': 'ExecCredential', 'status': status})}'"
