"""One authority for all replicas, renewed and replaced without a moment in which a caller is refused."""

import datetime as dt
from collections import Counter

import pytest

from certs.bundle import Bundle, read_bundle
from certs.errors import Difference, Reason
from certs.making import Lifetimes
from certs.pairs import new_authority, new_leaf
from tests.support.shared_certificates import NAMES, Replica, World, handshake, race

LOOK_S = 2.0


def bundle(world: World) -> Bundle:
    assert world.secret is not None
    return read_bundle(world.secret)


def authorities_served(world: World) -> set[str]:
    return {bundle(world).authority.certificate.fingerprint} | {
        word.ca for word in bundle(world).replicas.values()
    }


def reasons(world: World) -> dict[Reason, int]:
    total: dict[Reason, int] = {}
    for replica in world.replicas:
        for reason, count in replica.report.reasons.items():
            total[reason] = total.get(reason, 0) + count
    return total


def differences(world: World) -> Counter[Difference]:
    return sum((replica.report.differences for replica in world.replicas), start=Counter())


def until_announced(world: World) -> None:
    """Day after day, until the next authority is made."""
    while bundle(world).following is None:
        world.let_pass(86400)
        world.look()


def test_replicas_that_start_together_agree_on_one_authority() -> None:
    world = World(replicas=3, now=dt.datetime.now(dt.UTC))
    race([replica.look() for replica in world.replicas], [0, 1, 2] * 20)
    world.let_pass(LOOK_S)
    world.look()
    assert reasons(world) == {Reason.MISSING: 1}
    assert len({replica.context.leaf for replica in world.replicas}) == 1
    assert all(replica.source.is_proven for replica in world.replicas)
    assert world.ca_bundle == bundle(world).ca_bundle
    handshake(world.replicas[2].context, world.ca_bundle, *NAMES)


def test_nothing_is_written_while_all_is_well() -> None:
    world = World()
    world.look(3)
    before = world.version, len(world.versions)
    world.look(300)
    assert (world.version, len(world.versions)) == before


def test_a_leaf_is_renewed_after_two_thirds_of_its_life_by_one_replica() -> None:
    world = World(replicas=3)
    world.look(2)
    first = bundle(world).leaf
    world.let_pass(4.6 * 86400)
    world.look()
    assert bundle(world).leaf == first
    world.let_pass(0.2 * 86400)
    world.look()
    assert bundle(world).leaf != first
    assert reasons(world) == {Reason.MISSING: 1, Reason.EXPIRING: 1}
    assert [replica.report.reloads["loaded"] for replica in world.replicas] == [2, 2, 2]
    assert world.turned_away == []


def test_an_authority_is_replaced_in_steps_that_overlap_by_ten_seconds() -> None:
    world = World()
    world.look(2)
    old = bundle(world).authority.certificate
    until_announced(world)
    announced_at = world.now
    assert bundle(world).trusted[0] == old
    assert len(bundle(world).trusted) == 2
    assert world.ca_bundle == bundle(world).ca_bundle
    while bundle(world).authority.certificate == old:
        world.look()
    assert (world.now - announced_at).total_seconds() >= 10
    promoted_at = world.now
    while old in bundle(world).trusted:
        assert world.ca_bundle == bundle(world).ca_bundle
        world.look()
    assert 10 <= (world.now - promoted_at).total_seconds() <= 20
    assert len(authorities_served(world)) == 1
    assert reasons(world)[Reason.CA_EXPIRING] == reasons(world)[Reason.CA_REPLACED] == 1
    assert differences(world) == {Difference.EMPTY: 1, Difference.ROTATION: 3}
    assert world.turned_away == []


def test_the_old_authority_stays_until_the_slowest_replica_has_gone_over() -> None:
    world = World()
    world.look(2)
    until_announced(world)
    old = bundle(world).authority.certificate
    quick, slow = world.replicas
    for _ in range(12):
        race([quick.look()], [])
        world.let_pass(LOOK_S)
    assert bundle(world).authority.certificate != old
    assert old in bundle(world).trusted
    race([slow.look()], [])
    world.let_pass(10)
    world.look(10)
    assert len(bundle(world).trusted) == 1
    assert world.turned_away == []


def test_a_replica_that_is_gone_keeps_the_old_authority_for_a_minute_only() -> None:
    world = World(replicas=3)
    world.look(2)
    until_announced(world)
    world.replicas.pop()
    world.look(20)
    assert len(bundle(world).trusted) == 2
    world.look(30)
    assert len(bundle(world).trusted) == 1


def test_without_a_registered_webhook_a_rotation_waits_for_no_caller() -> None:
    world = World()
    world.registered = False
    world.look(2)
    old = bundle(world).authority.certificate
    assert not any(replica.source.is_proven for replica in world.replicas)
    world.look(245, every_s=86400)
    assert bundle(world).authority.certificate != old


def test_a_registration_that_comes_late_is_given_the_authority_and_then_counts_as_ready() -> None:
    world = World()
    world.registered = False
    world.look(3)
    assert not any(replica.source.is_proven for replica in world.replicas)
    world.registered = True
    world.look(2)
    assert all(replica.source.is_proven for replica in world.replicas)
    assert world.ca_bundle == bundle(world).ca_bundle


def test_ready_stays_ready_when_the_registration_is_removed() -> None:
    world = World()
    world.look(2)
    world.registered = False
    world.look(5)
    assert all(replica.source.is_proven for replica in world.replicas)
    assert not any(replica.source.is_registered for replica in world.replicas)


def test_a_replica_with_further_names_gets_them_and_the_others_leave_them() -> None:
    world = World()
    world.look(2)
    world.replicas.append(Replica(world, "newer", frozenset({"other.mxp-identity.svc", "10.0.0.1"})))
    world.look(20)
    leaf = bundle(world).leaf
    assert leaf is not None
    assert leaf.certificate.names() == {*NAMES, "other.mxp-identity.svc", "10.0.0.1"}
    assert reasons(world) == {Reason.MISSING: 1, Reason.WRONG_NAMES: 1}


def test_the_longest_silence_of_the_store_changes_nothing_that_is_served() -> None:
    world = World()
    world.look(2)
    served = [replica.context.leaf for replica in world.replicas]
    world.silent = True
    world.look(100)
    assert [replica.context.leaf for replica in world.replicas] == served
    world.silent = False
    world.look()
    assert reasons(world) == {Reason.MISSING: 1}


def test_a_leaf_never_outlives_its_authority_and_is_not_made_again_and_again_at_its_end() -> None:
    lifetimes = Lifetimes(dt.timedelta(seconds=90), dt.timedelta(seconds=30))
    now = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    authority = new_authority("ca", now, lifetimes.authority)
    leaf = new_leaf(authority, NAMES, now + dt.timedelta(seconds=80), lifetimes.leaf)
    assert leaf.certificate.expires == authority.certificate.expires
    world = World(lifetimes=lifetimes)
    world.look(2)
    world.overwrite(b"")
    world.look(200)
    assert world.turned_away == []


@pytest.mark.parametrize("seconds", [9, 15, 60])
def test_short_lives_are_rotated_for_hours_without_a_gap(seconds: int) -> None:
    world = World(replicas=3, lifetimes=Lifetimes(dt.timedelta(seconds=200), dt.timedelta(seconds=seconds)))
    world.look(400)
    assert world.turned_away == []
    assert reasons(world)[Reason.CA_EXPIRING] > 3
    assert len(bundle(world).trusted) <= 2


def test_what_is_served_goes_on_when_the_secret_is_lost_while_its_authority_is_replaced() -> None:
    world = World()
    world.look(2)
    before = bundle(world)
    world.put({})
    world.look()
    assert bundle(world).leaf == before.leaf
    assert bundle(world).authority == before.authority
    assert bundle(world).following is not None


def test_a_replica_that_restores_from_an_old_memory_keeps_what_the_others_serve() -> None:
    world = World()
    world.look(8)
    until_announced(world)
    behind, ahead = world.replicas
    while bundle(world).following is not None:
        world.let_pass(LOOK_S)
        race([ahead.look()], [])
    world.let_pass(LOOK_S)
    world.put({})
    race([behind.look()], [])
    world.check()
    assert world.turned_away == []
    world.look(40)
    assert len({replica.context.leaf for replica in world.replicas}) == 1
    assert world.turned_away == []
