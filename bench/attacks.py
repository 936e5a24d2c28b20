"""Attacks on the program's two ports: what it takes in memory, and how long an honest client waits meanwhile."""

import asyncio
import ssl
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import psutil

from bench.attackers import ATTACKS, post, review
from bench.client import Client
from bench.figures import megabytes, milliseconds, percentile, table, verdict
from bench.memory import prepare
from rig.aws.faults import Hang
from rig.kubernetes import objects
from rig.kubernetes.cluster import Cluster
from rig.space import Space
from rig.waiting import eventually
from rig.webhook import Webhook

HONEST_ADDRESS = "127.0.0.2"
"""Where honest clients come from: an attacker has another address than the API server and the kubelet."""
EVERY_S = 0.05
LIMIT_BYTES = 256 * 1024 * 1024
LIMIT_S, LIMIT_OPEN_S = 2.0, 15.0


@dataclass
class Waits:
    """Seconds that honest clients waited, and how often they were not answered."""

    kept: list[float] = field(default_factory=list)
    """For a review on a connection that stays open."""
    new: list[float] = field(default_factory=list)
    """For a review on a new connection, its handshake included."""
    health: list[float] = field(default_factory=list)
    """For /healthz on a new connection."""
    failures: int = 0


@dataclass(frozen=True)
class Attack:
    """What one attack did."""

    name: str
    most: int
    """Resident memory of the program at most, in bytes."""
    waits: Waits
    open: float
    """For how long a request that was begun and not finished was left open, at most."""


def measure(names: Sequence[str] = tuple(ATTACKS)) -> list[Attack]:
    """Start the program once, and attack it in one way after another."""
    prepare()
    cluster = Cluster(controllers=False, nodes=0, eks_webhook=False)
    with cluster, Space(cluster=cluster) as space:
        webhook = space.start_webhook()
        trusted, waiting = objects.host_namespace_name(), objects.host_namespace_name()
        cluster.api.create(objects.namespace(trusted, {objects.CONTROL_PLANE_LABEL: trusted}))
        eventually(lambda: webhook.metrics().total("mxp_identity_trust_subjects") >= 1, "it is trusted")
        with space.aws.fault(Hang()):
            cluster.api.create(objects.namespace(waiting, {objects.CONTROL_PLANE_LABEL: waiting}))
            return [asyncio.run(_attack(name, webhook, trusted, waiting)) for name in names]


def report(results: Sequence[Attack]) -> str:
    """The results as Markdown."""
    rows = [
        (
            f"{ATTACKS[result.name][1]:,} {ATTACKS[result.name][0]}",
            megabytes(result.most),
            milliseconds(percentile(result.waits.kept, 0.5)),
            milliseconds(max(result.waits.kept)),
            milliseconds(max(result.waits.new)),
            milliseconds(max(result.waits.health)),
            str(result.waits.failures),
            f"{result.open:.1f} s" if result.open else "",
        )
        for result in results
    ]
    most = max(result.most for result in results)
    longest = max(max(result.waits.kept + result.waits.new + result.waits.health) for result in results)
    failed = any(result.waits.failures for result in results)
    left_open = max(result.open for result in results)
    return "\n".join(
        (
            table(COLUMNS, rows),
            "",
            verdict(f"Resident memory below 256 MiB ({megabytes(LIMIT_BYTES)})", met=most < LIMIT_BYTES),
            verdict(f"Each honest request answered, within {LIMIT_S:.0f} s", met=longest < LIMIT_S and not failed),
            verdict(
                f"Requests that were begun and not finished closed within {LIMIT_OPEN_S:.0f} s",
                met=left_open < LIMIT_OPEN_S,
            ),
        )
    )


COLUMNS = (
    "attack",
    "memory",
    "review, median",
    "longest",
    "on a new connection",
    "/healthz",
    "unanswered",
    "left open",
)


async def _attack(name: str, webhook: Webhook, trusted: str, waiting: str) -> Attack:
    plain = webhook.plain_url.rsplit(":", 1)[1]
    command = (sys.executable, "-m", "bench.attackers", name, str(webhook.port), plain, waiting)
    process = psutil.Process(webhook.process.pid)
    attacker = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    ended = asyncio.create_task(attacker.communicate())
    waits, most = Waits(), 0
    request = post(review(trusted))
    probes = [
        asyncio.create_task(_kept(webhook.port, request, waits)),
        asyncio.create_task(_new(webhook.port, request, waits.new, waits, tls=True)),
        asyncio.create_task(_new(int(plain), b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", waits.health, waits)),
    ]
    while not ended.done():
        most = max(most, process.memory_info().rss)
        await asyncio.sleep(EVERY_S)
    for probe in probes:
        probe.cancel()
    await asyncio.gather(*probes, return_exceptions=True)
    printed, _ = await ended
    return Attack(name, most, waits, float(printed))


async def _kept(port: int, request: bytes, waits: Waits) -> None:
    client = await _connect(port, tls=True)
    while True:
        try:
            waits.kept.append(await client.send(request))
        except (OSError, RuntimeError):
            waits.failures += 1
            client = await _connect(port, tls=True)
        await asyncio.sleep(EVERY_S)


async def _new(port: int, request: bytes, seconds: list[float], waits: Waits, *, tls: bool = False) -> None:
    while True:
        began = time.perf_counter()
        client = None
        try:
            client = await _connect(port, tls=tls)
            await client.send(request)
            seconds.append(time.perf_counter() - began)
        except (OSError, RuntimeError):
            waits.failures += 1
        finally:
            if client:
                client.close()
        await asyncio.sleep(EVERY_S * 4)


async def _connect(port: int, *, tls: bool) -> Client:
    context = ssl._create_unverified_context() if tls else None  # noqa: SLF001
    _, client = await asyncio.get_running_loop().create_connection(
        Client, "127.0.0.1", port, ssl=context, local_addr=(HONEST_ADDRESS, 0)
    )
    return client
