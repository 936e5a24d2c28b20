"""Building images with buildah, in a storage of the rig's own; no registry is asked for anything."""

import contextlib
import os
import platform
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")
"""The machine's certificate authorities: a proxy that intercepts TLS is trusted by these alone."""


ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def own_architecture() -> str:
    """Return this machine's architecture as Debian and container images name it."""
    return ARCHITECTURES[platform.machine()]


class ImageError(RuntimeError):
    """An image could not be made; the message ends with the last words of the program that made it."""


@dataclass(frozen=True)
class Build:
    """What is built: the Dockerfile of `context`. `arguments` are build arguments, NAME=VALUE.

    Files and the image have the time `epoch`, in seconds.
    """

    context: Path
    architecture: str = field(default_factory=own_architecture)
    arguments: Sequence[str] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    epoch: int = 0


class Buildah:
    """One storage below `folder`, with the layers of earlier builds."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        for part in ("tmp", "settings"):
            (folder / part).mkdir(parents=True, exist_ok=True)
        pip, uv = self._settings
        pip.write_text(f"[global]\ncert = {AUTHORITIES}\n")
        uv.write_text("system-certs = true\n")

    def build(self, build: Build, tag: str) -> None:
        """Build an image and name it; equal contents have equal digests."""
        named = [f"{name}={value}" for name, value in build.labels.items()]
        self.run(
            *("bud", "--isolation", "chroot", "--layers", "--pull-never", f"--timestamp={build.epoch}"),
            *(f"--platform=linux/{build.architecture}", *self._network()),
            f"--build-arg=BUILDPLATFORM=linux/{own_architecture()}",
            f"--build-arg=TARGETPLATFORM=linux/{build.architecture}",
            *(f"--build-arg={argument}" for argument in build.arguments),
            *(word for label in named for word in (f"--label={label}", f"--annotation={label}")),
            *("--tag", tag, build.context),
        )

    def export(self, tag: str, archive: Path) -> None:
        """Write an image as an archive that containerd imports; it appears in one step."""
        unseen = archive.with_suffix(f".partial-{os.getpid()}")
        unseen.unlink(missing_ok=True)
        self.run("push", tag, f"oci-archive:{unseen}:{tag}")
        unseen.rename(archive)

    def has(self, tag: str) -> bool:
        """Whether the storage has an image of that name."""
        return bool(self._run("images", "--quiet", tag).stdout.strip())

    def digest(self, tag: str) -> str:
        """Return the digest of an image's manifest in the storage."""
        return self.run("images", "--format", "{{.Digest}}", tag).strip()

    @contextlib.contextmanager
    def mounted(self, tag: str, architecture: str) -> Iterator[Path]:
        """Give out the root of an image for the length of a `with` block; what is written there is dropped."""
        container = self.run("from", "--pull-never", f"--platform=linux/{architecture}", tag).strip()
        try:
            yield Path(self.run("mount", container).strip())
        finally:
            self.run("rm", container)

    def run(self, *arguments: str | Path) -> str:
        """Run buildah and return what it printed; raises `ImageError`."""
        answer = self._run(*arguments)
        if answer.returncode:
            raise ImageError(f"buildah {arguments[0]} failed:\n{answer.stderr[-3000:].strip()}")
        return answer.stdout

    def _run(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        storage = ["--root", f"{self._folder}/storage", "--runroot", f"{self._folder}/run"]
        environment = {**os.environ, "TMPDIR": str(self._folder / "tmp")}
        return subprocess.run(
            ["buildah", *storage, "--storage-driver", "overlay", *arguments],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def _network(self) -> list[str]:
        """Return the options by which steps reach the package index as this machine does."""
        if not AUTHORITIES.exists():
            return ["--network", "host"]
        pip, uv = self._settings
        mounts = {AUTHORITIES: AUTHORITIES, pip: "/etc/pip.conf", uv: "/etc/uv/uv.toml"}
        return [
            "--network",
            "host",
            *(word for source, to in mounts.items() for word in ("-v", f"{source}:{to}:ro")),
        ]

    @property
    def _settings(self) -> tuple[Path, Path]:
        return self._folder / "settings" / "pip.conf", self._folder / "settings" / "uv.toml"
