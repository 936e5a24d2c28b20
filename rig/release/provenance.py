"""Where a release comes from, as SLSA's provenance in an in-toto statement."""

import json
import platform
import subprocess
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rig.node import base
from rig.release.image import ReleasedImage
from rig.release.source import Source
from rig.release.sums import sha256
from rig.release.wheel import Metadata
from rig.tools.catalogue import catalogue

INPUTS = (
    "pyproject.toml",
    "Dockerfile",
    "requirements/runtime.txt",
    "requirements/build.txt",
    "requirements/uv.txt",
)

OF_DEBIAN = ("buildah", "mmdebstrap")


def provenance(
    source: Source, metadata: Metadata, files: Iterable[Path], images: Iterable[ReleasedImage]
) -> dict[str, Any]:
    """Return the statement about `files`: what they are made of, by which tools, and what was not run."""
    images = list(images)
    commit = {"uri": f"git+{metadata.urls['Source']}", "digest": {"gitCommit": source.commit}}
    locks = [{"uri": name, "digest": {"sha256": sha256(source.folder / name)}} for name in INPUTS]
    bases = [
        {"uri": f"debian:{base.SUITE}/{image.architecture}", "digest": _digest(image.base_digest)}
        for image in images
    ]
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": file.name, "digest": {"sha256": sha256(file)}} for file in files],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {
                "buildType": f"urn:{metadata.name}:make-release",
                "externalParameters": {"architectures": [image.architecture for image in images]},
                "internalParameters": {"images": {image.architecture: _built(image) for image in images}},
                "resolvedDependencies": [commit, *locks, *bases],
            },
            "runDetails": {"builder": {"id": f"urn:{metadata.name}:make", "version": _tools(bool(images))}},
        },
    }


def write(statement: Mapping[str, Any], file: Path) -> None:
    """Write the statement as JSON."""
    file.write_text(json.dumps(statement, indent=2) + "\n")


def _tools(with_images: bool) -> dict[str, str]:  # noqa: FBT001  private
    tools = {
        "python": platform.python_version(),
        "hatchling": version("hatchling"),
        "cyclonedx-python-lib": version("cyclonedx-python-lib"),
        "helm": catalogue()["helm"].pinned_version("helm.sh/helm/v4"),
    }
    if with_images:
        command = ["dpkg-query", "--show", "--showformat=${Package} ${Version}\n", *OF_DEBIAN]
        printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        tools |= dict(line.split() for line in printed.splitlines())
    return tools


def _built(image: ReleasedImage) -> dict[str, str]:
    return {"manifest": image.digest, "run": image.run}


def _digest(text: str) -> dict[str, str]:
    algorithm, _, value = text.partition(":")
    return {algorithm: value}
