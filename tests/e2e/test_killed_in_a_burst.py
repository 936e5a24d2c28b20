"""SIGKILL at a random moment of a burst: nothing that was begun is lost."""

import random
import signal
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from rig.aws.faults import Latency
from rig.balancer import Balancer
from rig.kubernetes import objects
from rig.kubernetes.api import ApiError
from rig.space import Space
from rig.waiting import eventually
from tests.e2e.observe import annotation, external_parts, is_trusted
from tests.e2e.scenes import LARGE_QUOTA, bare_space, unregister
from webhook.coordination.leases import DURATION

CONTROL_PLANES = 30
AT_ONCE = 10
IAM_S = 0.15


@pytest.mark.rig
@pytest.mark.parametrize("policy", ["Fail", pytest.param("Ignore", marks=pytest.mark.proof)])
@pytest.mark.proof
def test_after_a_kill_in_a_burst_of_30_control_planes_all_are_trusted(policy: str) -> None:
    with bare_space(quota=LARGE_QUOTA) as space:
        _burst_and_kill(space, policy, random.randrange(2**32))


@pytest.mark.rig
@pytest.mark.proof
@pytest.mark.timeout(900)
def test_no_moment_for_the_kill_loses_a_control_plane() -> None:
    with bare_space(quota=LARGE_QUOTA) as space:
        for seed in range(20):
            _burst_and_kill(space, "Fail" if seed % 2 else "Ignore", seed)


def _burst_and_kill(space: Space, policy: str, seed: int) -> None:
    """With Fail, creations that reach no replica are tried again, as Spaces would; with Ignore they go through."""
    print(f"seed {seed}")  # noqa: T201 - shown when it fails
    draw = random.Random(seed)
    kill_at, namespaces = draw.uniform(0, CONTROL_PLANES * IAM_S / AT_ONCE), []
    first = space.start_webhook()
    with Balancer(first.port) as balancer, ThreadPoolExecutor(AT_ONCE + 1) as pool:
        space.register(f"https://127.0.0.1:{balancer.port}/mutate", "Fail" if policy == "Fail" else "Ignore")
        space.aws.switch_on(Latency(seconds=IAM_S, actions=("GetRole", "UpdateAssumeRolePolicy")))
        made = [pool.submit(_create, space, number) for number in range(CONTROL_PLANES)]
        # The replica of the burst before may have been killed while it held the role's Lease.
        space.aws.wait_until(lambda: bool(space.aws.in_flight), 2 * DURATION)
        with pytest.raises(TimeoutError):
            space.aws.wait_until(lambda: False, kill_at)
        first.process.signal(signal.SIGKILL)
        balancer.remove(first.port)
        second = space.start_webhook()
        balancer.add(second.port)
        namespaces = [future.result() for future in made]
        for namespace in namespaces:
            eventually(partial(_has_identity, space, namespace), "annotation and trust")
        unregister(space)
    assert len({external_parts(write.document) for write in space.aws.history("mxp-backup")}) == 1
    space.aws.clear_faults()
    second.process.kill()


def _has_identity(space: Space, namespace: str) -> bool:
    return annotation(space, namespace) == space.roles[0] and is_trusted(space, namespace)


def _create(space: Space, number: int) -> str:
    """Create namespace and ServiceAccount, again and again until it is there."""
    host, account, _ = objects.control_plane(f"control-plane-{number}")
    space.cluster.create([host])

    def created() -> bool:
        try:
            space.cluster.create([account])
        except ApiError as error:
            return error.reason == "AlreadyExists"
        return True

    eventually(created, "a creation that is tried again")
    return str(host["metadata"]["name"])
