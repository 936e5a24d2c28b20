"""Pushing image and chart to a registry, with the credentials of the person who does it."""

import re
import subprocess
import tempfile
from pathlib import Path

from rig.chart import HelmError
from rig.node.buildah import Buildah
from rig.release.make import Made
from rig.tools import binary
from rig.tools.store import cache_folder

PREFIX = "oci://"


def push(made: Made, registry: str) -> list[str]:
    """Push the images as one index, and the chart; return both as values name them, by digest.

    A registry on this machine's loopback is reached without TLS. Raises `ImageError` and `HelmError`.
    """
    host = registry.removeprefix(PREFIX)
    plain = re.match(r"(127\.[\d.]+|localhost|\[::1\])(:\d+)?(/|$)", host) is not None
    name, version = made.metadata.name, made.metadata.version
    image, charts = f"{host}/{name}", f"{registry}/charts"
    return [
        f"{image}@{_push_image(made, f'{image}:{version}', plain=plain)}",
        f"{charts}/{name}@{_push_chart(made.chart, charts, plain=plain)}",
    ]


def _push_image(made: Made, reference: str, *, plain: bool) -> str:
    buildah = Buildah(cache_folder() / "images" / "buildah")
    with tempfile.TemporaryDirectory(prefix="mxp-push-") as folder:
        file, index = Path(folder) / "digest", f"localhost/mxp-release/index:{Path(folder).name}"
        buildah.run("manifest", "create", index)
        try:
            for image in made.images:
                buildah.run("manifest", "add", index, f"oci-archive:{image.archive}")
            tls = ["--tls-verify=false"] if plain else []
            buildah.run("manifest", "push", "--all", *tls, f"--digestfile={file}", index, f"docker://{reference}")
        finally:
            buildah.run("manifest", "rm", index)
        return file.read_text().strip()


def _push_chart(chart: Path, registry: str, *, plain: bool) -> str:
    flags = ["--plain-http"] if plain else []
    done = subprocess.run(
        [binary("helm"), "push", chart, registry, *flags], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise HelmError(done.stderr.strip())
    found = re.search(r"^Digest: (sha256:\w+)$", done.stdout + done.stderr, re.MULTILINE)
    if not found:
        raise HelmError(f"helm printed no digest:\n{done.stdout}{done.stderr}")
    return found[1]
