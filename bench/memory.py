"""What the program takes in memory, and how soon it is ready, as the cluster grows.

Mode irsa, with trust policies large enough for all: the program then holds the namespaces, the ServiceAccounts,
the grants they make and the roles' documents, which is all that it ever holds.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import psutil

from bench.client import Requests, clients, send_all
from bench.figures import MIB, mebibytes, table, verdict
from rig.kubernetes import objects
from rig.kubernetes.cluster import Cluster
from rig.kubernetes.metrics import Metrics
from rig.space import Space
from rig.waiting import eventually

SIZES = (100, 1_000, 10_000)
ROLES = 10
QUOTA = 131072
CLIENTS = 16
PASS_TIMEOUT_S = 300.0
TARGET_BYTES, TARGET_READY_S = 150 * MIB, 2.0


@dataclass(frozen=True)
class Start:
    """One start of the program. Times are seconds since its process was made."""

    ready: float
    done: float
    """When every ServiceAccount was annotated and trusted."""
    resident: int
    """Bytes of resident memory then."""


@dataclass(frozen=True)
class Size:
    """The program beside a cluster of so many control planes: adopting them all, and started again."""

    namespaces: int
    adopting: Start
    again: Start


def measure(sizes: Sequence[int] = SIZES) -> list[Size]:
    """Start the program beside a new cluster of each size."""
    return [_measure(size) for size in sizes]


def report(results: Sequence[Size]) -> str:
    """The results as Markdown."""
    smallest, largest = results[0], results[-1]
    rows = [
        (
            f"{result.namespaces:,}",
            mebibytes(result.again.resident),
            f"{result.again.resident / smallest.again.resident:.2f}",
            f"{result.again.ready:.1f} s",
            f"{result.again.done:.1f} s",
            mebibytes(result.adopting.resident),
            f"{result.adopting.done:.1f} s",
        )
        for result in results
    ]
    columns = (
        "control planes",
        "memory",
        f"times that of {smallest.namespaces:,}",
        "ready after",
        "all known to be trusted after",
        "memory having adopted all",
        "all adopted after",
    )
    verdicts = (
        verdict(
            f"Less than {mebibytes(TARGET_BYTES)} at {largest.namespaces:,} control planes",
            met=largest.again.resident < TARGET_BYTES,
        ),
        verdict(
            f"Ready in less than {TARGET_READY_S:.0f} s, the first list of a large cluster not counted",
            met=smallest.again.ready < TARGET_READY_S,
        ),
    )
    return "\n".join((table(columns, rows), "", *verdicts))


def _measure(size: int) -> Size:
    cluster = Cluster(controllers=False, nodes=0, eks_webhook=False)
    names = [f"mxp-backup-{number}" for number in range(ROLES)]
    with cluster, Space(cluster=cluster, roles=names, quota=QUOTA) as space:
        asyncio.run(grow(cluster, size))

        def adopted(metrics: Metrics) -> bool:
            return metrics.total("mxp_identity_service_accounts_annotated_late_total") >= size

        def trusted(metrics: Metrics) -> bool:
            return metrics.total("mxp_identity_trust_subjects") >= size

        return Size(size, adopting=_start(space, adopted), again=_start(space, trusted))


def _start(space: Space, done: Callable[[Metrics], bool]) -> Start:
    began = time.monotonic()
    webhook = space.start_webhook()
    ready = time.monotonic() - began
    eventually(lambda: done(webhook.metrics()), "everything is done", timeout=PASS_TIMEOUT_S)
    seconds = time.monotonic() - began
    resident = psutil.Process(webhook.process.pid).memory_info().rss
    webhook.terminate()
    return Start(ready, seconds, resident)


async def grow(cluster: Cluster, count: int) -> None:
    """Create so many namespaces of control planes, each with its ServiceAccount."""
    requests = Requests(cluster)
    names = [objects.host_namespace_name() for _ in range(count)]
    namespaces = [objects.namespace(name, {objects.CONTROL_PLANE_LABEL: name}) for name in names]
    async with clients(cluster, CLIENTS) as opened:
        await send_all(opened, [requests.create("/api/v1/namespaces", item) for item in namespaces])
        await send_all(
            opened,
            [
                requests.create(f"/api/v1/namespaces/{name}/serviceaccounts", objects.service_account(name))
                for name in names
            ],
        )
