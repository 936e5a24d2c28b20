"""The leader dies or hangs while it removes trust: another goes on, and no wanted subject loses its trust."""

import json
import time
from collections.abc import Iterator

import pytest

from rig.aws.faults import Latency
from rig.kubernetes.objects import CONTROL_PLANE_LABEL, SERVICE_ACCOUNT
from rig.space import Space
from rig.waiting import eventually
from rig.webhook import Webhook
from tests.e2e.observe import is_trusted, log_events
from tests.e2e.replicas import LEASE_S, Replicas, api_server, make_one, replicas
from tests.e2e.scenes import LARGE_QUOTA, label
from tests.e2e.writers import assert_external_statements_never_changed, subjects_over_time
from tests.proof.records import Record
from webhook.coordination.lock import REMEMBERED

GRACE_S = 6.0
RECONCILER = {"interval": "1s", "pruneGrace": f"{GRACE_S:g}s"}
SLOW_WRITE = Latency(seconds=1.5, actions=("UpdateAssumeRolePolicy",))
HANGS_S = 1.5 * LEASE_S
LONGEST_S = LEASE_S + GRACE_S + 30


@pytest.fixture
def space() -> Iterator[Space]:
    with api_server() as cluster, Space(cluster=cluster, quota=LARGE_QUOTA) as running:
        yield running


def _is_in_mid_write(running: Replicas, leader: Webhook) -> bool:
    return running.holder() is leader and "UpdateAssumeRolePolicy" in running.space.aws.in_flight


@pytest.mark.rig
@pytest.mark.proof
@pytest.mark.timeout(300)
def test_a_leader_killed_while_it_removes_is_followed_by_one_that_removes(space: Space, record: Record) -> None:
    with replicas(space, 2, reconciler=RECONCILER) as running:
        staying, leaving = _settle(running)
        leader = _leader(running)
        for namespace in leaving:
            label(space, namespace, {CONTROL_PLANE_LABEL: None})
        eventually(lambda: _is_in_mid_write(running, leader), "a removal is being written", timeout=GRACE_S + 20)
        leader.process.kill()
        killed = time.monotonic()
        running.balancer.remove(leader.port)
        space.aws.clear_faults()
        eventually(lambda: running.leader() not in {None, leader}, "another leads", timeout=LEASE_S + 10)
        led = time.monotonic()
        eventually(lambda: not _named(space) & set(leaving), "they leave", timeout=LONGEST_S)
        _judge(space, staying)
        assert is_trusted(space, make_one(space).namespace)
    record(
        "the leader is killed in the middle of a removal",
        another_led_after_s=round(led - killed, 1),
        all_had_left_after_s=round(time.monotonic() - killed, 1),
    )


@pytest.mark.rig
@pytest.mark.proof
@pytest.mark.timeout(300)
def test_a_leader_that_hung_while_it_removed_removes_no_subject_that_is_wanted_again(
    space: Space, record: Record
) -> None:
    with replicas(space, 2, reconciler=RECONCILER) as running:
        staying, leaving = _settle(running)
        leader = _leader(running)
        for namespace in leaving:
            label(space, namespace, {CONTROL_PLANE_LABEL: None})
        eventually(lambda: _is_in_mid_write(running, leader), "a removal is being written", timeout=GRACE_S + 20)
        leader.process.pause()
        hung = time.monotonic()
        space.aws.clear_faults()
        eventually(lambda: running.leader() not in {None, leader}, "another leads", timeout=LEASE_S + 10)
        back, *gone = leaving
        label(space, back, {CONTROL_PLANE_LABEL: "back"})
        eventually(lambda: back in _named(space), "who is wanted again is trusted", timeout=LONGEST_S)
        eventually(lambda: time.monotonic() - hung > HANGS_S, "the end of the stall", timeout=HANGS_S + 10)
        before = len(space.aws.history("mxp-backup"))
        leader.process.resume()
        eventually(lambda: log_events(leader, "leading_no_longer"), "it finds out", timeout=30)
        # Where the other replica had added one of them, it brings it back for as long as reads may be stale.
        eventually(lambda: not _named(space) & set(gone), "the others leave", timeout=LONGEST_S + REMEMBERED)
        subjects = subjects_over_time(space.aws)[before:]
        assert all(_subject(back) in one for one in subjects), "not even for a moment"
        _judge(space, [*staying, back])
    record("the leader hangs in the middle of a removal", it_hung_for_s=HANGS_S)


def _settle(running: Replicas) -> tuple[list[str], list[str]]:
    """Control planes that stay and such that will leave, as many as may; writes take long from now on."""
    names = [make_one(running.space).namespace for _ in range(6)]
    eventually(lambda: set(names) <= _named(running.space), "all are trusted")
    running.space.aws.switch_on(SLOW_WRITE)
    return names[:3], names[3:]


def _leader(running: Replicas) -> Webhook:
    return eventually(running.leader, "a replica leads", timeout=LEASE_S + 10)


def _named(space: Space) -> set[str]:
    text = json.dumps(space.policy())
    return {part.split(":")[0] for part in text.split("system:serviceaccount:")[1:]}


def _subject(namespace: str) -> str:
    return f"system:serviceaccount:{namespace}:{SERVICE_ACCOUNT}"


def _judge(space: Space, wanted: list[str]) -> None:
    """Nobody who was wanted all the time was ever left out of a document, and nothing of others was touched."""
    assert all(is_trusted(space, one) for one in wanted)
    always = {_subject(one) for one in wanted[:3]}
    documents = subjects_over_time(space.aws)
    complete = [number for number, one in enumerate(documents) if always <= one]
    assert all(always <= one for one in documents[complete[0] :])
    assert_external_statements_never_changed(space.aws)
