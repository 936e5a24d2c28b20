"""The Debian that images are made on: packages unpacked and not configured, so that no program of theirs is run.

So a base for another architecture is made as the one for this machine's own. What Python needs of configuration is
made here; dpkg's list of packages says "unpacked".
"""

import hashlib
import shutil
import tempfile
from pathlib import Path

from rig.node import debian
from rig.node.buildah import Build, Buildah, own_architecture

SUITE = "bookworm"
PACKAGES = ("usr-is-merged", "python3", "ca-certificates")
FOR_BUILDS = (*PACKAGES, "python3-pip")

LIST_PACKAGES = """\
for deb in "$1"/var/cache/apt/archives/*.deb; do
  dpkg-deb -f "$deb"; printf 'Status: install ok unpacked\\n\\n'
done > "$1"/var/lib/dpkg/status"""
DEFAULTS = {
    "etc/passwd": "usr/share/base-passwd/passwd.master",
    "etc/group": "usr/share/base-passwd/group.master",
    "etc/nsswitch.conf": "usr/share/libc-bin/nsswitch.conf",
}
"""Files that packages bring as a template and copy when they are configured."""

OF_THE_MACHINE = ("etc/apt", "etc/hostname", "etc/resolv.conf", "dev", "var/lib/apt", "var/cache/apt")
SETTINGS = "ENV PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8\n"
BUILD_DOCKERFILE = f"FROM scratch\nCOPY rootfs /\n{SETTINGS}"
DOCKERFILE = f"""\
ARG BUILD_IMAGE
FROM --platform=${{BUILDPLATFORM}} ${{BUILD_IMAGE}} AS compiled
COPY rootfs /rootfs
RUN python -m compileall -q --invalidation-mode unchecked-hash -s /rootfs -p / /rootfs/usr/lib/python3*

FROM scratch
COPY --from=compiled /rootfs /
{SETTINGS}"""


def key(edition: str = "") -> str:
    """Return a name for how bases are made; `edition` tells those made of other versions of the packages apart."""
    sources = b"".join(Path(file).read_bytes() for file in (__file__, debian.__file__))
    return hashlib.sha256(sources + edition.encode()).hexdigest()[:16]


def ensure_build_base(buildah: Buildah, edition: str = "") -> str:
    """Return the image that builds run on, on this machine's architecture; made where it is missing."""
    tag = f"localhost/mxp-rig/build-base:{key(edition)}"
    if not buildah.has(tag):
        _make(buildah, tag, BUILD_DOCKERFILE, FOR_BUILDS, own_architecture())
    return tag


def ensure_base(buildah: Buildah, architecture: str, edition: str = "") -> str:
    """Return the image of `architecture` that programs run on; made where it is missing."""
    tag = f"localhost/mxp-rig/base-{architecture}:{key(edition)}"
    if not buildah.has(tag):
        build = f"BUILD_IMAGE={ensure_build_base(buildah, edition)}"
        _make(buildah, tag, DOCKERFILE, PACKAGES, architecture, build)
    return tag


def _make(
    buildah: Buildah, tag: str, dockerfile: str, packages: tuple[str, ...], architecture: str, *arguments: str
) -> None:
    with tempfile.TemporaryDirectory(prefix="mxp-base-") as name:
        context = Path(name)
        (context / "Dockerfile").write_text(dockerfile)
        _unpack(context / "rootfs", packages, architecture)
        buildah.build(Build(context, architecture, arguments), tag)


def _unpack(root: Path, packages: tuple[str, ...], architecture: str) -> None:
    """Unpack the essential packages of Debian and `packages`, and make what they need of configuration."""
    debian.unpack(root, SUITE, packages, architecture, f"--extract-hook={LIST_PACKAGES}")
    for waste in OF_THE_MACHINE:
        path = root / waste
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    (root / "dev").mkdir()
    for file, template in DEFAULTS.items():
        shutil.copy2(root / template, root / file)
    authorities = sorted((root / "usr/share/ca-certificates").rglob("*.crt"))
    (root / "etc/ssl/certs/ca-certificates.crt").write_text("".join(each.read_text() for each in authorities))
    local = root / "usr/local/bin"
    local.mkdir(parents=True)
    (local / "python").symlink_to("/usr/bin/python3")
