"""The images of the rig's node, each made once for what it is made of and kept in the user's cache folder.

<cache>/images/app-<hash>.tar     the program, from the Dockerfile
<cache>/images/pause-<hash>.tar   what holds a pod's namespaces
<cache>/images/buildah/           layers, and the base of the program's image
"""

import contextlib
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from rig.node import base
from rig.node.buildah import Build, Buildah, ImageError, own_architecture
from rig.tools import binary
from rig.tools.lock import locked
from rig.tools.store import cache_folder

REPOSITORY = Path(__file__).parents[2]
PAUSE_DOCKERFILE = 'FROM scratch\nCOPY pause /pause\nENTRYPOINT ["/pause"]\n'
INPUTS = ("Dockerfile", ".dockerignore", "pyproject.toml", "README.md", "requirements", "webhook", "certs")
PAUSE = "localhost/mxp-rig/pause"
APP = "localhost/mxp-identity-webhook"
UNUSED_AFTER_S = 30 * 24 * 3600.0

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Image:
    """An image as a pod names it, and its archive."""

    name: str
    archive: Path

    @property
    def packed_mb(self) -> float:
        """The size of the archive, about what a registry sends, in megabytes."""
        return self.archive.stat().st_size / 1e6


def ensure_images(tell: Tell = print) -> tuple[Image, Image]:
    """Return the program's image and the pause image, made now if what they are made of has changed.

    The first time takes one to two minutes, most of it Debian's packages; a change of the program takes seconds.
    Raises `ImageError`, and `BinaryMissingError` when the pause program is not built.
    """
    folder = cache_folder() / "images"
    pause = binary("pause")
    pause_key = _hash(PAUSE_DOCKERFILE.encode(), pause.read_bytes())
    app_key = _hash(base.key().encode(), *_contents(REPOSITORY))
    images = (
        Image(f"{APP}:{app_key}", folder / f"app-{app_key}.tar"),
        Image(f"{PAUSE}:{pause_key}", folder / f"pause-{pause_key}.tar"),
    )
    if not all(image.archive.exists() for image in images):
        with locked(
            folder / "lock", lambda holder: tell(f"another build of images is running (process {holder})")
        ):
            buildah = Buildah(folder / "buildah")
            _make(images[1], lambda: _build_pause(buildah, pause, images[1]), tell)
            _make(images[0], lambda: _build_app(buildah, images[0], tell), tell)
            _tidy(folder, buildah)
    for image in images:
        os.utime(image.archive)
    return images


def size_of(image: Image) -> str:
    """Say how large an image is, packed and unpacked."""
    unpacked = Buildah(cache_folder() / "images" / "buildah").run("images", "--format", "{{.Size}}", image.name)
    return f"{image.packed_mb:.0f} MB packed, {unpacked.strip()} unpacked"


def _make(image: Image, build: Callable[[], None], tell: Tell) -> None:
    if not image.archive.exists():
        began = time.monotonic()
        build()
        tell(f"built {image.name} in {time.monotonic() - began:.0f} s: {image.packed_mb:.0f} MB packed")


def _build_pause(buildah: Buildah, program: Path, image: Image) -> None:
    with _context(PAUSE_DOCKERFILE) as context:
        shutil.copy2(program, context / "pause")
        buildah.build(Build(context), image.name)
    buildah.export(image.name, image.archive)


def _build_app(buildah: Buildah, image: Image, tell: Tell) -> None:
    tell(f"making the image on Debian {base.SUITE}; its base is made once (about a minute)")
    bases = [
        f"BASE_IMAGE={base.ensure_base(buildah, own_architecture())}",
        f"BUILD_IMAGE={base.ensure_build_base(buildah)}",
    ]
    buildah.build(Build(REPOSITORY, arguments=bases), image.name)
    buildah.export(image.name, image.archive)


@contextlib.contextmanager
def _context(dockerfile: str) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="mxp-image-") as name:
        (Path(name) / "Dockerfile").write_text(dockerfile)
        yield Path(name)


def _contents(repository: Path) -> Iterator[bytes]:
    """Yield names and contents of all that the program's image is made of."""
    for part in INPUTS:
        path = repository / part
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file() and "__pycache__" not in file.parts:
                yield str(file.relative_to(repository)).encode()
                yield file.read_bytes()


def _hash(*parts: bytes) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()[:16]


def _tidy(folder: Path, buildah: Buildah) -> None:
    """Remove what nobody has asked for in 30 days, and the layers that only it was made of."""
    old = [path for path in folder.glob("*.tar*") if time.time() - path.stat().st_mtime > UNUSED_AFTER_S]
    for archive in old:
        archive.unlink()
        with contextlib.suppress(ImageError):
            buildah.run("rmi", f"{APP}:{archive.stem.removeprefix('app-')}")
    if old:
        buildah.run("rmi", "--prune", "--force")
