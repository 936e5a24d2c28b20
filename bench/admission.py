"""What a webhook adds to the creation of a ServiceAccount: none, EKS's own in Go, and ours, in turn.

All three are set up at once, each for its own namespaces, so that every round asks all three within a few
milliseconds and noise hits them alike. EKS's webhook answers a ServiceAccount's review without a patch. Ours
finds the subject trusted, which is the path of every review after an early grant, and calls nobody. Where the
annotation is there already it answers without a patch too; else the API server applies the patch, which is its
own work and takes it longer.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from bench.figures import milliseconds, percentile, table
from bench.kube import Caller
from rig.kubernetes import objects
from rig.kubernetes.registration import Registration
from rig.space import Space
from rig.waiting import eventually

NONE, EKS, OURS, OURS_ANNOTATED = WAYS = (
    "no webhook",
    "EKS's webhook (Go)",
    "this webhook, annotation there",
    "this webhook, writing the annotation",
)
SELECTED_BY = {NONE: "none", EKS: "eks", OURS: "ours", OURS_ANNOTATED: "ours"}
LABEL = "bench.local/webhook"
ROLE_ANNOTATION = "eks.amazonaws.com/role-arn"
WARM_UP = 30


@dataclass(frozen=True)
class Costs:
    """Seconds of each ServiceAccount CREATE by way, with so many clients."""

    clients: int
    samples: dict[str, list[float]]

    def median(self, way: str) -> float:
        """The median of one way, in seconds."""
        return percentile(self.samples[way], 0.5)

    def added(self, way: str) -> float:
        """What a way adds to no webhook at the median, in seconds."""
        return self.median(way) - self.median(NONE)

    def ratio(self, way: str) -> float:
        """What a way adds over what EKS's webhook adds."""
        return self.added(way) / self.added(EKS)


def measure(rounds: int, clients: tuple[int, ...] = (1, 16)) -> list[Costs]:
    """Create and delete ServiceAccounts, `rounds` times each way and client, and return what each took."""
    with Space(quota=131072) as space:
        webhook = space.start_webhook()
        _register_eks(space)
        _register_ours(space, webhook.url)
        namespaces = [_namespaces(space, client) for client in range(max(clients))]
        ours = [group[way] for group in namespaces for way in (OURS, OURS_ANNOTATED)]
        eventually(lambda: all(name in str(space.policy()) for name in ours), "AWS trusts the bench's subjects")
        return [_measure(space, namespaces[:count], rounds) for count in clients]


def report(results: list[Costs]) -> str:
    """The results as Markdown."""
    rows = [
        (
            str(costs.clients),
            way,
            *(milliseconds(percentile(costs.samples[way], share)) for share in (0.5, 0.9, 0.99)),
            milliseconds(costs.added(way)) if way != NONE else "",
            f"{costs.ratio(way):.2f}" if way != NONE else "",
        )
        for costs in results
        for way in WAYS
    ]
    return table(("clients", "", "p50", "p90", "p99", "added at p50", "over EKS's"), rows)


def _measure(space: Space, namespaces: list[dict[str, str]], rounds: int) -> Costs:
    with ThreadPoolExecutor(len(namespaces)) as pool:
        results = list(pool.map(lambda group: _one_client(space, group, rounds), namespaces))
    samples = {way: [seconds for result in results for seconds in result[way]] for way in WAYS}
    return Costs(len(namespaces), samples)


def _one_client(space: Space, namespaces: dict[str, str], rounds: int) -> dict[str, list[float]]:
    samples: dict[str, list[float]] = {way: [] for way in WAYS}
    with Caller(space.cluster) as caller:
        for number in range(WARM_UP + rounds):
            for way in WAYS:
                path = f"/api/v1/namespaces/{namespaces[way]}/serviceaccounts"
                annotations = {ROLE_ANNOTATION: space.roles[0]} if way == OURS else {}
                body = objects.service_account(namespaces[way], annotations=annotations)
                seconds = caller.call("POST", path, body)
                caller.call("DELETE", f"{path}/{objects.SERVICE_ACCOUNT}")
                if number >= WARM_UP:
                    samples[way].append(seconds)
    return samples


def _namespaces(space: Space, client: int) -> dict[str, str]:
    """One namespace for each way; only ours are of control planes."""
    names = {way: objects.host_namespace_name() for way in WAYS}
    for way, name in names.items():
        labels = {LABEL: SELECTED_BY[way]}
        if SELECTED_BY[way] == "ours":
            labels[objects.CONTROL_PLANE_LABEL] = f"bench-{client}"
        space.cluster.create([objects.namespace(name, labels)])
    return names


def _register_ours(space: Space, url: str) -> None:
    configuration = Registration(url, space.authority.certificate, failure_policy="Fail").configuration(
        "bench-ours"
    )
    _apply(space, configuration, "ours")


def _register_eks(space: Space) -> None:
    if space.cluster.eks_webhook is None:
        raise RuntimeError("this bench compares with EKS's webhook, which the cluster was started without")
    configuration = space.cluster.eks_webhook.configuration()
    configuration["metadata"]["name"] = "bench-eks"
    entry = configuration["webhooks"][0]
    entry.pop("objectSelector")
    entry["failurePolicy"] = "Fail"
    entry["rules"][0] |= {"resources": ["serviceaccounts"], "scope": "Namespaced"}
    _apply(space, configuration, "eks")


def _apply(space: Space, configuration: dict[str, Any], label: str) -> None:
    expression = {"key": LABEL, "operator": "In", "values": [label]}
    configuration["webhooks"][0]["namespaceSelector"] = {"matchExpressions": [expression]}
    space.cluster.api.apply(configuration)
