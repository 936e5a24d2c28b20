"""Ports for programs that must be told theirs before they start.

A port that was free a moment ago may be taken when the program binds it, so nobody can promise one. These
come from below the range the kernel hands to outgoing connections, and whoever starts a program tries again
with others when it ended because an address was in use.
"""

import contextlib
import random
import socket
from collections.abc import Iterator
from pathlib import Path

FALLBACK_EPHEMERAL_START = 32768
LOWEST = 15000
ATTEMPTS = 200
IN_USE = "address already in use"

_random = random.SystemRandom()


def free_port() -> int:
    """Return a TCP port on which nothing listens at this moment."""
    for port in _candidates():
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("", port))  # every address: some programs cannot be told to bind loopback only
            return port
    raise OSError(f"no free TCP port found in {ATTEMPTS} attempts")


def lost_its_port(log: str) -> bool:
    """Whether a program's log says that it ended because its port was taken."""
    return IN_USE in log.lower()


def _candidates() -> Iterator[int]:
    try:
        text = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text()
        ephemeral = int(text.split()[0])
    except (OSError, ValueError, IndexError):
        ephemeral = FALLBACK_EPHEMERAL_START
    top = ephemeral if ephemeral > LOWEST + 1000 else 65536
    for _ in range(ATTEMPTS):
        yield _random.randrange(LOWEST, top)
