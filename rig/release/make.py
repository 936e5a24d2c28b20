"""One release from beginning to end."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rig.node.buildah import Buildah
from rig.release.chart import package_chart
from rig.release.image import ReleasedImage, build_image
from rig.release.locked import read_locked
from rig.release.provenance import provenance, sha256, write
from rig.release.sbom import Bill
from rig.release.source import REPOSITORY, Source
from rig.release.wheel import Metadata, build_wheel
from rig.tools.store import cache_folder

DIST = REPOSITORY / "dist"
ARCHITECTURES = ("amd64", "arm64")
SUMS = "SHA256SUMS"


@dataclass(frozen=True)
class Made:
    """A release: `files` are all that was written, `SHA256SUMS` the last of them."""

    metadata: Metadata
    wheel: Path
    chart: Path
    images: Sequence[ReleasedImage]
    files: Sequence[Path]


def make(source: Source, out: Path, architectures: Sequence[str]) -> Made:
    """Write a release to `out`, which is emptied first, with an image for each of `architectures`.

    Raises `HelmError` and `ImageError`.
    """
    shutil.rmtree(out, ignore_errors=True)
    wheel, metadata = build_wheel(source, out)
    name = f"{metadata.name}-{metadata.version}"
    chart = package_chart(source, metadata, out)
    buildah = Buildah(cache_folder() / "images" / "buildah")
    images = [build_image(buildah, source, metadata, each, out) for each in architectures]
    bill = Bill(
        source, metadata, sha256(wheel), read_locked((source.folder / "requirements/runtime.txt").read_text())
    )
    lists = [out / f"{name}-wheel.cdx.json", *(out / f"{name}-image-{each}.cdx.json" for each in architectures)]
    bill.write_wheel(lists[0])
    for image, file in zip(images, lists[1:], strict=True):
        bill.write_image(image, file)
    files = [wheel, chart, *(image.archive for image in images), *lists]
    statement = out / f"{name}.intoto.json"
    write(provenance(source, metadata, files, images), statement)
    sums = out / SUMS
    sums.write_text("".join(f"{sha256(file)}  {file.name}\n" for file in (*files, statement)))
    return Made(metadata, wheel, chart, images, [*files, statement, sums])
