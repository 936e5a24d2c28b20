"""What a real node needs of the machine: root, and Debian's container packages."""

import os
import platform
import shutil
import subprocess
from pathlib import Path

PACKAGES = {
    # package: a file that it brings
    "containerd": "/usr/bin/containerd",
    "runc": "/usr/sbin/runc",
    "containernetworking-plugins": "/usr/lib/cni/bridge",
    "iptables": "/usr/sbin/iptables",
    "nftables": "/usr/sbin/nft",
    "buildah": "/usr/bin/buildah",
    "mmdebstrap": "/usr/bin/mmdebstrap",
}
REMEDY = "run `make node-packages`"
APT = {"DEBIAN_FRONTEND": "noninteractive"}


class PackagesError(RuntimeError):
    """A real node cannot run here, or its packages cannot be installed; the message says why."""


def missing() -> list[str]:
    """Return the packages that are not installed."""
    return [package for package, file in PACKAGES.items() if not Path(file).exists()]


def why_not() -> str | None:
    """Return why no real node can run on this machine, in a sentence, or None if one can."""
    if platform.system() != "Linux":
        return "a real node needs Linux"
    if os.geteuid() != 0:
        return "a real node needs root"
    if absent := missing():
        return f"a real node needs the packages {', '.join(absent)}: {REMEDY}"
    trial = ["unshare", "--mount", "--net", "--pid", "--fork", "true"]
    answer = subprocess.run(trial, capture_output=True, text=True, check=False)
    return None if answer.returncode == 0 else f"a real node needs namespaces of its own: {answer.stderr.strip()}"


def demand() -> None:
    """Raise `PackagesError` if no real node can run here."""
    if reason := why_not():
        raise PackagesError(reason)


def install() -> list[str]:
    """Install what is missing with apt-get and return what that was. Raises `PackagesError`."""
    if platform.system() != "Linux" or not shutil.which("apt-get"):
        raise PackagesError(
            "a real node is made of Debian's packages, and this machine has no apt-get; the rest works without it"
        )
    absent = missing()
    if not absent:
        return []
    if os.geteuid() != 0:
        raise PackagesError(f"installing {', '.join(absent)} needs root: sudo make node-packages")
    environment = {**os.environ, **APT}
    for command in (
        ["apt-get", "update", "--quiet=2"],
        ["apt-get", "install", "--quiet=2", "--yes", "--no-install-recommends", *absent],
    ):
        answer = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if answer.returncode:
            raise PackagesError(f"{' '.join(command)} failed:\n{(answer.stderr or answer.stdout).strip()}")
    return absent
