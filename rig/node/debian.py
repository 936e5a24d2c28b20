"""Debian's packages, unpacked into a folder with their security updates; none of their scripts is run."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

from rig.node.buildah import ImageError, own_architecture


def unpack(
    root: Path, suite: str, packages: Sequence[str], architecture: str | None = None, *options: str
) -> None:
    """Unpack the essential packages of a release of Debian, such as "bookworm", and `packages`; needs root.

    `architecture` is this machine's own by default, `options` are mmdebstrap's. Raises `ImageError`.
    """
    command = [
        *("unshare", "--mount", "mmdebstrap", "--quiet", "--variant=extract", "--mode=root"),
        *(f"--architectures={architecture or own_architecture()}", "--include=?essential"),
        *(f"--include={','.join(packages)}", '--aptopt=APT::Install-Recommends "false"'),
        *("--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr", *options, suite, str(root)),
    ]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    if answer.returncode:
        raise ImageError(f"mmdebstrap failed:\n{(answer.stdout + answer.stderr)[-3000:].strip()}")
