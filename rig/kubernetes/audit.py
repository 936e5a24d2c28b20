"""What the API server records of each request, and reading it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

POLICY: dict[str, Any] = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [
        # Tokens would be readable in the bodies.
        {"level": "Metadata", "resources": [{"group": "", "resources": ["serviceaccounts/token", "secrets"]}]},
        {"level": "RequestResponse", "resources": [{"group": "", "resources": ["serviceaccounts"]}]},
        {"level": "Metadata"},
    ],
}


MUTATION = "mutation.webhook.admission.k8s.io/"
"""Begins an annotation for each mutating webhook that was called, whatever it answered."""


def write_policy(path: Path) -> None:
    """Write the audit policy: metadata of everything, bodies too for ServiceAccounts."""
    path.write_text(yaml.safe_dump(POLICY))


def read_events(path: Path, start: int = 0) -> Iterator[dict[str, Any]]:
    """Yield the events recorded from byte `start` on, oldest first; a line still being written is left out."""
    try:
        log = path.open("rb")
    except FileNotFoundError:
        return
    with log:
        log.seek(start)
        for line in log:
            if line.endswith(b"\n"):
                yield json.loads(line)


def called(event: dict[str, Any]) -> set[str]:
    """Return the entries of webhook configurations that the API server called for a request."""
    annotations: dict[str, str] = event.get("annotations", {})
    return {json.loads(text)["webhook"] for key, text in annotations.items() if key.startswith(MUTATION)}
