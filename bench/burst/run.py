"""One run: a Space of its own, the webhook in question behind a balancer, IAM as slow and strict as it can be."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import msgspec

from bench.burst.load import Made, Plan
from bench.burst.verdict import Verdict, judge
from rig.aws import Latency, Throttle
from rig.balancer import Balancer
from rig.kubernetes import objects
from rig.kubernetes.cluster import Cluster
from rig.serving import accepts, serve
from rig.space import Space, external_statements
from rig.waiting import eventually

REPOSITORY = Path(__file__).parents[2]
CLIENTS = 100
REPLICAS = 3
IAM_SECONDS = 0.15
IAM_RATE, IAM_BURST = 20.0, 20.0
IAM = ("GetRole", "UpdateAssumeRolePolicy", "GetAccountSummary", "GetOpenIDConnectProvider")

LOAD_TIMEOUT_S = 600.0
SETTLE_TIMEOUT_S = 400.0
DONE_QUIET_S = 2.0
"""Seconds without a call of IAM after which a run is over in which all are trusted."""
LOST_QUIET_S = 12.0
"""The same where somebody is not: botocore's retries are up to 8 s apart."""


class Way(StrEnum):
    """How the webhook makes AWS trust."""

    OURS = "this webhook"
    UNLOCKED = "no lock"
    LOCKED = "one locked write per grant"


@dataclass(frozen=True)
class Setting:
    """What a run has beside the number of control planes: a quota in characters, and so many roles."""

    name: str
    quota: int
    roles: int


ONE_ROLE = Setting("one role, quota 131072", 131072, 1)
POOL = Setting("six roles, quota 8192", 8192, 6)


def run(way: Way, setting: Setting, count: int, patience: float = LOST_QUIET_S) -> Verdict:
    """Create `count` control planes at once and say what became of them.

    Who is not trusted after `patience` seconds without a call of IAM is lost. There is no node: what a pod gets is
    decided when it is created.
    """
    roles = [f"mxp-backup-{number}" for number in range(1, setting.roles + 1)]
    external = external_statements("123456789012")[:1]
    with (
        Cluster(nodes=0) as cluster,
        Space(cluster=cluster, roles=roles, quota=setting.quota, external=external) as space,
        Balancer(*_start(space, way)) as balancer,
    ):
        space.register(f"https://127.0.0.1:{balancer.port}/mutate", "Ignore")
        with slow_iam(space):
            namespaces = [objects.host_namespace_name() for _ in range(count)]
            made = create(space, namespaces)
            settle(space, roles, count, patience)
        return judge(space, roles, made)


def _start(space: Space, way: Way) -> list[int]:
    """Start replicas of ours, or the naive webhook, and return their ports."""
    if way is not Way.OURS:
        return [_start_naive(space, way)]
    replicas = [space.start_webhook(wait=False) for _ in range(REPLICAS)]
    for replica in replicas:
        replica.wait_until_ready()
    first_looks = REPLICAS * len(space.roles)
    eventually(lambda: space.aws.count("GetRole") >= first_looks, "every replica has read every role")
    return [replica.port for replica in replicas]


def _start_naive(space: Space, way: Way) -> int:
    certificate, key = space.authority.issue("naive").write(space.cluster.workspace.path, "naive")
    environment = [f"{name}={value}" for name, value in space.environment().items()]
    roles = [word for role in space.roles for word in ("--role", role)]
    name = "unlocked" if way is Way.UNLOCKED else "locked"

    def argv(port: int) -> list[str | Path]:
        return [
            "env",
            *environment,
            f"PYTHONPATH={REPOSITORY}",
            *(sys.executable, "-m", "bench.burst.naive", name),
            *("--port", str(port), "--cert", certificate, "--key", key),
            *("--provider", space.provider_arn, *roles),
        ]

    _, port = serve(space.cluster.workspace, "naive", argv, accepts)
    return port


@contextmanager
def slow_iam(space: Space) -> Iterator[None]:
    """Have each call of IAM take its time, and too many be throttled."""
    space.aws.forget_calls()
    with (
        space.aws.fault(Latency(actions=IAM, seconds=IAM_SECONDS)),
        space.aws.fault(Throttle(actions=IAM, rate=IAM_RATE, burst=IAM_BURST)),
    ):
        yield


def create(space: Space, namespaces: list[str], clients: int = CLIENTS) -> list[Made]:
    """Create these control planes, so many at once, by a process of its own."""
    cluster = space.cluster
    token = cluster.server.credentials.tokens["admin"]
    plan = Plan(cluster.url, str(cluster.ca_file), token, namespaces, clients)
    done = subprocess.run(
        [sys.executable, "-m", "bench.burst.load"],
        input=msgspec.json.encode(plan),
        stdout=subprocess.PIPE,
        cwd=REPOSITORY,
        check=True,
        timeout=LOAD_TIMEOUT_S,
    )
    return msgspec.json.decode(done.stdout, type=list[Made])


def settle(space: Space, roles: list[str], count: int, patience: float) -> None:
    """Wait until everybody who will ever be trusted is."""

    def trusted() -> int:
        return sum(space.aws.history(role)[-1].document.count(f":{objects.SERVICE_ACCOUNT}") for role in roles)

    def is_over() -> bool:
        log = space.aws.log
        quiet = time.time() - log[-1].ended if log else 0.0
        return not space.aws.in_flight and quiet > (DONE_QUIET_S if trusted() >= count else patience)

    eventually(is_over, "IAM is left alone", timeout=SETTLE_TIMEOUT_S)
