"""The wheel, and its metadata, from which everything else of a release has its names."""

import email
import os
import subprocess
import sys
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rig.release.source import Source


@dataclass(frozen=True)
class Metadata:
    """What `pyproject.toml` says of the program. Licence and URLs are "not chosen" until the owner has chosen."""

    name: str
    version: str
    summary: str
    licence: str
    urls: Mapping[str, str]
    requires: Sequence[str]

    def labels(self, source: Source) -> dict[str, str]:
        """Return OCI's labels of image and chart."""
        labels = {
            "title": self.name,
            "description": self.summary,
            "version": self.version,
            "revision": source.commit,
            "created": source.created.isoformat(),
            "source": self.urls["Source"],
            "licenses": self.licence,
        }
        return {f"org.opencontainers.image.{name}": value for name, value in labels.items()}


def build_wheel(source: Source, out: Path) -> tuple[Path, Metadata]:
    """Build the wheel into `out`."""
    environment = {**os.environ, "SOURCE_DATE_EPOCH": str(source.epoch)}
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(out.resolve())]
    subprocess.run(command, cwd=source.folder, env=environment, check=True, stdout=subprocess.DEVNULL)
    (wheel,) = out.glob("*.whl")
    return wheel, _read(wheel)


def _read(wheel: Path) -> Metadata:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        fields = email.message_from_bytes(archive.read(name))
    return Metadata(
        fields["Name"],
        fields["Version"],
        fields["Summary"],
        fields["License-Expression"] or fields["License"],
        dict(url.split(", ", 1) for url in fields.get_all("Project-URL", ())),
        [text for text in fields.get_all("Requires-Dist", ()) if "extra ==" not in text],
    )
