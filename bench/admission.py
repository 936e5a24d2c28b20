"""What a webhook adds to the creation of a ServiceAccount: none, EKS's own in Go, and ours, in turn.

All are set up at once, each for namespaces of its own, and asked in small blocks in turn, so that noise hits them
alike. EKS's webhook answers a ServiceAccount's review without a patch. Ours finds the subject trusted, which is
the path of every review after an early grant, and calls nobody. Where the annotation is there already it answers
without a patch too; else the API server applies the patch, which is its own work and takes it longer.

The ServiceAccounts are really created, as a dry run takes another path; deleting them again is not measured.
"""

import asyncio
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.client import Client, Requests, clients, send_all
from bench.figures import milliseconds, percentile, table, verdict
from rig.kubernetes import objects
from rig.kubernetes.cluster import Cluster
from rig.kubernetes.registration import ENTRY, Registration
from rig.space import Space
from rig.waiting import eventually

NONE, EKS, OURS, OURS_PATCHING = WAYS = (
    "no webhook",
    "EKS's webhook (Go)",
    "this webhook, annotation there",
    "this webhook, writing the annotation",
)
CLIENTS = (1, 16)
EACH = 8
"""ServiceAccounts that a client creates in one block, each in a namespace of its own."""

TARGET_S, TARGET_RATIO = 0.001, 1.5
LABEL = "bench.local/webhook"
EKS_ENTRY = "bench-eks.mxp-identity.local"
ROLE_ANNOTATION = "eks.amazonaws.com/role-arn"


@dataclass
class Way:
    """What was measured of one way: seconds of each CREATE, and seconds of whole blocks of them."""

    seconds: list[float] = field(default_factory=list)
    blocks: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        """The median, in seconds."""
        return percentile(self.seconds, 0.5)

    @property
    def rate(self) -> float:
        """ServiceAccounts a second."""
        return len(self.seconds) / sum(self.blocks)


@dataclass
class Costs:
    """All ways with so many clients."""

    clients: int
    ways: dict[str, Way]

    def added(self, way: str) -> float:
        """What a way adds to no webhook at the median, in seconds."""
        return self.ways[way].median - self.ways[NONE].median

    def ratio(self, way: str) -> float:
        """What a way adds over what EKS's webhook adds."""
        return self.added(way) / self.added(EKS)


def measure(creates: int, counts: Sequence[int] = CLIENTS) -> list[Costs]:
    """Create ServiceAccounts, `creates` or a few more each way and number of clients.

    Raises RuntimeError if the API server did not ask a webhook about each that it is registered for.
    """
    with Cluster(controllers=False, nodes=0) as cluster, Space(cluster=cluster, quota=131072) as space:
        webhook = space.start_webhook()
        _register_eks(space)
        _register_ours(space, webhook.url)
        namespaces = {way: list(_namespaces(space, way, max(counts) * EACH)) for way in WAYS}
        ours = [*namespaces[OURS], *namespaces[OURS_PATCHING]]
        eventually(lambda: all(name in str(space.policy()) for name in ours), "AWS trusts the bench's subjects")
        costs = [asyncio.run(_measure(space, namespaces, count, creates)) for count in counts]
        _check(space, EKS_ENTRY, [EKS], costs)
        _check(space, ENTRY, [OURS, OURS_PATCHING], costs)
        return costs


def report(results: Sequence[Costs]) -> str:
    """The results as Markdown."""
    rows = [
        (
            way,
            str(costs.clients),
            *(milliseconds(percentile(costs.ways[way].seconds, share)) for share in (0.5, 0.9, 0.99)),
            f"{costs.ways[way].rate:,.0f}",
            "" if way == NONE else milliseconds(costs.added(way)),
            "" if way == NONE else f"{costs.ratio(way):.2f}",
        )
        for costs in results
        for way in WAYS
    ]
    columns = ("", "clients", "p50", "p90", "p99", "a second", "added at p50", "times what EKS's adds")
    return f"{table(columns, rows)}\n\n{_verdicts(results[0])}"


def _verdicts(alone: Costs) -> str:
    return "\n".join(
        verdict(f"{way}, {alone.clients} client, {target}", met=met)
        for way in (OURS, OURS_PATCHING)
        for target, met in (
            (f"adds less than {milliseconds(TARGET_S)} at p50", alone.added(way) < TARGET_S),
            (f"adds at most {TARGET_RATIO} times what EKS's adds", alone.ratio(way) <= TARGET_RATIO),
        )
    )


async def _measure(space: Space, namespaces: dict[str, list[str]], count: int, creates: int) -> Costs:
    """Blocks of all ways in turn, each time starting with another; the first round is the warm-up."""
    costs = Costs(count, {way: Way() for way in WAYS})
    requests = Requests(space.cluster)
    rounds = -(-creates // (count * EACH))
    async with clients(space.cluster, count) as opened:
        for number in range(rounds + 1):
            start = number % len(WAYS)
            for way in (*WAYS[start:], *WAYS[:start]):
                annotations = {ROLE_ANNOTATION: space.roles[0]} if way == OURS else {}
                items = [
                    objects.service_account(name, annotations=annotations)
                    for name in namespaces[way][: count * EACH]
                ]
                await _block(opened, requests, items, costs.ways[way] if number else Way())
    return costs


async def _block(opened: Sequence[Client], requests: Requests, items: list[dict[str, Any]], way: Way) -> None:
    places = [f"/api/v1/namespaces/{item['metadata']['namespace']}/serviceaccounts" for item in items]
    creations = [requests.create(place, item) for place, item in zip(places, items, strict=True)]
    began = time.perf_counter()
    way.seconds += await send_all(opened, creations)
    way.blocks.append(time.perf_counter() - began)
    await send_all(opened, [requests.delete(f"{place}/{objects.SERVICE_ACCOUNT}") for place in places])


def _namespaces(space: Space, way: str, count: int) -> Iterator[str]:
    """So many new namespaces; only ours are of control planes."""
    label = {EKS: "eks", OURS: "ours", OURS_PATCHING: "ours"}.get(way, "none")
    for number in range(count):
        name = objects.host_namespace_name()
        control_plane = {objects.CONTROL_PLANE_LABEL: f"bench-{number}"} if label == "ours" else {}
        space.cluster.create([objects.namespace(name, {LABEL: label, **control_plane})])
        yield name


def _register_ours(space: Space, url: str) -> None:
    registration = Registration(url, space.authority.certificate, failure_policy="Fail")
    _apply(space, registration.configuration("bench-ours"), "ours")


def _register_eks(space: Space) -> None:
    assert space.cluster.eks_webhook is not None
    configuration = space.cluster.eks_webhook.configuration()
    configuration["metadata"]["name"] = "bench-eks"
    entry = configuration["webhooks"][0]
    entry.pop("objectSelector")
    entry |= {"name": EKS_ENTRY, "failurePolicy": "Fail"}
    entry["rules"][0] |= {"resources": ["serviceaccounts"], "scope": "Namespaced"}
    _apply(space, configuration, "eks")


def _apply(space: Space, configuration: dict[str, Any], label: str) -> None:
    """Register a webhook for the namespaces with a label, and wait until the API server calls it."""
    expression = {"key": LABEL, "operator": "In", "values": [label]}
    entry = configuration["webhooks"][0]
    entry["namespaceSelector"] = {"matchExpressions": [expression]}
    space.cluster.api.apply(configuration)
    probe = objects.host_namespace_name()
    space.cluster.create([objects.namespace(probe, {LABEL: label})])

    def is_called() -> bool:
        space.cluster.api.create(objects.service_account(probe), dryRun="All")
        return sum(_calls(space, entry["name"]).values()) > 0

    eventually(is_called, f"the API server calls {entry['name']}")


def _check(space: Space, entry: str, ways: Sequence[str], costs: Sequence[Costs]) -> None:
    calls = _calls(space, entry)
    creates = sum(len(each.ways[way].seconds) for each in costs for way in ways)
    if set(calls) != {"200"} or calls["200"] < creates:
        raise RuntimeError(f"{entry}: {creates} ServiceAccounts were created, calls by status are {calls}")


def _calls(space: Space, entry: str) -> dict[str, float]:
    """The API server's own count of calls to a webhook, by HTTP status."""
    samples = space.cluster.metrics().find("apiserver_admission_webhook_request_total", name=entry)
    return {sample.labels["code"]: sample.value for sample in samples}
