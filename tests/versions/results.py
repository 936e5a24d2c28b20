"""What passed on which version: docs/run/versions.json, kept after each, so that a stopped run loses nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from rig.tools.catalogue import KUBERNETES
from tests.versions.outcomes import Outcome  # noqa: TC001  msgspec reads the annotations
from tests.versions.pythons import PYTHONS, ROOT

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

PAGE = ROOT / "docs" / "run" / "versions.md"
RESULTS = PAGE.with_suffix(".json")


@dataclass(frozen=True, slots=True)
class Result:
    """Of one version: `exact` is what ran, such as "1.34.4" ("" where nothing did), `source` whose it was."""

    exact: str
    source: str
    areas: dict[str, Outcome]

    @property
    def is_good(self) -> bool:
        """Whether all areas ran and passed."""
        return all(outcome.is_good for outcome in self.areas.values())


@dataclass(frozen=True, slots=True)
class Results:
    """The newest result of each version, in the order of the lists of versions."""

    kubernetes: dict[str, Result] = field(default_factory=dict)
    python: dict[str, Result] = field(default_factory=dict)

    @property
    def floor(self) -> str | None:
        """The oldest Kubernetes that passed; None where none did."""
        return next((version for version, result in self.kubernetes.items() if result.is_good), None)


def load(file: Path = RESULTS) -> Results:
    """Return what the file has of the versions that are listed."""
    kept = msgspec.json.decode(file.read_bytes(), type=Results) if file.exists() else Results()
    return Results(_listed(kept.kubernetes, KUBERNETES), _listed(kept.python, PYTHONS))


def save(results: Results, file: Path = RESULTS) -> None:
    """Write the file."""
    file.write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=1) + b"\n")


def _listed(results: dict[str, Result], versions: Iterable[str]) -> dict[str, Result]:
    return {version: results[version] for version in versions if version in results}
