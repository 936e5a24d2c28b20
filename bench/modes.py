"""`python -m bench.modes [--count 1000] [--quick]`: one burst in both modes; writes docs/evidence/modes.md."""

import argparse
import math
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from bench.burst.load import Made
from bench.burst.run import CLIENTS, IAM, IAM_BURST, IAM_RATE, IAM_SECONDS, REPLICAS, create
from bench.figures import percentile, table, verdict
from rig.aws import Latency, Throttle
from rig.aws.eks_auth import AUDIENCE
from rig.aws.identity import assume
from rig.aws.pod_client import FULL_URI
from rig.balancer import Balancer
from rig.gate import install_gate
from rig.kubernetes import objects
from rig.kubernetes.cluster import Cluster
from rig.permissions import kubernetes_objects
from rig.pods import environment_of, projected_token
from rig.space import EKS_CLUSTER, Space, external_statements
from rig.waiting import eventually
from rig.webhook import Webhook

PAGE = Path(__file__).parents[1] / "docs" / "evidence" / "modes.md"
VARIABLES = {"irsa": "AWS_ROLE_ARN", "pod-identity": FULL_URI}
ASSOCIATING = tuple(f"{verb}PodIdentityAssociation" for verb in ("Create", "Describe", "Update", "Delete"))
EKS = (*ASSOCIATING, "ListPodIdentityAssociations", "DescribeCluster")
COUNT, QUICK = 1000, 20
LAG_S = 10.0
QUOTA = 131072
LARGEST_QUOTA = 8192
"""Characters that AWS raises a trust policy's quota to at most (IAM quota L-C07B4B0D)."""
ASKED_AT_ONCE = 4
PODS_TIMEOUT_S = 900.0
SLACK, MOST_CREATES, MOST_CALLS = 1.3, 1.2, 1.3

HEAD = f"""# The two modes side by side

Written by `python -m bench.modes`. The figures are of one run on one machine; elsewhere only the ratios within it
should hold.

Each column is the same burst: control planes, each a namespace, a ServiceAccount and a Deployment, created through
a real API server by {CLIENTS} clients at a time. The webhook has {REPLICAS} replicas behind a TCP balancer. The
pod gate is on `deny`. EKS's own webhook knows an association {LAG_S:.0f} s after it was created. Every call of
IAM and of EKS takes {IAM_SECONDS * 1000:.0f} ms, and each of the two throttles above {IAM_RATE:.0f} calls a second
(at once: {IAM_BURST:.0f}). It is [the burst](burst.md), but with the gate, and in mode `pod-identity` with
EKS's lag.

There is one role in both modes. Its trust policy may have {QUOTA} characters, which no AWS account allows. So the
table also has how many roles it would take at AWS's {LARGEST_QUOTA}.

- Pods without identity: created without the mode's variables (`AWS_ROLE_ARN` or
  `AWS_CONTAINER_CREDENTIALS_FULL_URI`), which they would never get.
- Pods whose token became credentials: STS or EKS, which evaluate the role's trust policy, accepted the pod's own
  token.
- Pods made a second time: 0 means that no pod was replaced, so nothing was restarted.
- The leader is killed: with SIGKILL, once half of the associations exist. Its calls that were under way are
  counted.
- Each replica makes all: for comparison, by `bench/former.py`. No replica leaves associations to the leader.
- From there to the pod: from the sending of the ServiceAccount's CREATE to the pod's. In mode `pod-identity` the
  pod waits at the gate for its association and for EKS's lag. The limit is {IAM_RATE:.0f} associations a second,
  and then that lag.

"""


@dataclass(frozen=True)
class Way:
    """One column: a mode, and what is different from the installation as it is."""

    name: str
    mode: str
    module: str = "webhook"
    leader_is_killed: bool = False
    """Once half of the associations are there."""
    is_ours: bool = True
    """Whether it is the program as it is, which has to meet the targets."""


WAYS = (
    Way("irsa", "irsa"),
    Way("pod-identity", "pod-identity"),
    Way("pod-identity, the leader is killed", "pod-identity", leader_is_killed=True),
    Way("pod-identity, each replica makes all", "pod-identity", "bench.former", is_ours=False),
)


class Figures(msgspec.Struct, frozen=True):
    """What became of one run. Times are seconds, sizes characters."""

    name: str
    mode: str
    is_ours: bool
    count: int
    with_variable: int
    with_credentials: int
    made_again: int
    creates: list[float]
    until_pod: list[float]
    iam_calls: int
    eks_calls: int
    eks_creates: int
    throttled: int
    writes: int
    statements: int
    associations: int
    characters: int


def run(way: Way, count: int) -> Figures:
    """Create `count` control planes at once in one way, and look at every pod."""
    with (
        Cluster(nodes=0) as cluster,
        Space(
            cluster=cluster, quota=QUOTA, external=external_statements("123456789012")[:1], eks_lag=LAG_S
        ) as space,
        ThreadPoolExecutor(1) as beside,
    ):
        replicas = _start(space, way)
        with Balancer(*(replica.port for replica in replicas)) as balancer:
            space.register(f"https://127.0.0.1:{balancer.port}/mutate", "Ignore")
            namespaces = [objects.host_namespace_name() for _ in range(count)]
            with _slow(space):
                if way.leader_is_killed:
                    killing = beside.submit(_kill_the_leader, space, replicas, balancer, count // 2)
                made = create(space, namespaces)
                pods = eventually(lambda: _pods(space, namespaces), f"{count} pods", timeout=PODS_TIMEOUT_S)
                if way.leader_is_killed:
                    killing.result()
            return _judge(space, way, made, pods)


def _start(space: Space, way: Way) -> list[Webhook]:
    configuration = space.in_mode(way.mode, reconciler={"nudgeRefusedPods": True})  # as the chart has it
    space.cluster.apply(kubernetes_objects([objects.SERVICE_ACCOUNT], podGate="deny"))
    install_gate(space, configuration)
    replicas = [space.start_webhook(configuration, wait=False, module=way.module) for _ in range(REPLICAS)]
    for replica in replicas:
        replica.wait_until_ready()
    eventually(lambda: space.aws.count("GetRole") >= REPLICAS, "every replica has read the role")
    eventually(lambda: any(map(_leads, replicas)), "a replica leads", timeout=PODS_TIMEOUT_S)
    return replicas


def _leads(replica: Webhook) -> bool:
    return bool(replica.metrics().total("mxp_identity_leading"))


def _kill_the_leader(space: Space, replicas: list[Webhook], balancer: Balancer, when: int) -> None:
    there = "so many associations"
    eventually(lambda: len(space.aws.associations(EKS_CLUSTER)) >= when, there, timeout=PODS_TIMEOUT_S)
    leader = next(filter(_leads, replicas))
    leader.process.kill()
    balancer.remove(leader.port)


@contextmanager
def _slow(space: Space) -> Iterator[None]:
    space.aws.forget_calls()
    with (
        space.aws.fault(Latency(actions=(*IAM, *EKS), seconds=IAM_SECONDS)),
        space.aws.fault(Throttle(actions=IAM, rate=IAM_RATE, burst=IAM_BURST)),
        space.aws.fault(Throttle(actions=EKS, rate=IAM_RATE, burst=IAM_BURST)),
    ):
        yield


def _pods(space: Space, namespaces: list[str]) -> list[dict[str, Any]] | None:
    selector = f"spec.serviceAccountName={objects.SERVICE_ACCOUNT}"
    found: list[dict[str, Any]] = space.cluster.api.get("/api/v1/pods", fieldSelector=selector)["items"]
    ours = [pod for pod in found if pod["metadata"]["namespace"] in set(namespaces)]
    return ours if len(ours) >= len(namespaces) else None


def _judge(space: Space, way: Way, made: list[Made], pods: list[dict[str, Any]]) -> Figures:
    log, mode = space.aws.log, way.mode
    asked = {one.namespace: one.asked for one in made}
    times = _pod_times(space, asked.keys())
    with ThreadPoolExecutor(ASKED_AT_ONCE) as pool:
        proved = sum(pool.map(lambda pod: _has_credentials(space, mode, pod), pods))
    policy = space.aws.history("mxp-backup")[-1].document
    return Figures(
        name=way.name,
        mode=mode,
        is_ours=way.is_ours,
        count=len(made),
        with_variable=sum(VARIABLES[mode] in environment_of(pod) for pod in pods),
        with_credentials=proved,
        made_again=sum(len(found) - 1 for found in times.values()),
        creates=[one.seconds for one in made],
        until_pod=[max(found[0] - asked[namespace], 0.0) for namespace, found in times.items()],
        iam_calls=sum(record.action in IAM for record in log),
        eks_calls=sum(record.action in EKS for record in log),
        eks_creates=sum(record.action == ASSOCIATING[0] for record in log),
        throttled=sum(record.code.startswith("Throttling") for record in log),
        writes=len(space.aws.history("mxp-backup")) - 1,
        statements=len(space.policy()["Statement"]) - 1,
        associations=len(space.aws.associations(EKS_CLUSTER)),
        characters=len("".join(policy.split())),
    )


def _pod_times(space: Space, namespaces: Any) -> dict[str, list[float]]:
    """When each namespace's pods were made, by the API server's audit log."""
    found: dict[str, list[float]] = {}
    for event in space.cluster.audit_events():
        reference = event.get("objectRef", {})
        if (
            (event["verb"], event["stage"]) == ("create", "ResponseComplete")
            and reference.get("resource") == "pods"
            and not reference.get("subresource")
            and reference.get("namespace") in namespaces
            and event["responseStatus"]["code"] == 201  # noqa: PLR2004  created
        ):
            at = datetime.fromisoformat(event["stageTimestamp"]).timestamp()
            found.setdefault(reference["namespace"], []).append(at)
    return found


def _has_credentials(space: Space, mode: str, pod: dict[str, Any]) -> bool:
    if mode == "irsa":
        return assume(space.aws, space.roles[0], projected_token(space.cluster, pod)).ok
    token = projected_token(space.cluster, pod, AUDIENCE)
    client = space.aws.admin_client("eks-auth")
    return bool(client.assume_role_for_pod_identity(clusterName=EKS_CLUSTER, token=token)["credentials"])


def report(runs: list[Figures]) -> str:
    """One table, a column for each mode."""

    def row(name: str, value: Any) -> tuple[str, ...]:
        return name, *(str(value(one)) for one in runs)

    rows = [
        row("control planes", lambda one: one.count),
        row("pods that carry the mode's variables", lambda one: one.with_variable),
        row("pods without identity", lambda one: one.count - one.with_variable),
        row("pods whose token became credentials", lambda one: one.with_credentials),
        row("pods made a second time", lambda one: one.made_again),
        row("ServiceAccount CREATE, p50", lambda one: _seconds(percentile(one.creates, 0.5))),
        row("p99", lambda one: _seconds(percentile(one.creates, 0.99))),
        row("longest", lambda one: _seconds(max(one.creates))),
        row("from there to the pod, p50", lambda one: _seconds(percentile(one.until_pod, 0.5))),
        row("p99", lambda one: _seconds(percentile(one.until_pod, 0.99))),
        row("calls of IAM", lambda one: one.iam_calls),
        row("calls of EKS", lambda one: one.eks_calls),
        row("of them, CreatePodIdentityAssociation", lambda one: one.eks_creates),
        row("of both, throttled", lambda one: one.throttled),
        row("trust policies written", lambda one: one.writes),
        row("statements of ours", lambda one: one.statements),
        row("associations", lambda one: one.associations),
        row("characters of the policy", lambda one: one.characters),
        row(
            f"roles that it takes at {LARGEST_QUOTA} characters",
            lambda one: math.ceil(one.characters / LARGEST_QUOTA),
        ),
    ]
    targets = [line for one in runs if one.is_ours and one.associations for line in _targets(one)]
    return "\n".join((table(("", *(one.name for one in runs)), rows), "", *targets))


def _targets(one: Figures) -> list[str]:
    limit = one.count / IAM_RATE + LAG_S
    p99 = percentile(one.until_pod, 0.99)
    said = f"{one.name}: from CREATE to the pod at most {SLACK:g} times the limit of {limit:.0f} s at p99"
    return [
        verdict(said, met=p99 <= SLACK * limit),
        verdict(
            f"{one.name}: at most {MOST_CREATES:g} creates and {MOST_CALLS:g} calls for each association",
            met=one.eks_creates <= MOST_CREATES * one.count and one.eks_calls <= MOST_CALLS * one.count,
        ),
    ]


def _seconds(value: float) -> str:
    return f"{value:.2f} s"


def main() -> int:
    """Run the bench; writes the page unless quick."""
    parser = argparse.ArgumentParser(prog="python -m bench.modes")
    parser.add_argument("--count", type=int, default=COUNT, help="number of control planes")
    parser.add_argument("--quick", action="store_true", help="few, and nothing is written")
    chosen = parser.parse_args()
    runs = [run(way, QUICK if chosen.quick else chosen.count) for way in WAYS]
    print(report(runs))
    if not chosen.quick:
        PAGE.write_text(HEAD + report(runs) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
