"""The leader is killed while it annotates late or restarts Deployments: another goes on and finishes."""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from rig import pods
from rig.kubernetes import objects
from rig.kubernetes.objects import CONTROL_PLANE_LABEL, SERVICE_ACCOUNT
from rig.permissions import REMEDIATION, kubernetes_objects
from rig.space import Space
from rig.waiting import eventually
from rig.webhook import Webhook
from tests.e2e.observe import annotation, is_trusted, log_events, writes_of_the_program
from tests.e2e.replicas import (
    LEASE_S,
    Replicas,
    api_server,
    make_one,
    replicas,
    wait_until_all_are_trusted,
)
from tests.e2e.scenes import LARGE_QUOTA, create_account, create_namespace, label
from tests.e2e.writers import assert_external_statements_never_changed, assert_no_subject_was_ever_dropped
from tests.proof.records import Record

ALL, OF_OTHERS = 300, 20
EXTERNAL = "arn:aws:iam::123456789012:role/external"
DEPLOYMENTS, AT_A_TIME = 4, 2
AVAILABLE_AFTER_S = 25
"""Much longer than it takes until another leads, so that it finds rollouts that are under way."""

pytestmark = [pytest.mark.rig, pytest.mark.proof, pytest.mark.timeout(300)]


def test_a_leader_killed_while_it_annotates_late_is_followed_by_one_that_annotates_the_rest(
    record: Record,
) -> None:
    with (
        api_server() as cluster,
        Space(cluster=cluster, quota=LARGE_QUOTA) as space,
        ThreadPoolExecutor(8) as threads,
    ):
        names = list(threads.map(lambda number: _labelled_late(space, number), range(ALL)))
        theirs, ours = names[:OF_OTHERS], names[OF_OTHERS:]
        with replicas(space, 2, reconciler={"interval": "1s"}) as running:
            leader = _leader(running)
            before = threads.map(lambda name: _label(space, name), names[: ALL // 2])
            eventually(lambda: log_events(leader, "annotated_late"), "it annotates")
            killed = _kill(running, leader)
            after = threads.map(lambda name: _label(space, name), names[ALL // 2 :])
            _ = [*before, *after]
            by_it = len(log_events(leader, "annotated_late"))
            eventually(lambda: running.leader() not in {None, leader}, "another leads", timeout=LEASE_S + 10)
            eventually(lambda: not _bare(space, ours), "the rest is annotated", timeout=60)
            done = time.monotonic() - killed
            wait_until_all_are_trusted(space, ours)
            assert is_trusted(space, make_one(space).namespace)
        assert 0 < by_it < len(ours), "it was in the middle"
        assert {annotation(space, name) for name in ours} == {space.roles[0]}
        assert {annotation(space, name) for name in theirs} == {EXTERNAL}
        assert not [name for name in theirs if f":{name}:" in str(space.policy())]
        assert_no_subject_was_ever_dropped(space.aws)
        assert_external_statements_never_changed(space.aws)
    record(
        "the leader is killed in the middle of annotating late",
        service_accounts=len(ours),
        annotated_by_it=by_it,
        all_were_annotated_after_s=round(done, 1),
    )


def test_a_leader_killed_between_paced_rollouts_is_followed_by_one_that_goes_on_at_the_pace(
    space: Space, record: Record
) -> None:
    space.cluster.apply(kubernetes_objects([SERVICE_ACCOUNT], **REMEDIATION))
    early = [_slow_control_plane(space) for _ in range(DEPLOYMENTS)]
    for namespace in early:
        space.cluster.wait_for_deployment(namespace, SERVICE_ACCOUNT)
    most = 0

    def restarted() -> int:
        """How many have been, noting how many were under way."""
        nonlocal most
        found = [_deployment(space, namespace) for namespace in early]
        begun = [one for one in found if one["metadata"]["generation"] > 1]
        most = max(most, sum(not _is_rolled_out(one) for one in begun))
        return len(begun)

    remediation = {"interval": "1s", "restartPodsWithoutIdentity": True, "restartsAtATime": AT_A_TIME}
    with replicas(space, 2, reconciler=remediation) as running:
        leader = _leader(running)
        eventually(lambda: restarted() == AT_A_TIME, "rollouts are under way")
        killed = _kill(running, leader)
        other = eventually(lambda: _other_leader(running, leader), "another leads", timeout=LEASE_S + 10)
        assert restarted() == AT_A_TIME
        assert not any(_is_rolled_out(_deployment(space, name)) for name in _begun(space, early))
        eventually(lambda: restarted() == DEPLOYMENTS, "all are restarted", timeout=120)
        eventually(
            lambda: all(_is_rolled_out(_deployment(space, name)) for name in early), "rolled out", timeout=60
        )
        done = time.monotonic() - killed
        eventually(lambda: len(log_events(other, "rollout_ended")) == DEPLOYMENTS, "it saw all of them through")
        assert len(log_events(other, "deployment_restarted")) == DEPLOYMENTS - AT_A_TIME
    assert most == AT_A_TIME
    for namespace in early:
        (pod,) = [pod for pod in space.cluster.pods(namespace) if "deletionTimestamp" not in pod["metadata"]]
        assert pods.environment_of(pod)["AWS_ROLE_ARN"] == space.roles[0]
        assert _deployment(space, namespace)["metadata"]["generation"] == 2, "none is restarted twice"
        assert is_trusted(space, namespace)
    assert len([write for write in writes_of_the_program(space) if "/deployments/" in write]) == DEPLOYMENTS
    assert_external_statements_never_changed(space.aws)
    record(
        "the leader is killed in the middle of paced rollouts",
        deployments=DEPLOYMENTS,
        at_a_time=AT_A_TIME,
        most_under_way=most,
        all_were_rolled_out_after_s=round(done, 1),
    )


def _label(space: Space, name: str) -> None:
    label(space, name, {CONTROL_PLANE_LABEL: "late"})


def _leader(running: Replicas) -> Webhook:
    return eventually(running.leader, "a replica leads", timeout=LEASE_S + 10)


def _other_leader(running: Replicas, before: Webhook) -> Webhook | None:
    found = running.leader()
    return found if found is not before else None


def _kill(running: Replicas, leader: Webhook) -> float:
    """Kill it while it leads, and answer when that was."""
    assert running.leader() is leader
    leader.process.kill()
    running.balancer.remove(leader.port)
    return time.monotonic()


def _labelled_late(space: Space, number: int) -> str:
    """A control plane without its label, annotated externally if it is one of the first."""
    namespace = create_namespace(space, selected=False)
    create_account(space, namespace, EXTERNAL if number < OF_OTHERS else None)
    return namespace


def _bare(space: Space, names: list[str]) -> list[str]:
    return [name for name in names if annotation(space, name) is None]


def _slow_control_plane(space: Space) -> str:
    """One from before the program, whose pods are available late."""
    namespace = create_namespace(space)
    create_account(space, namespace)
    deployment = objects.deployment(namespace)
    deployment["spec"]["minReadySeconds"] = AVAILABLE_AFTER_S
    space.cluster.create([deployment])
    return namespace


def _deployment(space: Space, namespace: str) -> dict[str, Any]:
    found: dict[str, Any] = space.cluster.api.get(
        f"/apis/apps/v1/namespaces/{namespace}/deployments/{SERVICE_ACCOUNT}"
    )
    return found


def _begun(space: Space, names: list[str]) -> list[str]:
    return [name for name in names if _deployment(space, name)["metadata"]["generation"] > 1]


def _is_rolled_out(deployment: dict[str, Any]) -> bool:
    status = deployment.get("status", {})
    counts = {status.get(name, 0) for name in ("replicas", "updatedReplicas", "availableReplicas")}
    return status.get("observedGeneration") == deployment["metadata"]["generation"] and counts == {1}
