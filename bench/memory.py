"""What the program takes in memory, and how soon it is ready, as the cluster grows.

Mode irsa, with enough roles that all fit at IAM's largest trust policies in practice: the program then holds the
namespaces, the ServiceAccounts, the grants they make, and the roles' documents, which is all that it ever holds.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import psutil

from bench.client import Requests, clients, send_all
from bench.figures import MIB, mebibytes, table, verdict
from rig.kubernetes import objects
from rig.kubernetes.cluster import Cluster
from rig.space import Space
from rig.waiting import eventually
from rig.webhook import Webhook

SIZES = (100, 1_000, 10_000)
ROLES = 10
QUOTA = 131072
CLIENTS = 16
PASS_TIMEOUT_S = 300.0
TARGET_BYTES, TARGET_READY_S = 150 * MIB, 2.0


@dataclass(frozen=True)
class Size:
    """The program beside a cluster of so many control plane namespaces."""

    namespaces: int
    resident: int
    """Bytes of resident memory once all are trusted."""
    ready_seconds: float
    trusted_seconds: float


def measure(sizes: Sequence[int] = SIZES) -> list[Size]:
    """Start the program anew beside a growing cluster, and look at it once every ServiceAccount is trusted."""
    cluster = Cluster(controllers=False, nodes=0, eks_webhook=False)
    names = [f"mxp-backup-{number}" for number in range(ROLES)]
    with cluster, Space(cluster=cluster, roles=names, quota=QUOTA) as space:
        results = []
        for before, size in pairwise((0, *sizes)):
            asyncio.run(grow(cluster, size - before))
            results.append(_observe(space, size))
        return results


def report(results: Sequence[Size]) -> str:
    """The results as Markdown."""
    smallest, largest = results[0], results[-1]
    rows = [
        (
            f"{result.namespaces:,}",
            mebibytes(result.resident),
            f"{result.resident / smallest.resident:.2f}",
            f"{result.ready_seconds:.1f} s",
            f"{result.trusted_seconds:.1f} s",
        )
        for result in results
    ]
    columns = (
        "control planes",
        "memory",
        f"times that of {smallest.namespaces:,}",
        "ready after",
        "all trusted after",
    )
    verdicts = (
        verdict(
            f"at {largest.namespaces:,} control planes less than {mebibytes(TARGET_BYTES)}",
            met=largest.resident < TARGET_BYTES,
        ),
        verdict(
            f"ready in less than {TARGET_READY_S:.0f} s and the first list",
            met=smallest.ready_seconds < TARGET_READY_S,
        ),
    )
    return "\n".join((table(columns, rows), "", *verdicts))


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


def _observe(space: Space, size: int) -> Size:
    began = time.monotonic()
    webhook = space.start_webhook()
    ready = time.monotonic() - began
    eventually(lambda: _trusted(webhook) >= size, f"{size} subjects are trusted", timeout=PASS_TIMEOUT_S)
    trusted = time.monotonic() - began
    resident = psutil.Process(webhook.process.pid).memory_info().rss
    webhook.terminate()
    return Size(size, resident, ready, trusted)


def _trusted(webhook: Webhook) -> float:
    return webhook.metrics().total("mxp_identity_trust_subjects")
