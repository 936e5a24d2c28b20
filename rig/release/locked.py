"""The locked requirements, as uv writes them: each with its version, its hashes, and what needs it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from packaging.requirements import Requirement

ROOT = "pyproject.toml"


@dataclass(frozen=True)
class Locked:
    """One requirement. `hashes` are the SHA-256 of its files, `needed_by` the names of requirements, or `ROOT`."""

    requirement: Requirement
    hashes: Sequence[str]
    needed_by: Sequence[str]

    @property
    def name(self) -> str:
        """Its name, as it is on the package index."""
        return self.requirement.name

    @property
    def version(self) -> str:
        """The one version that the file allows."""
        (specifier,) = self.requirement.specifier
        return specifier.version

    def is_installed(self, environment: Mapping[str, str]) -> bool:
        """Whether it is installed where markers have the values of `environment`."""
        marker = self.requirement.marker
        return marker is None or marker.evaluate(dict(environment))


def read_locked(text: str) -> list[Locked]:
    """Return the requirements of a file that `uv pip compile --generate-hashes` wrote."""
    parts = re.split(r"^(?=\S)", text, flags=re.MULTILINE)
    return [_read(part) for part in parts if "==" in part.partition("\n")[0]]


def _read(part: str) -> Locked:
    first, *rest = part.splitlines()
    comments = " ".join(line.strip().removeprefix("#") for line in rest if line.strip().startswith("#"))
    needed_by = [ROOT if ROOT in name else name for name in re.split(r"\s+(?!\()", comments.strip())[1:]]
    return Locked(Requirement(first.rstrip(" \\")), re.findall(r"--hash=sha256:(\w+)", part), needed_by)
