"""`python -m rig.release.push DIST oci://REGISTRY`: push a release's images, as one index, and its chart."""

import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from rig.chart import HelmError
from rig.node.buildah import Buildah, ImageError
from rig.release.sums import SUMS, DamagedError, read_whole
from rig.tools import BinaryMissingError, binary
from rig.tools.store import cache_folder

PREFIX = "oci://"


def main() -> int:
    """Do what the command line asks for; return the exit code."""
    match sys.argv[1:]:
        case [folder, registry] if registry.startswith(PREFIX):
            try:
                print("\n".join(push(Path(folder), registry.rstrip("/"))))
            except (BinaryMissingError, DamagedError, HelmError, ImageError) as error:
                print(error, file=sys.stderr)
                return 1
            return 0
    print("python -m rig.release.push DIST oci://REGISTRY", file=sys.stderr)
    return 2


def push(folder: Path, registry: str) -> list[str]:
    """Push what `folder` holds and return image and chart by digest, as values and helm name them.

    Credentials are those of the person who runs it. A registry on this machine's loopback is reached without TLS.
    Raises `DamagedError`, `ImageError` and `HelmError`.
    """
    files = read_whole(folder)
    charts = [file for file in files if file.suffix == ".tgz"]
    if len(charts) != 1:
        raise DamagedError(f"{folder / SUMS} names {len(charts)} charts, not one: run `make release`")
    (chart,) = charts
    images = [file for file in files if file.suffix == ".tar"]
    name, version = name_and_version(chart)
    image = f"{registry.removeprefix(PREFIX)}/{name}"
    pushed = [f"{image}@{_push_images(images, f'{image}:{version}')}"] if images else []
    return [*pushed, _push_chart(chart, f"{registry}/charts")]


def name_and_version(chart: Path) -> tuple[str, str]:
    """Return both as helm writes them into the name of a chart's file; a version may have hyphens."""
    name, version = re.split(r"-(?=\d+\.)", chart.name.removesuffix(".tgz"), maxsplit=1)
    return name, version


def _push_chart(chart: Path, registry: str) -> str:
    flags = ["--plain-http"] if _is_plain(registry) else []
    done = subprocess.run(
        [binary("helm"), "push", chart, registry, *flags], capture_output=True, text=True, check=False
    )
    printed = done.stdout + done.stderr
    pushed = re.search(r"^Pushed: \S+/([\w-]+):\S+\nDigest: (sha256:\w+)$", printed, re.MULTILINE)
    if done.returncode or not pushed:
        raise HelmError(printed.strip())
    return f"{registry}/{pushed[1]}@{pushed[2]}"


def _push_images(archives: Sequence[Path], reference: str) -> str:
    """Push the images as one index and return its digest."""
    buildah = Buildah(cache_folder() / "images" / "buildah")
    with tempfile.TemporaryDirectory(prefix="mxp-push-") as folder:
        file, index = Path(folder) / "digest", f"localhost/mxp-release/index:{Path(folder).name}"
        buildah.run("manifest", "create", index)
        try:
            for archive in archives:
                buildah.run("manifest", "add", index, f"oci-archive:{archive}")
            tls = ["--tls-verify=false"] if _is_plain(reference) else []
            buildah.run("manifest", "push", "--all", *tls, f"--digestfile={file}", index, f"docker://{reference}")
        finally:
            buildah.run("manifest", "rm", index)
        return file.read_text().strip()


def _is_plain(reference: str) -> bool:
    return re.match(r"(oci://)?(127\.[\d.]+|localhost|\[::1\])(:\d+)?(/|$)", reference) is not None


if __name__ == "__main__":
    sys.exit(main())
