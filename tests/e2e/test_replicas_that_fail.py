"""A replica that dies, hangs or leaves in mid-write: the others go on, and no statement and no subject is lost."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from rig.aws.faults import Latency
from rig.space import Space
from rig.waiting import eventually
from rig.webhook import Webhook
from tests.e2e.replicas import (
    LEASE_S,
    Made,
    Replicas,
    api_server,
    make_crowd,
    make_one,
    replicas,
    wait_until_all_are_trusted,
)
from tests.e2e.scenes import LARGE_QUOTA
from tests.e2e.writers import assert_external_statements_never_changed, windows
from tests.proof.records import Record

FIRST_OBSERVATION_S = 1.0
SLOW_WRITE = Latency(seconds=0.6, actions=("UpdateAssumeRolePolicy",))
AT_ONCE = 20


@pytest.fixture
def space() -> Iterator[Space]:
    with api_server() as cluster, Space(cluster=cluster, quota=LARGE_QUOTA) as running:
        yield running


@dataclass(frozen=True)
class Handover:
    """What a crowd went through while the lock's holder failed."""

    made: list[Made]
    seconds: float
    """From the failure until another replica's next read of the role."""


@pytest.mark.rig
@pytest.mark.timeout(600)
@pytest.mark.parametrize("count", [50, pytest.param(200, marks=pytest.mark.proof)])
def test_the_holder_killed_in_mid_write_is_replaced_within_the_lease_and_no_subject_is_lost(
    space: Space, count: int, record: Record
) -> None:
    with replicas(space, 3, "Fail", reconciler={"interval": "10s"}) as running:
        handover = _fail_the_holder(running, count, lambda holder: holder.process.kill())
    _judge(space, handover, count)
    record("the holder of a role's lock is killed in mid-write, three replicas", **_figures(handover))


@pytest.mark.rig
@pytest.mark.proof
@pytest.mark.timeout(600)
@pytest.mark.parametrize("dropped", [True, False], ids=["not ready", "still in the Service"])
def test_the_holder_frozen_for_30_s_in_mid_write_is_replaced_within_the_lease_and_no_subject_is_lost(
    space: Space, *, dropped: bool, record: Record
) -> None:
    def freeze(holder: Webhook) -> None:
        holder.process.pause()
        if dropped:
            running.balancer.remove(holder.port)
            running.balancer.cut()

    with replicas(space, 3, "Fail", reconciler={"interval": "10s"}) as running:
        handover = _fail_the_holder(running, 200, freeze, thaw_after=30)
    _judge(space, handover, 200)
    record(
        "the holder of a role's lock hangs for 30 s in mid-write, three replicas",
        balancer="drops it" if dropped else "keeps it",
        **_figures(handover),
    )


@pytest.mark.rig
def test_a_replica_that_is_told_to_stop_in_mid_write_hands_over_at_once(space: Space, record: Record) -> None:
    """With a write that takes 2 s it is in mid-write for sure; a lease that ran out would cost 10 s."""
    with replicas(space, 2) as running:
        space.aws.switch_on(Latency(seconds=2, actions=("UpdateAssumeRolePolicy",)))
        with ThreadPoolExecutor(1) as pool:
            first = pool.submit(make_one, space)
            leaving = running.holder_in_mid_write()
            running.balancer.remove(leaving.port)
            second = pool.submit(make_one, space)
            assert leaving.terminate() == 0
            gone = time.time()
            space.aws.clear_faults()
            third = make_one(space)
            wait_until_all_are_trusted(
                space, [first.result().namespace, second.result().namespace, third.namespace]
            )
    written = windows(space.aws)
    next_write = next(window for window in written if not window.writer.endswith(leaving.name))
    assert {window.code for window in written} == {"OK"}, "no write was cut off"
    assert next_write.read - gone < 1
    assert third.seconds < LEASE_S / 2
    assert_external_statements_never_changed(space.aws)
    record(
        "SIGTERM in mid-write: another replica writes at once",
        next_read_after_exit_s=round(next_write.read - gone, 2),
        CREATE_after_exit_s=round(third.seconds, 2),
    )


def _fail_the_holder(
    running: Replicas, count: int, fail: Callable[[Webhook], object], thaw_after: float = 0.0
) -> Handover:
    """Make a crowd, have the lock's holder fail while its write is under way, and wait until all are trusted."""
    space = running.space
    space.aws.switch_on(SLOW_WRITE)
    with ThreadPoolExecutor(1) as pool:
        crowd = pool.submit(make_crowd, space, count, at_once=AT_ONCE)
        holder = running.holder_in_mid_write()
        fail(holder)
        failed = time.time()

        def taken_over() -> float | None:
            reads = [
                call.started
                for call in space.aws.log
                if call.action == "GetRole"
                and call.started > failed
                and not call.caller.endswith(f"/{holder.name}")
            ]
            return min(reads, default=None)

        next_read = eventually(taken_over, "another replica goes on", timeout=LEASE_S * 3)
        if thaw_after:
            eventually(lambda: time.time() - failed >= thaw_after, "the end of the freeze", timeout=60)
            holder.process.resume()
            running.balancer.add(holder.port)
        made = crowd.result()
        wait_until_all_are_trusted(space, [one.namespace for one in made])
    return Handover(made, next_read - failed)


def _judge(space: Space, handover: Handover, count: int) -> None:
    assert len(handover.made) == count
    assert handover.seconds <= LEASE_S + FIRST_OBSERVATION_S
    assert_external_statements_never_changed(space.aws)


def _figures(handover: Handover) -> dict[str, int | float]:
    return {
        "created_and_trusted": len(handover.made),
        "tried_again": sum(one.tries > 1 for one in handover.made),
        "others_went_on_after_s": round(handover.seconds, 1),
        "slowest_CREATE_s": round(max(one.seconds for one in handover.made), 1),
    }
