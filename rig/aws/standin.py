"""The stand-in as tests, demo and benches hold it: a server in a thread of this process, and its controls."""

import asyncio
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, overload

from botocore.config import Config

from rig.aws import clients
from rig.aws.account import Account
from rig.aws.callers import Credentials
from rig.aws.calls import CallLog, CallRecord, Clock
from rig.aws.faults import Fault
from rig.aws.http import Connection
from rig.aws.service import Service
from rig.aws.state import State
from rig.aws.switchboard import Switch, Switchboard
from rig.aws.tokens import Jwks
from rig.aws.trust import Write

if TYPE_CHECKING:
    from mypy_boto3_iam import IAMClient
    from mypy_boto3_sts import STSClient

ACCOUNT = "123456789012"
REGION = "us-west-2"


class AwsStandIn:
    """One AWS account behind one plain HTTP address; start and stop it with `with`.

    `quota` is the size a role's trust policy may have, in characters that are not white space. `clock` (seconds
    since 1970) decides what is stale, expired or above a rate; injected latency takes real time. `seed` decides
    every random draw. With `port` 0 the system picks one.
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
        port: int = 0,
    ) -> None:
        self.account = account
        self.region = region
        self.host = host
        self.port = port
        self._state = State(account, partition, clock, quota)
        self._switches = Switchboard(clock, seed)
        self._log = CallLog(clock)
        self._service = Service(Account(self._state), self._switches, self._log)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="aws-stand-in", daemon=True)
        self._started = threading.Event()
        self._stopping: asyncio.Event | None = None
        self._failure: OSError | None = None

    # Life

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
        if self._stopping:
            self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            try:
                runner.run(self._serve())
            except OSError as error:
                self._failure = error
            finally:
                self._started.set()

    async def _serve(self) -> None:
        connections: set[Connection] = set()
        server = await self._loop.create_server(
            lambda: Connection(self._service.answer, connections), self.host, self.port, backlog=1024
        )
        self.port = server.sockets[0].getsockname()[1]
        self._stopping = asyncio.Event()
        self._started.set()
        await self._stopping.wait()
        server.close()
        for connection in list(connections):
            connection.close()

    @property
    def url(self) -> str:
        """The address for AWS_ENDPOINT_URL."""
        return f"http://{self.host}:{self.port}"

    # Clients

    @property
    def root(self) -> Credentials:
        """An access key that may do everything, for setting up."""
        return self._state.callers.root

    @overload
    def client(
        self, service: Literal["iam"], credentials: Credentials, config: Config | None = None
    ) -> "IAMClient": ...

    @overload
    def client(
        self, service: Literal["sts"], credentials: Credentials, config: Config | None = None
    ) -> "STSClient": ...

    def client(self, service: str, credentials: Credentials, config: Config | None = None) -> Any:
        """Return an unmodified boto3 client; by default it never tries twice and gives up after 5 seconds."""
        return clients.client(service, self.url, self.region, credentials, config)

    @overload
    def admin_client(self, service: Literal["iam"]) -> "IAMClient": ...

    @overload
    def admin_client(self, service: Literal["sts"]) -> "STSClient": ...

    def admin_client(self, service: Literal["iam", "sts"]) -> Any:
        """Return a client with the root key. Switches hold for it as for everybody."""
        return self.client(service, self.root)

    def environment(
        self,
        *,
        credentials: Credentials | None = None,
        role_arn: str | None = None,
        token_file: Path | None = None,
        base: Mapping[str, str] | None = None,
    ) -> dict[str, str]:
        """Return the whole environment for a child process that is to talk to this stand-in.

        `base` (default: this process's environment) loses its AWS_* variables. Credentials are those given, or a
        role with a token file, or the root key.
        """
        env = clients.environment(self.url, self.region, self.host, os.environ if base is None else base)
        if role_arn and token_file:
            return {**env, "AWS_ROLE_ARN": role_arn, "AWS_WEB_IDENTITY_TOKEN_FILE": str(token_file)}
        return {**env, **clients.key_variables(credentials or self.root)}

    # The account

    @property
    def quota(self) -> int:
        """The size a trust policy may have, in characters that are not white space."""
        return self._state.trust.quota

    @quota.setter
    def quota(self, characters: int) -> None:
        self._state.trust.quota = characters

    def add_issuer(self, issuer: str, jwks: Jwks) -> None:
        """Say where an issuer's signing keys are: a JWKS, a function returning one, or a plain http URL."""
        self._state.issuers.add(issuer, jwks)

    def remove_issuer(self, issuer: str) -> None:
        """Make an issuer's keys unreachable."""
        self._state.issuers.remove(issuer)

    def delete_principal(self, arn: str) -> None:
        """Delete a user or role, of any account: trust policies that name it show its unique id from now on."""
        with self._state.lock:
            self._state.principals.delete(arn)

    # Faults

    def switch_on(self, fault: Fault) -> Switch:
        """Switch a fault on until `switch_off`, `clear_faults`, or its `times` are used up."""
        return self._switches.on(fault)

    def switch_off(self, switch: Switch) -> None:
        """Switch a fault off; calls that hang on it go on."""
        self._switches.off(switch)

    def clear_faults(self) -> None:
        """Switch every fault off."""
        self._switches.clear()

    def fault(self, fault: Fault) -> AbstractContextManager[Switch]:
        """Keep a fault on for a `with` block."""
        return self._switches.during(fault)

    # What happened

    def history(self, role: str) -> list[Write]:
        """Return every trust policy ever stored for roles of that name, oldest first."""
        with self._state.lock:
            return self._state.trust.history(role)

    @property
    def log(self) -> list[CallRecord]:
        """Every finished call, in order of completion."""
        return self._log.finished

    @property
    def in_flight(self) -> list[str]:
        """The actions of calls that have arrived and are not answered."""
        return self._log.in_flight

    @property
    def calls(self) -> Counter[tuple[str, str]]:
        """How many finished calls there are of each (action, code)."""
        return self._log.counts

    def count(self, action: str) -> int:
        """Return how many finished calls of an action there are, whatever became of them."""
        return sum(number for (name, _), number in self.calls.items() if name == action)

    def forget_calls(self) -> None:
        """Empty the log; histories stay."""
        self._log.clear()

    def wait_until(self, holds: Callable[[], bool], timeout: float = 10.0) -> None:
        """Return once `holds()`, asked again whenever a call arrives or ends; else raise `TimeoutError`."""
        self._log.wait_until(holds, timeout)
