"""The real node itself: shut in, and gone without a trace however its owner ends."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import psutil
import pytest

from rig import leftovers
from rig.node import inside
from rig.node.images import Image
from rig.node.layout import Layout
from rig.node.node import Node
from rig.waiting import eventually

pytestmark = [pytest.mark.node, pytest.mark.timeout(240)]

SECOND = Layout(
    name="mxp-node-second",
    host_link="mxpsecond0",
    inner_link="mxpsecond1",
    cable="10.123.0.4/30",
    host_address="10.123.0.5",
    inner_address="10.123.0.6",
    pods="10.231.1.0/24",
    services="10.233.0.0/16",
    first_service="10.233.0.1",
)
OWNER = """
from tests.node.test_real_nodes import bare_node
from rig.node.images import ensure_images

with bare_node(ensure_images(lambda _: None)):
    print("up", flush=True)
    input()
"""
ELSEWHERE = "192.0.2.1"


@contextmanager
def bare_node(images: tuple[Image, Image]) -> Iterator[Node]:
    """A second node, beside the one of the other tests."""
    with Node(images, layout=SECOND, eks_webhook=False) as running:
        yield running


def has_link() -> bool:
    with suppress(OSError):
        return bool(socket.if_nametoindex(SECOND.host_link))
    return False


def first_processes() -> list[psutil.Process]:
    """The processes that hold the second node's namespaces."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            line = process.cmdline()
            if inside.__file__ in line and SECOND.name in line:
                found.append(process)
    return found


def control_groups() -> list[Path]:
    return list(inside.CONTROL_GROUPS.glob(f"*/{SECOND.name}"))


def test_there_is_no_way_out_of_a_node_but_to_this_machine(node: Node) -> None:
    assert node.run(["ip", "route", "get", node.layout.host_address]).returncode == 0
    assert "unreachable" in node.run(["ip", "route", "get", ELSEWHERE]).stderr
    links = node.run(["ls", "/proc/sys/net/ipv4/conf"]).stdout.split()
    assert "eth0" not in {link for link in links if not link.startswith("veth")}


def test_two_nodes_run_side_by_side_and_one_that_ends_leaves_nothing(
    node: Node, images: tuple[Image, Image]
) -> None:
    with bare_node(images) as second:
        assert second.kubectl("get", "nodes", "--output=name").stdout == "node/node-1\n"
        assert (
            node.api.get("/api/v1/nodes")["items"][0]["metadata"]["uid"]
            != (second.api.get("/api/v1/nodes")["items"][0]["metadata"]["uid"])
        )
        folder = second.workspace.path
        assert has_link()
        assert control_groups()
        late = second.client("token")
    assert not has_link()
    assert not control_groups()
    assert not first_processes()
    assert not folder.exists()
    # Its address now belongs to whoever the default route leads to: nothing may be sent there.
    with pytest.raises(httpx.ConnectError, match="No such device"):
        late.get("/version")


@pytest.mark.proof
def test_a_node_that_lost_its_owner_and_its_guardian_is_removed_by_the_next(
    images: tuple[Image, Image], tmp_path: Path
) -> None:
    # Its workspace is where the next one does not look for dead owners' workspaces.
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    command = [sys.executable, "-c", OWNER]
    owner = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
    assert owner.stdout
    assert owner.stdout.readline() == "up\n"
    guardians = [child for child in psutil.Process(owner.pid).children() if leftovers.__file__ in child.cmdline()]
    assert guardians
    for pid in [*(guardian.pid for guardian in guardians), owner.pid]:
        os.kill(pid, signal.SIGKILL)
    owner.communicate()
    assert has_link()
    left = first_processes()
    assert left

    with bare_node(images) as second:
        assert not [process for process in left if process.is_running()]
        assert second.api.get("/api/v1/nodes")["items"]
    assert not has_link()
    assert not control_groups()
    assert not first_processes()


@pytest.mark.proof
def test_a_node_that_lost_only_its_owner_is_removed_by_its_guardian(images: tuple[Image, Image]) -> None:
    assert images
    with subprocess.Popen(
        [sys.executable, "-c", OWNER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as owner:
        assert owner.stdout
        assert owner.stdout.readline() == "up\n"
        owner.kill()
    eventually(lambda: not has_link() and not first_processes(), "the guardian has removed the node")
