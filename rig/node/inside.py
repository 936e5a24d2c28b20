"""The first process of a node's namespaces: prepares them, says "ready", and waits for orphans until it is killed.

Run as `unshare ... python -I inside.py FOLDER NAME LINK ADDRESS SERVICES`; it knows nothing else of the rig.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

FOLDERS = ("/var/lib/kubelet", "/var/lib/cni", "/var/log/pods", "/var/log/containers")
CONTROL_GROUPS = Path("/sys/fs/cgroup")
PAUSE_S = 0.01
CONTROLLERS = "+cpu +cpuset +memory +pids"
MASQUERADE = """
table ip rig {{
  chain postrouting {{
    type nat hook postrouting priority srcnat;
    oifname "{link}" masquerade
  }}
}}
"""


def run(*argv: str | Path, text: str | None = None) -> None:
    """Run a command; its failure is ours."""
    subprocess.run(argv, check=True, input=text, text=True)


def mounts(folder: Path) -> None:
    """Give the namespace folders of its own where kubelet, containerd and CNI insist on theirs."""
    run("mount", "--make-rshared", "/")
    run("mount", "-t", "tmpfs", "tmpfs", "/run")
    for name in ("containerd", "netns", "lock"):
        Path("/run", name).mkdir()
    for place in FOLDERS:
        own = folder / place.lstrip("/").replace("/", "-")
        own.mkdir()
        Path(place).mkdir(parents=True, exist_ok=True)
        run("mount", "--bind", own, place)
    run("mount", "--make-rshared", "/var/lib/kubelet")


def control_groups(name: str) -> None:
    """Make the group below which the kubelet puts everything, in each hierarchy of version 1 or the one of 2."""
    if (CONTROL_GROUPS / "cgroup.controllers").exists():
        (CONTROL_GROUPS / "cgroup.subtree_control").write_text(CONTROLLERS)
        (CONTROL_GROUPS / name).mkdir(exist_ok=True)
        return
    for hierarchy in CONTROL_GROUPS.iterdir():
        if hierarchy.is_dir() and hierarchy.name != "unified":
            (hierarchy / name).mkdir(exist_ok=True)
    cpuset = CONTROL_GROUPS / "cpuset"
    for file in ("cpuset.cpus", "cpuset.mems"):
        (cpuset / name / file).write_text((cpuset / file).read_text())


def wait_for(link: str) -> None:
    """Wait until the machine has plugged the cable in."""
    while True:
        try:
            socket.if_nametoindex(link)
        except OSError:
            time.sleep(PAUSE_S)
        else:
            return


def network(link: str, address: str, services: str) -> None:
    """Bring up the cable once it is there. Services are routed to nowhere: kube-proxy turns them into pods.

    Pods' calls to the machine carry the node's address, so that the machine needs no route to pods.
    """
    run("ip", "link", "set", "lo", "up")
    run("ip", "address", "add", address, "dev", link)
    run("ip", "link", "set", link, "up")
    run("ip", "link", "add", "services", "type", "bridge")
    run("ip", "link", "set", "services", "up")
    run("ip", "route", "add", services, "dev", "services")
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
    run("nft", "-f", "-", text=MASQUERADE.format(link=link))


def main() -> None:
    """Prepare, say so, and reap."""
    folder, name, link, address, services = sys.argv[1:]
    mounts(Path(folder))
    control_groups(name)
    wait_for(link)
    network(link, address, services)
    print("ready", flush=True)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])
    while True:
        signal.sigwait([signal.SIGCHLD])
        while True:
            try:
                if os.waitpid(-1, os.WNOHANG)[0] == 0:
                    break
            except ChildProcessError:
                break


if __name__ == "__main__":
    main()
