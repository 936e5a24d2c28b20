"""What the program takes in memory and at rest in CPU, and how soon it is ready, as the cluster grows.

Mode irsa, with trust policies large enough for all: the program then holds the namespaces, the ServiceAccounts,
the grants they make and the roles' documents, which is all that it ever holds.
"""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import psutil

from bench.client import Requests, clients, send_all
from bench.figures import KB, MB, megabytes, table, verdict
from rig.kubernetes import objects
from rig.kubernetes.cluster import Cluster
from rig.kubernetes.metrics import Metrics
from rig.space import Space
from rig.waiting import eventually
from rig.webhook import Webhook

SIZES = (100, 1_000, 10_000)
ROLES = 10
QUOTA = 131072
CLIENTS = 16
PAGE = 500
IMAGE_ENVIRONMENT = {"MALLOC_ARENA_MAX": "2", "MALLOC_MMAP_THRESHOLD_": "131072"}
"""What the Dockerfile sets that memory depends on."""
PASS_TIMEOUT_S = 300.0
INTERVAL_S = 5.0
"""Between passes, instead of a minute: what a pass costs does not depend on it."""
QUIET_PASSES = 4
TARGET_BYTES, TARGET_READY_S, TARGET_PASS_S = 150 * MB, 2.0, 2.0


@dataclass(frozen=True)
class Start:
    """One start of the program. Times are seconds since its process was made, memory is resident, in bytes."""

    ready: float
    done: float
    """When every ServiceAccount was annotated and trusted."""
    resident: int
    """Memory then."""
    quiet: int
    """Memory some passes later, in which nothing changed."""
    pass_cpu: float
    """CPU seconds of one of those passes, and of all else that the program does meanwhile."""


@dataclass(frozen=True)
class Size:
    """The program beside a cluster of so many control planes: adopting them all, and started again."""

    namespaces: int
    lists: float
    """Seconds that the two lists take that it starts with, read by a client that does nothing with them."""
    adopting: Start
    again: Start


def measure(sizes: Sequence[int] = SIZES, quiet_passes: int = QUIET_PASSES) -> list[Size]:
    """Start the program beside a new cluster of each size, and watch so many passes that find nothing to do."""
    prepare()
    return [_measure(size, quiet_passes) for size in sizes]


def report(results: Sequence[Size]) -> str:
    """The results as Markdown."""
    smallest, largest = results[0], results[-1]
    starting = [
        (
            f"{result.namespaces:,}",
            f"{result.again.ready:.1f} s",
            f"{result.lists:.1f} s",
            f"{result.again.done:.1f} s",
            f"{result.adopting.done:.1f} s",
            f"{result.again.pass_cpu:.2f} s",
        )
        for result in results
    ]
    memory = [
        (
            f"{result.namespaces:,}",
            megabytes(result.again.resident),
            megabytes(result.again.quiet),
            f"{result.again.quiet / smallest.again.quiet:.2f}",
            megabytes(result.adopting.resident),
            megabytes(result.adopting.quiet),
        )
        for result in results
    ]
    return "\n".join(
        (
            table(MEMORY_COLUMNS, memory),
            "",
            table(START_COLUMNS, starting),
            "",
            *_growth(smallest, largest),
            *_verdicts(results),
        )
    )


MEMORY_COLUMNS = (
    "memory",
    "started again",
    "and quiet",
    "times the first",
    "having adopted all",
    "and quiet",
)
START_COLUMNS = (
    "time",
    "ready after",
    "lists alone",
    "all known to be trusted after",
    "all adopted after",
    "CPU of a quiet pass",
)


def _growth(smallest: Size, largest: Size) -> list[str]:
    """What one control plane more takes, between the smallest and the largest cluster."""
    more = largest.namespaces - smallest.namespaces
    if not more:
        return []
    again = largest.again.quiet - smallest.again.quiet
    adopting = largest.adopting.quiet - smallest.adopting.quiet
    sentence = (
        f"- from {smallest.namespaces:,} to {largest.namespaces:,} control planes memory grows by "
        f"{megabytes(again)}, {again / more / KB:.1f} kB for each; having adopted them all, by "
        f"{megabytes(adopting)}, {adopting / more / KB:.1f} kB for each."
    )
    return [sentence]


def _verdicts(results: Sequence[Size]) -> list[str]:
    largest = results[-1]
    most = max(memory for start in (largest.again, largest.adopting) for memory in (start.resident, start.quiet))
    beside = max(start.ready - result.lists for result in results for start in (result.again, result.adopting))
    cpu = max(start.pass_cpu for start in (largest.again, largest.adopting))
    return [
        verdict(
            f"At {largest.namespaces:,} control planes less than {megabytes(TARGET_BYTES)} at any time",
            met=most < TARGET_BYTES,
        ),
        verdict(
            f"Ready less than {TARGET_READY_S:.0f} s after the time of the lists", met=beside < TARGET_READY_S
        ),
        verdict(
            f"A pass that changes nothing takes less than {TARGET_PASS_S:.0f} s of CPU", met=cpu < TARGET_PASS_S
        ),
    ]


def prepare() -> None:
    """Have the program run as in its image: with its bytecode there, and with what its environment says."""
    os.environ |= IMAGE_ENVIRONMENT
    writing = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    subprocess.run(
        [sys.executable, "-c", "import webhook.cli.app, webhook.server.assembly"], env=writing, check=True
    )


def _measure(size: int, quiet_passes: int) -> Size:
    cluster = Cluster(controllers=False, nodes=0, eks_webhook=False)
    names = [f"mxp-backup-{number}" for number in range(ROLES)]
    with cluster, Space(cluster=cluster, roles=names, quota=QUOTA) as space:
        asyncio.run(grow(cluster, size))

        def adopted(metrics: Metrics) -> bool:
            return metrics.total("mxp_identity_service_accounts_annotated_late_total") >= size

        def trusted(metrics: Metrics) -> bool:
            return metrics.total("mxp_identity_trust_subjects") >= size

        lists = _read_lists(cluster)
        return Size(
            size,
            lists,
            adopting=_start(space, adopted, quiet_passes),
            again=_start(space, trusted, quiet_passes),
        )


def _start(space: Space, done: Callable[[Metrics], bool], quiet_passes: int) -> Start:
    began = time.monotonic()
    webhook = space.start_webhook(space.configuration(reconciler={"interval": f"{INTERVAL_S:.0f}s"}))
    ready = time.monotonic() - began
    eventually(lambda: done(webhook.metrics()), "everything is done", timeout=PASS_TIMEOUT_S)
    seconds = time.monotonic() - began
    process = psutil.Process(webhook.process.pid)
    resident = process.memory_info().rss
    pass_cpu = _quiet_pass_cpu(webhook, process, quiet_passes)
    start = Start(ready, seconds, resident, process.memory_info().rss, pass_cpu)
    webhook.terminate()
    return start


def _quiet_pass_cpu(webhook: Webhook, process: psutil.Process, passes: int) -> float:
    """CPU seconds of a pass in which nothing changes, the mean of some, with all else that goes on meanwhile."""
    before, began = _passes(webhook), _cpu(process)
    time.sleep(passes * INTERVAL_S)  # a question in between would cost CPU too
    spent = _cpu(process) - began
    return spent / (_passes(webhook) - before)


def _passes(webhook: Webhook) -> float:
    return webhook.metrics().total("mxp_identity_pass_duration_seconds_count")


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


class _Page(msgspec.Struct):
    metadata: dict[str, Any]


def _read_lists(cluster: Cluster) -> float:
    """Seconds to read the lists that the program starts with, in pages as large as its own."""
    began = time.monotonic()
    for path in ("namespaces?", f"serviceaccounts?fieldSelector=metadata.name={objects.SERVICE_ACCOUNT}&"):
        page = token = None
        while page is None or token:
            following = f"&continue={token}" if token else ""
            text = cluster.api.text(f"/api/v1/{path}limit={PAGE}{following}")
            page = msgspec.json.decode(text, type=_Page)
            token = page.metadata.get("continue")
    return time.monotonic() - began


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
