"""Starting programs that serve on a port, and waiting until they do."""

import contextlib
import socket
from collections.abc import Callable, Sequence
from pathlib import Path

from rig.ports import free_port, lost_its_port
from rig.processes import Process, Workspace
from rig.waiting import NotInTimeError, eventually

READY_TIMEOUT_S = 60.0
PORT_ATTEMPTS = 8


def serve(
    workspace: Workspace,
    name: str,
    argv: Callable[[int], Sequence[str | Path]],
    ready: Callable[[int], bool],
    *,
    timeout: float = READY_TIMEOUT_S,
) -> tuple[Process, int]:
    """Start a program on a free port, given to `argv`, wait until it is `ready`, and return both.

    It is started anew on another port when it ended because its port was taken meanwhile. `argv` is called
    for each start, so it may take further ports of its own. Raises `ProcessFailedError` if it ends or is not
    ready within `timeout` seconds.
    """
    for _ in range(PORT_ATTEMPTS):
        port = free_port()
        process = workspace.spawn(name, argv(port))

        def settled(process: Process = process, port: int = port) -> bool:
            return not process.running or ready(port)

        _wait(process, settled, timeout)
        if process.running:
            return process, port
        if not lost_its_port(process.log_tail()):
            break
        workspace.forget(process)
    raise process.failure(f"ended with exit code {process.exit_code} while it was starting")


def wait_until_ready(process: Process, ready: Callable[[], bool], *, timeout: float = READY_TIMEOUT_S) -> None:
    """Wait until a running program is ready; `ProcessFailedError` if it ends or is too slow."""

    def settled() -> bool:
        process.check()
        return ready()

    _wait(process, settled, timeout)


def accepts(address: int | Path) -> bool:
    """Whether something accepts connections on a loopback port or a Unix socket."""
    family = socket.AF_INET if isinstance(address, int) else socket.AF_UNIX
    with socket.socket(family) as probe, contextlib.suppress(OSError):
        probe.settimeout(1)
        probe.connect(("127.0.0.1", address) if isinstance(address, int) else str(address))
        return True
    return False


def _wait(process: Process, settled: Callable[[], bool], timeout: float) -> None:
    try:
        eventually(settled, process.name, timeout=timeout)
    except NotInTimeError:
        raise process.failure(f"was not ready within {timeout:g} s") from None
