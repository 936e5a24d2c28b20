"""What the program takes in memory, and how soon it is ready, as the cluster grows."""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise

import psutil

from bench.figures import table
from bench.kube import Caller
from rig.kubernetes import objects
from rig.kubernetes.cluster import Cluster
from rig.space import Space
from rig.waiting import eventually
from rig.webhook import Webhook

SIZES = (100, 1_000, 10_000)
ROLES = 10
QUOTA = 131072
CLIENTS = 4
PASS_TIMEOUT_S = 300.0
MIB = 1024 * 1024


@dataclass(frozen=True)
class Size:
    """The program beside a cluster of so many control plane namespaces."""

    namespaces: int
    resident: int
    """Bytes of resident memory once all are trusted."""
    ready_seconds: float
    trusted_seconds: float


def measure(sizes: tuple[int, ...] = SIZES) -> list[Size]:
    """Start the program anew beside a growing cluster, and look at it once every ServiceAccount is trusted."""
    cluster = Cluster(controllers=False, nodes=0, eks_webhook=False)
    results = []
    with (
        cluster,
        Space(cluster=cluster, roles=[f"mxp-backup-{number}" for number in range(ROLES)], quota=QUOTA) as space,
    ):
        for before, size in pairwise((0, *sizes)):
            _grow(space, size - before)
            results.append(_observe(space, size))
    return results


def report(results: list[Size]) -> str:
    """The results as Markdown."""
    rows = [
        (
            f"{result.namespaces:,}",
            f"{result.resident / MIB:.0f} MiB",
            f"{result.resident / results[0].resident:.2f}",
            f"{result.ready_seconds:.1f} s",
            f"{result.trusted_seconds:.1f} s",
        )
        for result in results
    ]
    smallest = f"{results[0].namespaces:,}"
    return table(("namespaces", "resident", f"times that of {smallest}", "ready after", "all trusted after"), rows)


def _grow(space: Space, count: int) -> None:
    """Create so many namespaces with their ServiceAccounts, annotated as the webhook would."""

    def create(number: int) -> None:
        share = count // CLIENTS + (number < count % CLIENTS)
        with Caller(space.cluster) as caller:
            for _ in range(share):
                name = objects.host_namespace_name()
                caller.call(
                    "POST", "/api/v1/namespaces", objects.namespace(name, {objects.CONTROL_PLANE_LABEL: name})
                )
                path = f"/api/v1/namespaces/{name}/serviceaccounts"
                caller.call("POST", path, objects.service_account(name))

    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(create, range(CLIENTS)))


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
