"""The images of a release: one archive for each architecture, that of the build machine and others."""

import json
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rig.node import base
from rig.node.buildah import Build, Buildah, ImageError, own_architecture
from rig.release.source import Source
from rig.release.wheel import Metadata

EMULATORS = {"amd64": "qemu-x86_64-static", "arm64": "qemu-aarch64-static"}
VERSION_COMMAND = ("/opt/venv/bin/python", "-m", "webhook", "version")
USER = "65532:65532"
BASE_LABEL, BASE_DIGEST_LABEL = "org.opencontainers.image.base.name", "org.opencontainers.image.base.digest"
PACKAGE_FORMAT = "${Package} ${Version} ${Architecture}\n"


@dataclass(frozen=True)
class DebianPackage:
    """A package of Debian in an image; `distribution` is such as "debian-12"."""

    name: str
    version: str
    architecture: str
    distribution: str


@dataclass(frozen=True)
class ReleasedImage:
    """An image and its archive.

    `digest` is that of its manifest, `base_digest` that of the image that it is made on. `run` says whether the
    program was run in it: "not run" where this machine cannot.
    """

    architecture: str
    archive: Path
    digest: str
    base_digest: str
    packages: Sequence[DebianPackage]
    run: str


def build_image(
    buildah: Buildah, source: Source, metadata: Metadata, architecture: str, out: Path
) -> ReleasedImage:
    """Build the image of `architecture` from the Dockerfile of `source`, on today's Debian, into an OCI archive.

    Raises `ImageError`, also where the program does not start in it.
    """
    today = datetime.now(UTC).date().isoformat()
    base_tag = base.ensure_base(buildah, architecture, today)
    base_digest = buildah.digest(base_tag)
    bases = [f"BASE_IMAGE={base_tag}", f"BUILD_IMAGE={base.ensure_build_base(buildah, today)}"]
    labels = {**metadata.labels(source), BASE_LABEL: f"debian:{base.SUITE}", BASE_DIGEST_LABEL: base_digest}
    name = f"localhost/mxp-release/{architecture}:{source.commit}"
    buildah.build(Build(source.folder, architecture, bases, labels, source.epoch), name)
    with buildah.mounted(name, architecture) as root:
        packages, run = _packages(root), _run(root, architecture)
    archive = out / f"{metadata.name}-{metadata.version}-image-{architecture}.tar"
    digest = _export(buildah, name, archive, f"{metadata.name}:{metadata.version}", source.epoch)
    return ReleasedImage(architecture, archive, digest, base_digest, packages, run)


def _packages(root: Path) -> list[DebianPackage]:
    release = dict(
        line.split("=", 1) for line in (root / "usr/lib/os-release").read_text().splitlines() if "=" in line
    )
    distribution = f"{release['ID']}-{release['VERSION_ID']}".replace('"', "")
    command = ["dpkg-query", f"--admindir={root}/var/lib/dpkg", "--show", f"--showformat={PACKAGE_FORMAT}"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    lines = [line.split() for line in printed.splitlines()]
    return [DebianPackage(name, version, architecture, distribution) for name, version, architecture in lines]


def _run(root: Path, architecture: str) -> str:
    """Run the program in an image's root, by an emulator if need be, and say so."""
    emulator = EMULATORS[architecture]
    if architecture == own_architecture():
        command, how = list(VERSION_COMMAND), "on the machine that built it"
    elif found := shutil.which(emulator):
        shutil.copy2(found, root / emulator)
        command, how = [f"/{emulator}", *VERSION_COMMAND], f"by {emulator}"
    else:
        return f"not run: the machine that built it is no {architecture} and has no {emulator}"
    done = subprocess.run(
        ["chroot", f"--userspec={USER}", root, *command], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise ImageError(f"the program does not start in the image for {architecture}:\n{done.stderr.strip()}")
    return f"run {how}: version {done.stdout.strip()}"


def _export(buildah: Buildah, name: str, archive: Path, tag: str, epoch: int) -> str:
    """Write an image as an OCI archive, and return the digest of its manifest.

    It has Docker's `manifest.json` too, without which `docker load` takes no archive.
    """

    def same_each_time(member: tarfile.TarInfo) -> tarfile.TarInfo:
        member.mtime, member.uid, member.gid, member.uname, member.gname = epoch, 0, 0, "", ""
        return member

    with tempfile.TemporaryDirectory(prefix="mxp-image-") as temporary:
        folder = Path(temporary)
        buildah.run("push", name, f"oci:{folder}:{tag}")
        (entry,) = json.loads((folder / "index.json").read_bytes())["manifests"]
        manifest = json.loads((folder / _blob(entry)).read_bytes())
        layers = [_blob(layer) for layer in manifest["layers"]]
        loaded = [{"Config": _blob(manifest["config"]), "RepoTags": [tag], "Layers": layers}]
        (folder / "manifest.json").write_text(json.dumps(loaded))
        with tarfile.open(archive, "w", format=tarfile.PAX_FORMAT) as file:
            for path in sorted(folder.rglob("*")):
                file.add(path, path.relative_to(folder), recursive=False, filter=same_each_time)
    return str(entry["digest"])


def _blob(descriptor: Mapping[str, Any]) -> str:
    """Return where the content of a descriptor is in an OCI layout."""
    return f"blobs/{descriptor['digest'].replace(':', '/')}"
