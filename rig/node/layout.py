"""Names and address ranges of a real node."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Layout:
    """What one node takes of the machine: two nodes at once need layouts that share nothing.

    `name` is that of its lock and its control groups, `host_link` and `inner_link` are the two ends of the cable
    between the machine and the node's network namespace. The machine has a route to the cable's /30 only, the
    node has none to anywhere else.
    """

    name: str = "mxp-node"
    host_link: str = "mxpnode0"
    inner_link: str = "mxpnode1"
    cable: str = "10.123.0.0/30"
    host_address: str = "10.123.0.1"
    inner_address: str = "10.123.0.2"
    pods: str = "10.231.0.0/24"
    services: str = "10.232.0.0/16"
    first_service: str = "10.232.0.1"
