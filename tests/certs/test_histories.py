"""Any history of faults, restarts and races ends whole; faults of the Secret alone turn no caller away."""

import dataclasses
import datetime as dt
from collections import Counter
from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from certs.bundle import Bundle, read_bundle
from certs.errors import BundleError, Difference, Reason
from certs.making import Lifetimes
from certs.pairs import new_authority, new_leaf
from tests.support.shared_certificates import NAMES, World, race, spoil

LIFETIMES = Lifetimes(dt.timedelta(seconds=240), dt.timedelta(seconds=60))
PARTS = (
    "ca.crt",
    "ca.key",
    "tls.crt",
    "tls.key",
    "previous-ca.crt",
    "next-ca.crt",
    "next-ca.key",
    "replicas.json",
)
HEALED_S = 10.0

Fault = Callable[[World], None]


def garbage_in(part: str) -> Fault:
    return spoil(lambda data: data.update({part: b"garbage"}))


def without(part: str) -> Fault:
    def take_away(data: dict[str, bytes]) -> None:
        data.pop(part, None)

    return spoil(take_away)


def external_bundle(now: dt.datetime) -> dict[str, bytes]:
    authority = new_authority("external", now, LIFETIMES.authority)
    return Bundle(authority, new_leaf(authority, NAMES, now, LIFETIMES.leaf)).written()


def mismatched_leaf(world: World) -> None:
    other = external_bundle(world.now)
    spoil(lambda data: data.update({"tls.key": other["tls.key"]}))(world)


def mismatched_authority(world: World) -> None:
    other = external_bundle(world.now)
    spoil(lambda data: data.update({"ca.key": other["ca.key"]}))(world)


def leaf_of_another(world: World) -> None:
    other = external_bundle(world.now)
    spoil(lambda data: data.update({part: other[part] for part in ("tls.crt", "tls.key")}))(world)


def expired_authority(world: World) -> None:
    world.put(external_bundle(world.now - dt.timedelta(days=1)))


def names_of_another(world: World) -> None:
    def rename(data: dict[str, bytes]) -> None:
        with suppress(BundleError):  # damaged before: it cannot be given other names any more
            found = read_bundle(data)
            leaf = new_leaf(found.authority, ["elsewhere"], world.now, LIFETIMES.leaf)
            data.update(dataclasses.replace(found, leaf=leaf).written())

    spoil(rename)(world)


def replaced_by_another(world: World) -> None:
    world.put(external_bundle(world.now))


def overwritten(world: World) -> None:
    world.overwrite(external_bundle(world.now)["ca.crt"])


SECRET_FAULTS: dict[str, tuple[Fault, Reason | None]] = {
    "emptied": (lambda world: world.put({}), Reason.MISSING),
    "garbage in the authority": (garbage_in("ca.crt"), Reason.UNREADABLE),
    "garbage in the authority's key": (garbage_in("ca.key"), Reason.UNREADABLE),
    "garbage in the leaf": (garbage_in("tls.crt"), Reason.UNREADABLE),
    "garbage in the leaf's key": (garbage_in("tls.key"), Reason.UNREADABLE),
    "garbage in previous authorities": (garbage_in("previous-ca.crt"), None),
    "no leaf": (without("tls.crt"), Reason.MISSING),
    "a mismatched leaf": (mismatched_leaf, Reason.KEY_MISMATCH),
    "a mismatched authority": (mismatched_authority, Reason.KEY_MISMATCH),
    "a leaf of another authority": (leaf_of_another, Reason.CA_REPLACED),
    "an expired authority": (expired_authority, Reason.CA_EXPIRING),
    "other names": (names_of_another, Reason.WRONG_NAMES),
    "another authority": (replaced_by_another, None),
}
CA_BUNDLE_FAULTS: dict[str, tuple[Fault, Difference]] = {
    "overwritten": (overwritten, Difference.OVERWRITTEN),
    "emptied": (lambda world: world.overwrite(b""), Difference.EMPTY),
    "garbage": (lambda world: world.overwrite(b"garbage"), Difference.OVERWRITTEN),
}


def differences(world: World) -> Counter[Difference]:
    return sum((replica.report.differences for replica in world.replicas), start=Counter())


def is_whole(world: World) -> bool:
    if world.secret is None:
        return False
    found = read_bundle(world.secret)
    return found.leaf is not None and world.ca_bundle == found.ca_bundle


@pytest.mark.parametrize("fault", SECRET_FAULTS)
def test_each_fault_of_the_secret_is_healed_in_seconds_and_no_caller_notices(fault: str) -> None:
    spoiling, reason = SECRET_FAULTS[fault]
    world = World(lifetimes=LIFETIMES)
    world.look(3)
    before = [replica.report.reasons.copy() for replica in world.replicas]
    spoiling(world)
    world.look(1)
    assert is_whole(world)
    assert all(replica.source.is_proven for replica in world.replicas)
    made = [replica.report.reasons - old for replica, old in zip(world.replicas, before, strict=True)]
    assert sum(made, start=type(made[0])()) == ({reason: 1} if reason else {})
    world.look(20)
    assert is_whole(world)
    assert len({replica.context.leaf for replica in world.replicas}) == 1
    assert world.turned_away == []


@pytest.mark.parametrize("fault", CA_BUNDLE_FAULTS)
def test_each_fault_of_the_ca_bundle_is_repaired_at_the_next_pass_and_counted(fault: str) -> None:
    world = World(lifetimes=LIFETIMES)
    world.look(8)
    right, damaged = world.ca_bundle, CA_BUNDLE_FAULTS[fault]
    before = differences(world)
    damaged[0](world)
    world.look(1)
    assert world.ca_bundle == right
    assert differences(world) - before == {damaged[1]: 1}


def test_an_authority_that_could_be_read_is_replaced_after_the_secret_was_lost() -> None:
    world = World()
    world.look(8)
    before = world.ca_bundle
    world.put({})
    world.look(40)
    assert read_bundle(world.secret or {}).previous == ()
    assert world.ca_bundle != before
    assert before not in world.ca_bundle
    assert world.turned_away == []


def test_all_replicas_restarted_after_the_secret_was_lost_find_together() -> None:
    world = World(replicas=3)
    world.look(8)
    world.put({})
    for number in range(2):
        world.restart(number)
    world.look(1)
    world.restart(2)
    world.look(30)
    assert is_whole(world)
    assert len({replica.context.leaf for replica in world.replicas}) == 1
    assert world.turned_away == []


IN_THE_SECRET = st.one_of(
    st.sampled_from(sorted(SECRET_FAULTS)).map(lambda name: SECRET_FAULTS[name][0]),
    st.sampled_from(PARTS).flatmap(lambda part: st.sampled_from([garbage_in(part), without(part)])),
)
RESTARTS = st.integers(0, 2).map(lambda number: lambda world: world.restart(number % len(world.replicas)))
OUTSIDE = st.one_of(
    st.sampled_from(sorted(CA_BUNDLE_FAULTS)).map(lambda name: CA_BUNDLE_FAULTS[name][0]),
    st.booleans().map(lambda silent: lambda world: setattr(world, "silent", silent)),
    st.sampled_from([None, {}]).map(lambda secret: lambda world: world.put(secret)),
)
Round = tuple[Fault | None, float, list[int]]
"""What happens, how long it is until the next, and the order in which the replicas' calls come."""


def rounds_of(events: st.SearchStrategy[Fault]) -> st.SearchStrategy[list[Round]]:
    one = st.tuples(st.none() | events, st.floats(0.5, 4.0), st.lists(st.integers(0, 5), max_size=60))
    return st.lists(one, min_size=5, max_size=40)


def went_through(world: World, rounds: list[Round]) -> None:
    world.look(3)
    silent_s = 0.0
    for event, pause, order in rounds:
        if event is not None:
            event(world)
        race([replica.look() for replica in world.replicas], order)
        silent_s = silent_s + pause if world.silent or world.secret is None else 0.0
        if silent_s > HEALED_S:  # no leaf of a minute outlives a silence of minutes
            _there_again(world)
        world.let_pass(pause)
    _there_again(world)
    world.look(40)
    assert is_whole(world)
    assert len({replica.context.leaf for replica in world.replicas}) == 1


def _there_again(world: World) -> None:
    world.silent = False
    if world.secret is None:
        world.put({})


@settings(max_examples=25, deadline=None)
@given(replicas=st.integers(2, 3), rounds=rounds_of(IN_THE_SECRET | RESTARTS | OUTSIDE))
def test_any_history_ends_whole(replicas: int, rounds: list[Round]) -> None:
    went_through(World(replicas, LIFETIMES), rounds)


@settings(max_examples=30, deadline=None)
@given(replicas=st.integers(2, 3), rounds=rounds_of(IN_THE_SECRET))
def test_whatever_happens_to_the_secret_no_ready_replica_turns_a_caller_away(
    replicas: int, rounds: list[Round]
) -> None:
    world = World(replicas, LIFETIMES)
    went_through(world, rounds)
    assert world.turned_away == []
