"""The stand-in of the Pod Identity agent on a real node, at the address that EKS's webhook tells pods."""

import sys
from pathlib import Path

from rig.aws.endpoint import Endpoint
from rig.node.node import Node
from rig.processes import Process
from rig.serving import wait_until_ready

ADDRESS, PORT = "169.254.170.23", 80
REPOSITORY = Path(__file__).parents[2]


def start_agent(node: Node, aws: Endpoint, cluster: str) -> Process:
    """Run the agent in the node's own network until its workspace closes, and wait until it serves."""
    added = node.run(["ip", "address", "replace", f"{ADDRESS}/32", "dev", "lo"])
    if added.returncode:
        raise OSError(f"the node could not be given {ADDRESS}: {added.stderr.strip()}")
    port = aws.url.rpartition(":")[2]
    program = [
        *("env", f"PYTHONPATH={REPOSITORY}", sys.executable, "-m", "rig.aws.agent"),
        *(f"http://{node.place.machine}:{port}", cluster, f"--host={ADDRESS}", f"--port={PORT}"),
    ]
    process = node.workspace.spawn("pod-identity-agent", node.place.command(program))
    wait_until_ready(process, lambda: "pod identity agent:" in process.log_tail())
    return process
