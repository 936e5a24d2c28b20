"""Building images with buildah, in a storage of the rig's own; no registry is asked for anything."""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")
"""The machine's certificate authorities: a proxy that intercepts TLS is trusted by these alone."""


class ImageError(RuntimeError):
    """An image could not be made; the message ends with the last words of the program that made it."""


class Buildah:
    """One storage below `folder`, with the layers of earlier builds."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        for part in ("tmp", "settings"):
            (folder / part).mkdir(parents=True, exist_ok=True)
        pip, uv = self._settings
        pip.write_text(f"[global]\ncert = {AUTHORITIES}\n")
        uv.write_text("system-certs = true\n")

    def build(self, context: Path, tag: str, *, arguments: Sequence[str] = ()) -> None:
        """Build the Dockerfile of `context`; `arguments` are build arguments, NAME=VALUE."""
        given = [word for argument in arguments for word in ("--build-arg", argument)]
        self.run(
            "bud",
            "--isolation",
            "chroot",
            "--layers",
            "--pull-never",
            *self._network(),
            *given,
            "-t",
            tag,
            context,
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
