"""The load: control planes created at once, in a process of its own so that it measures nobody but the server.

`python -m bench.burst.load` reads a Plan from standard input and writes a list of Made to standard output. As
many connections as clients, each HTTP/1.1 with keep-alive. A control plane is its namespace, its ServiceAccount
and its Deployment, each POSTed as soon as the one before was answered.
"""

import asyncio
import json
import ssl
import sys
import time
from collections.abc import Iterator
from typing import Any, Self

import httptools
import msgspec
import uvloop

from rig.kubernetes import objects

ROLE_ANNOTATION = "eks.amazonaws.com/role-arn"
REQUEST_TIMEOUT_S = 60.0
ERRORS = 400


class Plan(msgspec.Struct, frozen=True):
    """What to create, and where."""

    url: str
    ca_file: str
    token: str
    namespaces: list[str]
    clients: int


class Made(msgspec.Struct, frozen=True):
    """One control plane."""

    namespace: str
    asked: float
    """When the ServiceAccount's CREATE was sent, in seconds since 1970."""
    seconds: float
    """How long the ServiceAccount's CREATE took."""
    role: str
    """The role in its annotation, or empty."""


class Client:
    """One connection to the API server."""

    def __init__(self, plan: Plan) -> None:
        self._host, self._port = plan.url.removeprefix("https://").split(":")
        self._tls = ssl.create_default_context(cafile=plan.ca_file)
        self._head = (
            f"Host: {self._host}\r\nAuthorization: Bearer {plan.token}\r\nContent-Type: application/json\r\n"
        )

    async def connect(self) -> Self:
        """Open the connection."""
        self._reader, self._writer = await asyncio.open_connection(self._host, int(self._port), ssl=self._tls)
        return self

    async def post(self, path: str, body: dict[str, Any]) -> Any:
        """POST an object and return the answer. RuntimeError for an HTTP error, TimeoutError for none."""
        payload = json.dumps(body).encode()
        head = f"POST {path} HTTP/1.1\r\n{self._head}Content-Length: {len(payload)}\r\n\r\n"
        self._writer.write(head.encode() + payload)
        answer = _Answer()
        async with asyncio.timeout(REQUEST_TIMEOUT_S):
            while not answer.complete:
                data = await self._reader.read(65536)
                if not data:
                    raise RuntimeError(f"POST {path}: the connection was closed")
                answer.parser.feed_data(data)
        if answer.parser.get_status_code() >= ERRORS:
            raise RuntimeError(f"POST {path}: {answer.parser.get_status_code()} {bytes(answer.body[:300])!r}")
        return json.loads(answer.body)

    def close(self) -> None:
        """Close the connection."""
        self._writer.close()


class _Answer:
    """An HTTP answer as httptools' parser tells it."""

    def __init__(self) -> None:
        self.parser = httptools.HttpResponseParser(self)
        self.body = bytearray()
        self.complete = False

    def on_body(self, data: bytes) -> None:
        self.body += data

    def on_message_complete(self) -> None:
        self.complete = True


async def create(plan: Plan) -> list[Made]:
    """Create them all, `plan.clients` at a time."""
    clients = await asyncio.gather(
        *(Client(plan).connect() for _ in range(min(plan.clients, len(plan.namespaces))))
    )
    waiting = iter(plan.namespaces)
    async with asyncio.TaskGroup() as tasks:
        workers = [tasks.create_task(_work(client, waiting)) for client in clients]
    for client in clients:
        client.close()
    return [made for worker in workers for made in worker.result()]


async def _work(client: Client, waiting: Iterator[str]) -> list[Made]:
    return [await _control_plane(client, namespace) for namespace in waiting]


async def _control_plane(client: Client, name: str) -> Made:
    namespace, service_account, deployment = objects.control_plane(name, name)
    await client.post("/api/v1/namespaces", namespace)
    asked, began = time.time(), time.perf_counter()
    account = await client.post(f"/api/v1/namespaces/{name}/serviceaccounts", service_account)
    seconds = time.perf_counter() - began
    await client.post(f"/apis/apps/v1/namespaces/{name}/deployments", deployment)
    role = account["metadata"].get("annotations", {}).get(ROLE_ANNOTATION, "")
    return Made(name, asked, seconds, role)


def main() -> None:
    """Do what standard input says."""
    plan = msgspec.json.decode(sys.stdin.buffer.read(), type=Plan)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        made = runner.run(create(plan))
    sys.stdout.buffer.write(msgspec.json.encode(made))


if __name__ == "__main__":
    main()
