"""The namespaces that a real node lives in, and the one cable that leads out of them: to this machine."""

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

import psutil

from rig.kubernetes.place import Place
from rig.node import inside
from rig.node.layout import Layout
from rig.processes import Process, Workspace
from rig.serving import wait_until_ready
from rig.waiting import eventually

ISOLATE = ("unshare", "--mount", "--net", "--pid", "--fork", "--mount-proc", "--kill-child")


class NetworkError(RuntimeError):
    """The machine's network has no room for a node; the message says what is in the way."""


class Namespaces:
    """Mount, network and process namespaces, up from construction until their workspace closes.

    The kernel ends everything in them with their first process: programs, pods, mounts, addresses, rules. Whoever
    makes one holds the layout's lock. Attributes: `process` and `place`.
    """

    def __init__(self, workspace: Workspace, layout: Layout) -> None:
        remove_leftovers(layout)
        _check_route(layout)
        folder = workspace.path / "node"
        folder.mkdir()
        told = [str(folder), layout.name, layout.inner_link, f"{layout.inner_address}/30", layout.services]
        program = [*ISOLATE, sys.executable, "-I", inside.__file__, *told]
        self.process: Process = workspace.spawn("namespaces", program)
        first = eventually(self._first_process, "the first process of the namespaces")
        _plug_in(layout, first)
        wait_until_ready(self.process, lambda: "ready" in self.process.log_tail())
        self.place = Place(
            address=layout.inner_address,
            bind="0.0.0.0",  # of a network namespace that only the cable leads into
            machine=layout.host_address,
            device=layout.host_link,
            enter=("nsenter", f"--target={first}", "--mount", "--net", "--pid", "--"),
            services=(layout.services, layout.first_service),
        )

    def _first_process(self) -> int | None:
        """The id of the namespaces' first process as this machine counts, once it has left our own network."""
        self.process.check()
        with contextlib.suppress(psutil.Error, OSError):
            for child in psutil.Process(self.process.pid).children():
                if _network_of(child.pid) != _network_of(os.getpid()):
                    return child.pid
        return None


def remove_leftovers(layout: Layout) -> None:
    """Remove what a node that was killed may have left: processes, its cable and its control groups."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            line = process.cmdline()
            if line[1:3] == ["-I", inside.__file__] and layout.name in line:
                process.kill()
                process.wait(10)
    subprocess.run(["ip", "link", "delete", layout.host_link], capture_output=True, check=False)
    remove_control_groups(layout)


def remove_control_groups(layout: Layout) -> None:
    """Remove the control groups of a node that has ended."""
    for top in inside.CONTROL_GROUPS.glob(f"**/{layout.name}" if _unified() else f"*/{layout.name}"):
        for folder, _, _ in os.walk(top, topdown=False):
            with contextlib.suppress(OSError):
                Path(folder).rmdir()


def _unified() -> bool:
    return (inside.CONTROL_GROUPS / "cgroup.controllers").exists()


def _network_of(pid: int) -> str:
    return str(Path(f"/proc/{pid}/ns/net").readlink())


def _check_route(layout: Layout) -> None:
    """Refuse a range that this machine already has a way to, other than its way to everywhere."""
    text = _ip("-json", "route", "show", "to", "match", layout.cable)
    taken = [route["dst"] for route in json.loads(text or "[]") if route["dst"] != "default"]
    if taken:
        raise NetworkError(
            f"this machine already has a route to {layout.cable}, which a real node needs: {taken[0]}"
        )


def _plug_in(layout: Layout, pid: int) -> None:
    """Lay the cable between this machine and the network namespace of `pid`."""
    _ip("link", "add", layout.host_link, "type", "veth", "peer", "name", layout.inner_link, "netns", str(pid))
    _ip("address", "add", f"{layout.host_address}/30", "dev", layout.host_link)
    _ip("link", "set", layout.host_link, "up")


def _ip(*arguments: str) -> str:
    answer = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    if answer.returncode:
        raise NetworkError(f"ip {' '.join(arguments)}: {answer.stderr.strip()}")
    return answer.stdout
