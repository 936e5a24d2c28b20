"""Reviews that come at once while AWS does not answer: how long after its budget the last one is answered.

They go to the program's own port over TLS, each on a connection of its own, as an API server sends them. None is
for a subject that is trusted, so that each waits the whole budget. The clients share the machine with the program,
so that the figures count their work too.
"""

import asyncio
import json
import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bench.client import Client, Requests, clients, send_all
from bench.figures import milliseconds, percentile, table, verdict
from rig.aws import Hang
from rig.kubernetes import objects
from rig.kubernetes.cluster import Cluster
from rig.space import Space
from rig.waiting import eventually
from rig.webhook import Webhook

COUNTS = (500, 1_000)
BUDGET_S, TARGET_S = 1.0, 0.5
CREATORS = 16
"""Connections that create namespaces, or are opened, at the same time."""
WATCHED = "mxp_identity_watched_objects"


@dataclass(frozen=True)
class Wave:
    """So many reviews at once: seconds of each from when it was sent, and those of opening its connection."""

    opened: bool
    opening: list[float]
    seconds: list[float]

    @property
    def over(self) -> float:
        """Seconds from the budget's end to the last answer."""
        return max(self.seconds) - BUDGET_S


def measure(counts: Sequence[int] = COUNTS) -> list[Wave]:
    """Send so many at once, each number on open connections first and then on new ones."""
    cluster = Cluster(controllers=False, nodes=0, eks_webhook=False)
    with cluster, Space(cluster=cluster, quota=131072) as space:
        admission = {"trustBudget": f"{BUDGET_S:g}s"}
        webhook = space.start_webhook(space.configuration(admission=admission))
        first = objects.host_namespace_name()
        cluster.create([_control_plane(first)])
        eventually(lambda: first in str(space.policy()), "AWS trusts the first subject")
        with space.aws.fault(Hang(applied=False)):
            names = [objects.host_namespace_name() for _ in range(max(counts))]
            known = webhook.metrics().total(WATCHED, resource="namespaces")
            asyncio.run(_create(cluster, names))
            eventually(
                lambda: webhook.metrics().total(WATCHED, resource="namespaces") >= known + len(names),
                "the program knows all namespaces",
            )
            return [
                asyncio.run(_send(webhook, space.authority.certificate, names[:count], opened=opened))
                for count in counts
                for opened in (True, False)
            ]


def report(waves: Sequence[Wave]) -> str:
    """The results as Markdown."""
    rows = [
        (
            f"{len(wave.seconds):,} reviews, {'open' if wave.opened else 'new'} connections",
            "" if wave.opened else milliseconds(max(wave.opening)),
            *(milliseconds(percentile(wave.seconds, share) - BUDGET_S) for share in (0.5, 0.99)),
            milliseconds(wave.over),
        )
        for wave in waves
    ]
    verdicts = [
        verdict(
            f"{row[0]}: the last one at most {milliseconds(TARGET_S)} after the budget", met=wave.over <= TARGET_S
        )
        for row, wave in zip(rows, waves, strict=True)
    ]
    columns = ("reviews", "opening, the last one", "after the budget, p50", "p99", "the last one")
    return "\n".join((table(columns, rows), "", *verdicts))


def _control_plane(name: str) -> dict[str, Any]:
    return objects.namespace(name, {objects.CONTROL_PLANE_LABEL: "bench"})


async def _create(cluster: Cluster, names: Sequence[str]) -> None:
    requests = Requests(cluster)
    async with clients(cluster, CREATORS) as opened:
        await send_all(opened, [requests.create("/api/v1/namespaces", _control_plane(name)) for name in names])


async def _send(webhook: Webhook, authority: str, names: Sequence[str], *, opened: bool) -> Wave:
    context = ssl.create_default_context(cadata=authority)
    loop = asyncio.get_running_loop()
    ready, opening = asyncio.Barrier(len(names)), asyncio.Semaphore(CREATORS)

    async def connect() -> Client:
        _, client = await loop.create_connection(Client, "127.0.0.1", webhook.port, ssl=context)
        return client

    async def open_one(name: str) -> Client:
        async with opening:
            client = await connect()
            await client.send(
                _review(name, "DELETE")
            )  # answered at once: a connection without a request is closed
            return client

    async def one(name: str) -> tuple[float, float]:
        client = await open_one(name) if opened else None
        await ready.wait()
        began = time.perf_counter()
        client = client or await connect()
        opening = time.perf_counter() - began
        seconds = await client.send(_review(name, "CREATE"))
        client.close()
        return opening, seconds

    times = await asyncio.gather(*(one(name) for name in names))
    return Wave(opened, [opening for opening, _ in times], [seconds for _, seconds in times])


def _review(namespace: str, operation: str) -> bytes:
    kind = {"group": "", "version": "v1", "kind": "ServiceAccount"}
    request = {
        "uid": namespace,
        "kind": kind,
        "operation": operation,
        "namespace": namespace,
        "name": objects.SERVICE_ACCOUNT,
        "object": objects.service_account(namespace),
    }
    body = json.dumps({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request})
    head = "POST /mutate?timeout=10s HTTP/1.1\r\nHost: webhook\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode()
