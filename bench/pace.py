"""How fast IAM is asked: for control planes one after another, for a burst, and for a burst in six roles."""

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import pairwise

from bench.burst.load import Made
from bench.burst.run import IAM, ONE_ROLE, POOL, REPLICAS, Setting, create, settle, slow_iam
from bench.figures import percentile, table, verdict
from rig.aws import Latency
from rig.balancer import Balancer
from rig.kubernetes import objects
from rig.kubernetes.cluster import Cluster
from rig.space import Space, external_statements
from rig.waiting import eventually

CLIENTS = 40
CLIENTS_OF_POOL = 100
IAM_SECONDS = 0.05
QUIET_S = 2.0
FORMER, OURS = "0.3 s after each write", "this webhook"
MODULES = {FORMER: "bench.former", OURS: "webhook"}
TIMES_THE_LIMIT, TARGET_WRITES = 1.3, 8
SLACK = 1.1
"""Times the former way's calls that count as the same: no two bursts are shared alike."""


@dataclass(frozen=True)
class Load:
    """What became of one load. Times are seconds."""

    creates: Sequence[float]
    apart: Sequence[float]
    """From the CREATE of one ServiceAccount to that of the next."""
    calls: int
    throttled: int
    writes: int


@dataclass(frozen=True)
class Measured:
    """All loads, by way; `limit` is the seconds of each read and write without a webhook."""

    limit: list[float]
    sequential: dict[str, Load]
    burst: dict[str, Load]
    pool: dict[str, Load]


def measure(sequential: int = 60, burst: int = 100, pool: int = 500) -> Measured:
    """Measure so many control planes each."""
    found = Measured([], {}, {}, {})
    for way, module in MODULES.items():
        with _space(module, ONE_ROLE) as space, space.aws.fault(Latency(actions=IAM, seconds=IAM_SECONDS)):
            if not found.limit:
                found.limit.extend(_reads_and_writes(space, sequential))
            found.sequential[way] = _load(space, sequential, 1)
            found.burst[way] = _load(space, burst, CLIENTS)
    for way, module in MODULES.items():
        with _space(module, POOL) as space, slow_iam(space):
            found.pool[way] = _load(space, pool, CLIENTS_OF_POOL)
    return found


def report(found: Measured) -> str:
    """The tables, and whether the targets were met."""
    counts = ("IAM calls", "throttled", "writes")
    rows = [["read and write", _seconds(found.limit, 0.5), _seconds(found.limit, 0.99), *["" for _ in range(5)]]]
    for way in MODULES:
        one, many = found.sequential[way], found.burst[way]
        quantiles = [_seconds(times, share) for times in (one.apart, one.creates) for share in (0.5, 0.99)]
        rows.append([way, *quantiles, str(one.calls), _seconds(many.creates, 0.99), str(many.writes)])
    number = len(next(iter(found.burst.values())).creates)
    columns = ("one role", "one to the next p50", "p99", "CREATE p50", "p99", "IAM calls")
    burst = (f"CREATE of {number} at {CLIENTS} clients p99", "writes")
    pool = [
        [way, _seconds(load.creates, 0.5), _seconds(load.creates, 0.99), *map(str, _counts(load))]
        for way, load in found.pool.items()
    ]
    number = len(next(iter(found.pool.values())).creates)
    ours, former = found.pool[OURS], found.pool[FORMER]
    apart, limit = percentile(found.sequential[OURS].apart, 0.5), percentile(found.limit, 0.5)
    targets = [
        verdict(
            f"One after another at most {TIMES_THE_LIMIT:g} times the read and write at p50",
            met=apart <= TIMES_THE_LIMIT * limit,
        ),
        verdict(f"A burst takes {TARGET_WRITES} writes at most", met=found.burst[OURS].writes <= TARGET_WRITES),
        verdict(
            f"Six roles cost at most {SLACK:.1f} times the calls of the former way, none throttled",
            met=ours.calls <= SLACK * former.calls and not ours.throttled,
        ),
    ]
    pool_columns = (f"six roles, {number} at {CLIENTS_OF_POOL} clients", "CREATE p50", "p99", *counts)
    return "\n".join([table((*columns, *burst), rows), "", table(pool_columns, pool), "", *targets])


@contextmanager
def _space(module: str, setting: Setting) -> Iterator[Space]:
    """A Space with replicas of that module, which have read every role."""
    roles = [f"mxp-backup-{number}" for number in range(1, setting.roles + 1)]
    external = external_statements("123456789012")[:1]
    with ExitStack() as stack:
        cluster = stack.enter_context(Cluster(nodes=0))
        space = stack.enter_context(Space(cluster=cluster, roles=roles, quota=setting.quota, external=external))
        replicas = [space.start_webhook(wait=False, module=module) for _ in range(REPLICAS)]
        for replica in replicas:
            replica.wait_until_ready()
        first_looks = REPLICAS * len(roles)
        eventually(lambda: space.aws.count("GetRole") >= first_looks, "every replica has read every role")
        balancer = stack.enter_context(Balancer(*(replica.port for replica in replicas)))
        space.register(f"https://127.0.0.1:{balancer.port}/mutate", "Fail")
        yield space


def _load(space: Space, count: int, clients: int) -> Load:
    names = [role.rpartition("/")[2] for role in space.roles]
    stored = _writes(space, names)
    trusted = sum(space.aws.history(name)[-1].document.count(f":{objects.SERVICE_ACCOUNT}") for name in names)
    space.aws.forget_calls()
    made = create(space, [objects.host_namespace_name() for _ in range(count)], clients)
    settle(space, names, trusted + count, QUIET_S)
    log = [record for record in space.aws.log if record.service == "iam"]
    throttled = sum(record.code == "Throttling" for record in log)
    return Load([one.seconds for one in made], _apart(made), len(log), throttled, _writes(space, names) - stored)


def _apart(made: Sequence[Made]) -> list[float]:
    return [later - earlier for earlier, later in pairwise(sorted(one.asked for one in made))]


def _writes(space: Space, names: Sequence[str]) -> int:
    return sum(len(space.aws.history(name)) for name in names)


def _reads_and_writes(space: Space, count: int) -> list[float]:
    """The seconds of each of so many reads with their writes, which change nothing that counts."""
    iam = space.aws.client("iam", space.aws.root)
    name = space.roles[0].rpartition("/")[2]
    times = []
    for _ in range(count):
        began = time.perf_counter()
        iam.get_role(RoleName=name)
        iam.update_assume_role_policy(RoleName=name, PolicyDocument=space.aws.history(name)[-1].document)
        times.append(time.perf_counter() - began)
    return times


def _counts(load: Load) -> tuple[int, int, int]:
    return load.calls, load.throttled, load.writes


def _seconds(times: Sequence[float], share: float) -> str:
    return f"{percentile(times, share):.3f} s"
