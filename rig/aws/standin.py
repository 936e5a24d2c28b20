"""The stand-in as tests and the demo hold it: a server in a thread of this process, and its controls."""

import asyncio
import threading
import time
from collections.abc import Iterable
from types import TracebackType
from typing import Self

from rig.aws.account import Account
from rig.aws.calls import CallLog, Clock
from rig.aws.control_api import ControlApi
from rig.aws.controls import Controls
from rig.aws.endpoint import Endpoint
from rig.aws.http import Connection
from rig.aws.service import Service
from rig.aws.state import State
from rig.aws.switchboard import Switchboard

ACCOUNT = "123456789012"
REGION = "us-west-2"


class AwsStandIn(Endpoint, Controls):
    """One AWS account behind one plain HTTP address; start and stop it with `with`.

    `quota` is the size a role's trust policy may have, in characters that are not white space. `clock` (seconds
    since 1970) decides what is stale, expired or above a rate; injected latency takes real time. `seed` decides
    every random draw. With `port` 0 the system picks one; it is the same at the addresses of `also_on`.
    """

    def __init__(  # noqa: PLR0913 (every one has a default)
        self,
        *,
        account: str = ACCOUNT,
        region: str = REGION,
        partition: str = "aws",
        quota: int = 2048,
        clock: Clock = time.time,
        seed: int = 0,
        host: str = "127.0.0.1",
        also_on: Iterable[str] = (),
        port: int = 0,
    ) -> None:
        state = State(account, region, partition, clock, quota)
        super().__init__(state, Switchboard(clock, seed), CallLog(clock))
        self.account, self.region, self.root = account, region, state.callers.root
        self._hosts, self._port = [host, *also_on], port
        self._service = Service(Account(state), self._switches, self._log, ControlApi(self, self).answer)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._run, name="aws-stand-in", daemon=True)
        self._started = threading.Event()
        self._stopping: asyncio.Event | None = None
        self._failure: OSError | None = None

    def __enter__(self) -> Self:
        """Serve; returns once the port is open. Raises `OSError` when it cannot be opened."""
        self._thread.start()
        self._started.wait()
        if self._failure:
            raise self._failure
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the port and every connection."""
        if self._loop and self._stopping:
            self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except OSError as error:
            self._failure = error
        finally:
            self._started.set()

    async def _serve(self) -> None:
        connections: set[Connection] = set()
        self._loop = asyncio.get_running_loop()
        servers, port = [], self._port
        for host in self._hosts:
            server = await self._loop.create_server(
                lambda: Connection(self._service.answer, connections), host, port, backlog=1024
            )
            servers.append(server)
            port = server.sockets[0].getsockname()[1]
        self.url = f"http://{self._hosts[0]}:{port}"
        self._stopping = asyncio.Event()
        self._started.set()
        await self._stopping.wait()
        for server in servers:
            server.close()
        for connection in list(connections):
            connection.close()
