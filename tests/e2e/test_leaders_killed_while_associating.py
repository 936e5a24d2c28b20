"""The leader is killed in a burst of associations: the next makes what is missing, and tries hardly any twice."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from rig.aws.faults import Latency, Throttle
from rig.space import EKS_CLUSTER, Space
from rig.waiting import eventually
from tests.e2e.replicas import LEASE_S, api_server, make_one, replicas
from tests.proof.records import Record

ALL, CLIENTS, REPLICAS = 200, 20, 3
CALLS = tuple(f"{verb}PodIdentityAssociation" for verb in ("Create", "Describe", "Update", "Delete"))
EKS = (*CALLS, "ListPodIdentityAssociations")
EKS_S, CALLS_PER_SECOND = 0.15, 20.0
WITHIN_S = LEASE_S + 15


@pytest.mark.rig
@pytest.mark.proof
@pytest.mark.timeout(300)
def test_a_leader_killed_in_a_burst_of_associations_is_followed_by_one_that_makes_the_rest(record: Record) -> None:
    with (
        api_server() as cluster,
        Space(cluster=cluster, eks_lag=0) as space,
        replicas(space, REPLICAS, mode="pod-identity") as running,
        ThreadPoolExecutor(CLIENTS) as clients,
    ):
        leader = eventually(running.leader, "a replica leads", timeout=LEASE_S + 10)
        space.aws.switch_on(Latency(seconds=EKS_S, actions=EKS))
        space.aws.switch_on(Throttle(actions=EKS, rate=CALLS_PER_SECOND, burst=CALLS_PER_SECOND))
        made = [clients.submit(make_one, space) for _ in range(ALL)]
        eventually(lambda: len(space.aws.associations(EKS_CLUSTER)) > ALL / 3, "it is in the middle", timeout=60)
        assert running.leader() is leader
        leader.process.kill()
        running.balancer.remove(leader.port)
        killed, by_it = time.monotonic(), len(space.aws.associations(EKS_CLUSTER))
        namespaces = {one.result().namespace for one in made}
        eventually(lambda: not namespaces - _associated(space), "all are associated", timeout=60)
        done = time.monotonic() - killed
        creates, calls = space.aws.count(CALLS[0]), sum(map(space.aws.count, EKS))
    assert by_it < ALL
    assert done < WITHIN_S
    assert creates <= 1.3 * ALL
    record(
        "the leader is killed in the middle of a burst of associations",
        associations=ALL,
        made_by_it=by_it,
        creates=creates,
        calls_of_eks=calls,
        all_were_associated_after_s=round(done, 1),
    )


def _associated(space: Space) -> set[str]:
    return {one.namespace for one in space.aws.associations(EKS_CLUSTER)}
