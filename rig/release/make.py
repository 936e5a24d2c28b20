"""One release from beginning to end."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rig.node.buildah import Buildah
from rig.release.chart import package_chart
from rig.release.image import ReleasedImage, build_image
from rig.release.locked import read_locked
from rig.release.provenance import provenance, write
from rig.release.sbom import Bill
from rig.release.source import Source
from rig.release.sums import sha256, write_sums
from rig.release.wheel import Metadata, build_wheel
from rig.tools.store import cache_folder

ARCHITECTURES = ("amd64", "arm64")


@dataclass(frozen=True)
class Made:
    """A release: `files` are all that was written, `SHA256SUMS` the last of them."""

    metadata: Metadata
    wheel: Path
    chart: Path
    images: Sequence[ReleasedImage]
    files: Sequence[Path]


def make(source: Source, out: Path, architectures: Sequence[str]) -> Made:
    """Write a release to `out`, a new folder, with an image for each of `architectures`.

    Raises `HelmError` and `ImageError`.
    """
    out.mkdir()
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
    files.append(statement)
    return Made(metadata, wheel, chart, images, [*files, write_sums(out, files)])
