"""Several replicas of the program write one role as if they were one."""

from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

import pytest

from rig.aws.faults import Latency, Stale
from rig.space import Space
from tests.e2e.observe import annotation
from tests.e2e.replicas import (
    api_server,
    make_crowd,
    replicas,
    wait_until_all_are_named,
    wait_until_all_are_trusted,
)
from tests.e2e.scenes import LARGE_QUOTA, create_account, create_namespace
from tests.e2e.writers import (
    assert_external_statements_never_changed,
    assert_no_subject_was_ever_dropped,
    overlaps,
    windows,
)
from tests.proof.records import Record

IAM = ("GetRole", "UpdateAssumeRolePolicy")


@pytest.fixture
def space() -> Iterator[Space]:
    with api_server() as cluster, Space(cluster=cluster, quota=LARGE_QUOTA) as running:
        yield running


@pytest.mark.rig
@pytest.mark.parametrize("count", [pytest.param(2, marks=pytest.mark.proof), 3])
def test_replicas_share_a_burst_of_60_control_planes_with_one_writer_at_a_time(
    space: Space, count: int, record: Record
) -> None:
    with replicas(space, count) as running:
        space.aws.switch_on(Latency(seconds=0.15, actions=IAM))
        made = make_crowd(space, 60, at_once=30)
        wait_until_all_are_trusted(space, [one.namespace for one in made])
        assert {one.tries for one in made} == {1}
        assert {annotation(space, one.namespace) for one in made} == set(space.roles)
        assert len(running.webhooks) == count
    written = windows(space.aws)
    assert {window.code for window in written} == {"OK"}
    assert overlaps(written) == []
    assert_external_statements_never_changed(space.aws)
    assert_no_subject_was_ever_dropped(space.aws)
    record(
        "60 control planes at once, several replicas, one role: one writer at a time",
        replicas=count,
        control_planes=len(made),
        writes=len(written),
        replicas_that_wrote=len(Counter(window.writer for window in written)),
        overlapping_writes=0,
        slowest_CREATE_s=round(max(one.seconds for one in made), 2),
    )


@pytest.mark.rig
@pytest.mark.proof
@pytest.mark.timeout(600)
@pytest.mark.parametrize("turns", [20])
def test_reads_3_s_old_drop_no_subject_while_two_replicas_write_in_turn(
    space: Space, turns: int, record: Record
) -> None:
    """The API server calls neither: both see namespaces by their watches, and one is frozen at a time."""
    namespaces: list[str] = []
    with replicas(space, 2, "Ignore") as running, space.aws.fault(Stale(seconds=3, actions=("GetRole",))):
        space.unregister()
        for turn in range(turns):
            frozen = running.webhooks[turn % 2]
            running.pause(frozen)
            new = [create_namespace(space) for _ in range(3)]
            namespaces += new
            wait_until_all_are_named(space, new)
            frozen.process.resume()
        space.aws.clear_faults()
        for namespace in namespaces:
            create_account(space, namespace)
        wait_until_all_are_trusted(space, namespaces)
        space.register(f"https://127.0.0.1:{running.balancer.port}/mutate", "Ignore")
    written = windows(space.aws)
    in_turn = sum(one.writer != next_one.writer for one, next_one in pairwise(written))
    assert in_turn >= turns - 1
    assert overlaps(written) == []
    assert_no_subject_was_ever_dropped(space.aws)
    assert_external_statements_never_changed(space.aws)
    record(
        "reads 3 s old, two replicas that write in turn: no subject is ever dropped",
        control_planes=len(namespaces),
        writes=len(written),
        changes_of_writer=in_turn,
        dropped=0,
    )
