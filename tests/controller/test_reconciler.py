"""The cluster is the record: whatever was missed ends annotated and trusted."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests.support.invariants import assert_writes_were_careful
from tests.support.locks import MemoryLeases
from tests.support.simulated_iam import SimulatedIam, Trouble
from tests.support.sites import binding, own_in, pool, role, subject
from tests.support.virtual_time import in_virtual_time, now
from tests.support.worlds import GRACE, INTERVAL, World, labelled, of_team
from webhook.coordination.lock import LeaseLock
from webhook.model.bindings import ExistingAnnotation, Mode
from webhook.model.names import RoleArn

if TYPE_CHECKING:
    from webhook.model.bindings import Binding

ROLE = role()
SUBJECT = subject(1)
EXTERNAL_ROLE = "arn:aws:iam::123456789012:role/made-by-hand"
FILLER = {
    "Effect": "Allow",
    "Principal": {"AWS": "arn:aws:iam::123456789012:root"},
    "Action": "sts:AssumeRole",
    "Condition": {"StringEquals": {"sts:ExternalId": "x" * 1500}},
}


@in_virtual_time
async def test_a_selected_namespace_is_trusted_before_its_service_account_exists() -> None:
    world = World()
    async with world.running():
        world.cluster.add_namespace(SUBJECT.namespace)
        await asyncio.sleep(0.5)
        assert world.homes(SUBJECT) == [ROLE]
        assert world.cluster.annotated == []


@in_virtual_time
async def test_a_namespace_labelled_late_gets_annotation_and_trust_and_its_pod_is_reported() -> None:
    world = World()
    async with world.running():
        world.cluster.add_namespace(SUBJECT.namespace, selected=False)
        world.cluster.add_account(SUBJECT)
        world.cluster.run_pod(SUBJECT, "mxp-controller-1", has_identity=False)
        await asyncio.sleep(2 * INTERVAL)
        assert world.cluster.annotation(SUBJECT) is None
        assert world.homes(SUBJECT) == []
        assert world.events.written == []

        world.cluster.add_namespace(SUBJECT.namespace)
        await asyncio.sleep(1)
        assert world.cluster.annotation(SUBJECT) == ROLE.value
        assert world.homes(SUBJECT) == [ROLE]
        assert world.events.reasons() == ["AnnotatedLate", "StartedWithoutIdentity"]
        pod = world.events.written[1]
        assert (pod.about.kind, pod.about.name) == ("Pod", "mxp-controller-1")
        assert f"kubectl rollout restart deployment -n {SUBJECT.namespace}" in pod.message


@in_virtual_time
async def test_service_accounts_from_before_the_program_are_adopted_at_its_start() -> None:
    world = World()
    world.cluster.add_namespace(SUBJECT.namespace)
    world.cluster.add_account(SUBJECT)
    async with world.running():
        await asyncio.sleep(1)
        assert world.cluster.annotation(SUBJECT) == ROLE.value
        assert world.homes(SUBJECT) == [ROLE]


@in_virtual_time
async def test_an_annotation_that_was_stripped_is_put_back() -> None:
    world = World()
    async with world.running():
        world.cluster.add_namespace(SUBJECT.namespace)
        world.cluster.add_account(SUBJECT, ROLE.value)
        await asyncio.sleep(1)
        world.cluster.add_account(SUBJECT)
        await asyncio.sleep(1)
        assert world.cluster.annotation(SUBJECT) == ROLE.value


@in_virtual_time
async def test_a_pod_is_reported_once_and_only_if_it_lacks_identity() -> None:
    world = World()
    async with world.running():
        world.cluster.add_namespace(SUBJECT.namespace)
        world.cluster.add_account(SUBJECT, ROLE.value)
        world.cluster.run_pod(SUBJECT, "early", has_identity=False)
        world.cluster.run_pod(SUBJECT, "late", has_identity=True)
        await asyncio.sleep(10 * INTERVAL)
        assert [event.about.name for event in world.events.written] == ["early"]


@in_virtual_time
async def test_nothing_is_done_for_a_namespace_on_its_way_out() -> None:
    world = World()
    world.cluster.add_namespace(SUBJECT.namespace, terminating=True)
    world.cluster.add_account(SUBJECT)
    async with world.running():
        await asyncio.sleep(2 * INTERVAL)
        assert world.homes(SUBJECT) == []
        assert world.cluster.annotation(SUBJECT) is None
        assert world.iam.made("write") == []


@in_virtual_time
async def test_an_annotation_of_an_external_role_is_left_alone() -> None:
    world = World()
    async with world.running():
        world.cluster.add_namespace(SUBJECT.namespace)
        world.cluster.add_account(SUBJECT, EXTERNAL_ROLE)
        await asyncio.sleep(INTERVAL)
        assert world.cluster.annotation(SUBJECT) == EXTERNAL_ROLE


@in_virtual_time
async def test_an_annotation_of_an_external_role_is_overridden_where_the_binding_says_so() -> None:
    world = World(labelled(existing=ExistingAnnotation.OVERRIDE))
    async with world.running():
        world.cluster.add_namespace(SUBJECT.namespace)
        world.cluster.add_account(SUBJECT, EXTERNAL_ROLE)
        await asyncio.sleep(1)
        assert world.cluster.annotation(SUBJECT) == ROLE.value
        assert world.homes(SUBJECT) == [ROLE]


@in_virtual_time
async def test_mode_annotate_annotates_and_touches_no_trust() -> None:
    world = World(labelled(mode=Mode.ANNOTATE))
    async with world.running():
        world.cluster.add_namespace(SUBJECT.namespace)
        world.cluster.add_account(SUBJECT)
        await asyncio.sleep(2 * INTERVAL)
        assert world.cluster.annotation(SUBJECT) == ROLE.value
        assert world.iam.calls == []


@in_virtual_time
async def test_an_annotation_moves_to_the_role_of_the_pool_that_trusts_it() -> None:
    roles = pool(3)
    world = World(labelled(*roles))
    wrong = world.bindings[0].roles_in_order(SUBJECT)[1]
    home = world.bindings[0].roles_in_order(SUBJECT)[2]
    _have_trusted(world, home)
    world.iam.limit = world.iam.answered_limit = 1
    async with world.running():
        world.cluster.run_pod(SUBJECT, "before", has_identity=True, role=wrong.value)
        world.cluster.run_pod(SUBJECT, "since", has_identity=True, role=home.value)
        world.cluster.add_namespace(SUBJECT.namespace)
        world.cluster.add_account(SUBJECT, wrong.value)
        await asyncio.sleep(2 * INTERVAL)
        assert world.cluster.annotation(SUBJECT) == home.value
        assert world.homes(SUBJECT) == [home]
        assert "AnnotatedLate" in world.events.reasons()
        wrong_pods = [one for one in world.events.written if one.reason == "RunsWithAnotherRole"]
        assert [one.about.name for one in wrong_pods] == ["before"]
        assert f"runs with {wrong}," in wrong_pods[0].message


@in_virtual_time
async def test_where_the_role_that_a_review_named_proves_full_the_annotation_moves_with_the_trust() -> None:
    world = World(labelled(*pool(3)))
    named, home, _ = world.bindings[0].roles_in_order(SUBJECT)
    async with world.running():
        world.iam.edit(named, lambda document: document["Statement"].append(FILLER))
        world.iam.have(Trouble.HANGS)
        world.cluster.add_namespace(SUBJECT.namespace)
        world.cluster.add_account(SUBJECT, named.value)
        await asyncio.sleep(5)
        world.iam.recover()
        await asyncio.sleep(15)
        assert world.homes(SUBJECT) == [home]
        assert world.cluster.annotation(SUBJECT) == home.value
        assert now() < INTERVAL, "no pass was needed"


@in_virtual_time
async def test_replicas_that_know_of_trust_in_different_roles_do_not_move_the_annotation_back_and_forth() -> None:
    one = World(labelled(*pool(2)), replica="a")
    other = World(labelled(*pool(2)), replica="b", before=one)
    roles = one.bindings[0].roles_in_order(SUBJECT)
    async with one.running(), other.running():
        for home, world in zip(roles, (one, other), strict=True):
            _have_trusted(one, home)
            world.writers[home].enqueue()
            await asyncio.sleep(2)
        one.cluster.add_namespace(SUBJECT.namespace)
        one.cluster.add_account(SUBJECT, roles[0].value)
        await asyncio.sleep(3 * INTERVAL)
        assert RoleArn(one.cluster.annotation(SUBJECT) or "") in one.homes(SUBJECT)
        assert len(one.cluster.annotated) <= 4, "once a pass"


@in_virtual_time
async def test_an_annotation_that_is_stripped_again_and_again_is_put_back_once_a_pass() -> None:
    world = World()

    async def strip_again_and_again() -> None:
        while True:
            await asyncio.sleep(0.1)
            world.cluster.add_account(SUBJECT)

    async with world.running():
        world.cluster.add_namespace(SUBJECT.namespace)
        stripping = asyncio.create_task(strip_again_and_again())
        await asyncio.sleep(5 * INTERVAL)
        stripping.cancel()
        assert 5 <= len(world.cluster.annotated) <= 6
        await asyncio.sleep(INTERVAL)
        assert world.cluster.annotation(SUBJECT) == ROLE.value


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param(
            [labelled(role("old"), existing=ExistingAnnotation.OVERRIDE)],
            [labelled(role("new"), existing=ExistingAnnotation.OVERRIDE)],
            id="another role, and both override",
        ),
        pytest.param(
            [labelled(), of_team("red")], [of_team("red"), labelled()], id="the bindings in another order"
        ),
    ],
)
@in_virtual_time
async def test_replicas_of_two_configurations_write_an_annotation_once_a_pass_each(
    old: list[Binding], new: list[Binding]
) -> None:
    one = World(*old, replica="a")
    other = World(*new, replica="b", before=one)
    async with one.running(), other.running():
        one.cluster.add_namespace(SUBJECT.namespace, team="red")
        one.cluster.add_account(SUBJECT)
        await asyncio.sleep(5 * INTERVAL)
        assert len(one.cluster.annotated) <= 1 + 2 * 6


@in_virtual_time
async def test_an_annotation_moves_at_once_each_time_that_its_namespace_moves_to_another_binding() -> None:
    world = World(of_team("red"), of_team("blue"))
    async with world.running():
        world.cluster.add_namespace(SUBJECT.namespace, team="red")
        world.cluster.add_account(SUBJECT)
        await asyncio.sleep(1)
        for team in ("blue", "red"):
            world.cluster.add_namespace(SUBJECT.namespace, team=team)
            await asyncio.sleep(1)
            assert world.cluster.annotation(SUBJECT) == role(team).value


@in_virtual_time
async def test_replicas_that_wait_for_the_same_trust_annotate_its_service_account_once() -> None:
    leases = MemoryLeases()
    one = World(replica="a", lock=LeaseLock(leases, "a"))
    other = World(replica="b", before=one, lock=LeaseLock(leases, "b"))
    async with one.running(), other.running():
        one.iam.latency = 1
        one.cluster.add_namespace(SUBJECT.namespace)
        one.cluster.add_account(SUBJECT)
        await asyncio.sleep(INTERVAL / 2)
        assert one.cluster.annotated == [(SUBJECT, ROLE)]
        assert one.events.reasons() == ["AnnotatedLate"]


@in_virtual_time
async def test_trust_that_is_not_certain_is_asked_for_once_a_pass_while_its_annotation_cannot_be_written() -> None:
    world = World()
    async with world.running():
        world.cluster.add_namespace(SUBJECT.namespace)
        world.cluster.add_account(SUBJECT, ROLE.value)
        await asyncio.sleep(2 * INTERVAL)
        world.cluster.remove_namespace(SUBJECT)
        world.iam.have(Trouble.HANGS, "write")
        await asyncio.sleep(GRACE + INTERVAL)
        world.iam.recover()
        world.cluster.failing_annotations = float("inf")
        world.cluster.add_namespace(SUBJECT.namespace, uid="uid-2")
        world.cluster.add_account(SUBJECT)
        world.iam.calls.clear()
        await asyncio.sleep(INTERVAL)
        assert world.homes(SUBJECT) == [ROLE]
        assert len(world.iam.made("read")) <= 10
        assert len(world.cluster.patches) <= 5


@in_virtual_time
async def test_an_association_that_eks_has_not_deleted_yet_is_not_asked_for_without_a_pause() -> None:
    world = World(binding(ROLE, mode=Mode.POD_IDENTITY))
    world.eks.put(SUBJECT, EXTERNAL_ROLE)
    async with world.running():
        world.cluster.add_namespace(SUBJECT.namespace)
        world.cluster.add_account(SUBJECT)
        await asyncio.sleep(2 * INTERVAL + 10)
        world.eks.in_use_after_delete = 30
        world.eks.drop(SUBJECT)
        world.eks.calls.clear()
        world.cluster.add_namespace(SUBJECT.namespace, touched="yes")
        await asyncio.sleep(30)
        assert world.eks.calls["create"] <= 2
        await asyncio.sleep(INTERVAL)
        assert world.eks.now[SUBJECT].role == ROLE.value


@in_virtual_time
async def test_annotations_of_a_pool_name_the_role_that_trusts() -> None:
    world = World(labelled(*pool(3)))
    crowd = [subject(number) for number in range(20)]
    for account in crowd:
        world.cluster.add_namespace(account.namespace)
        world.cluster.add_account(account)
    async with world.running():
        await asyncio.sleep(2 * INTERVAL)
        for account in crowd:
            assert [one.value for one in world.homes(account)] == [world.cluster.annotation(account)]


@in_virtual_time
async def test_while_no_role_is_known_to_trust_it_the_annotation_of_another_replica_stays() -> None:
    roles = pool(3)
    world = World(labelled(*roles))
    other = world.bindings[0].roles_in_order(SUBJECT)[1]
    async with world.running():
        world.iam.have(Trouble.REFUSED)
        world.cluster.add_namespace(SUBJECT.namespace)
        world.cluster.add_account(SUBJECT)
        await asyncio.sleep(4)
        world.cluster.add_account(SUBJECT, other.value)
        await asyncio.sleep(20)
        assert world.cluster.annotation(SUBJECT) == other.value
        world.iam.recover()
        await asyncio.sleep(20)
        assert world.homes(SUBJECT) == [other]


@in_virtual_time
async def test_a_failed_annotation_is_tried_again_by_the_next_pass() -> None:
    world = World()
    async with world.running():
        world.cluster.failing_annotations = 1
        world.cluster.add_namespace(SUBJECT.namespace)
        world.cluster.add_account(SUBJECT)
        await asyncio.sleep(1)
        assert world.cluster.annotation(SUBJECT) is None
        await asyncio.sleep(INTERVAL)
        assert world.cluster.annotation(SUBJECT) == ROLE.value


@in_virtual_time
async def test_while_iam_is_away_annotations_are_written_and_trust_follows() -> None:
    world = World()
    world.iam.have(Trouble.HANGS)
    async with world.running():
        for number in range(40):
            world.cluster.add_namespace(subject(number).namespace)
            world.cluster.add_account(subject(number))
        await asyncio.sleep(INTERVAL)
        assert all(world.cluster.annotation(subject(number)) == ROLE.value for number in range(40))
        world.iam.limit = 8192
        world.iam.recover()
        await asyncio.sleep(30)
        assert world.trusted_in(ROLE) == {subject(number) for number in range(40)}


@pytest.mark.parametrize("roles", [1, 3])
@in_virtual_time
async def test_five_hundred_service_accounts_found_late_cost_few_writes(roles: int) -> None:
    world = World(labelled(*pool(roles)), iam=SimulatedIam(latency=0.15, limit=131072))
    crowd = [subject(number) for number in range(500)]
    for account in crowd:
        world.cluster.add_namespace(account.namespace)
        world.cluster.add_account(account)
    async with world.running():
        await asyncio.sleep(30)
        for account in crowd:
            assert [one.value for one in world.homes(account)] == [world.cluster.annotation(account)]
        assert len(world.iam.made("write")) <= 3 * roles


@in_virtual_time
async def test_a_new_namespace_does_not_wait_for_a_slow_list_of_pods() -> None:
    world = World()
    world.cluster.pods_latency = 45
    async with world.running():
        assert now() < 45
        world.cluster.add_namespace(SUBJECT.namespace)
        await asyncio.sleep(1)
        assert world.homes(SUBJECT) == [ROLE]


@in_virtual_time
async def test_trust_that_was_removed_externally_is_restored_without_a_change_in_the_cluster() -> None:
    world = World()
    async with world.running():
        world.cluster.add_namespace(SUBJECT.namespace)
        world.cluster.add_account(SUBJECT, ROLE.value)
        await asyncio.sleep(10 * INTERVAL)
        world.iam.edit(
            ROLE,
            lambda document: document.update(
                Statement=[one for one in document["Statement"] if not own_in(ROLE).owns(one)]
            ),
        )
        await asyncio.sleep(INTERVAL + 1)
        assert world.homes(SUBJECT) == [ROLE]
        assert_writes_were_careful(world.iam, own_in, {SUBJECT})


def _have_trusted(world: World, home: RoleArn) -> None:
    world.iam.edit(home, lambda document: document["Statement"].append(own_in(home).render([SUBJECT])))


def _settle_with_what_is_not_ours(world: World) -> None:
    """Control planes, of which one is annotated by hand and one has a pod that started too early."""
    annotations = [ROLE.value, None, EXTERNAL_ROLE, ROLE.value, None]
    for number, annotation in enumerate(annotations):
        world.cluster.add_namespace(subject(number).namespace)
        world.cluster.add_account(subject(number), annotation)
    world.cluster.run_pod(subject(3), "early", has_identity=False)


@in_virtual_time
async def test_an_idle_cluster_costs_one_read_a_pass_and_no_write() -> None:
    world = World()
    _settle_with_what_is_not_ours(world)
    async with world.running():
        await asyncio.sleep(INTERVAL)
        assert world.trusted_in(ROLE) == {subject(number) for number in (0, 1, 3, 4)}
        assert set(world.cluster.patches) == {subject(1), subject(4)}
        assert "StartedWithoutIdentity" in world.events.reasons()
        world.iam.calls.clear()
        world.cluster.patches.clear()
        world.events.written.clear()
        await asyncio.sleep(60 * INTERVAL)
        assert world.iam.made("write") == []
        assert len(world.iam.made("read")) == 60
        assert world.cluster.patches == []
        assert world.events.written == []


@in_virtual_time
async def test_an_idle_cluster_of_associations_costs_lists_and_descriptions_and_no_write() -> None:
    world = World(binding(ROLE, mode=Mode.POD_IDENTITY))
    _settle_with_what_is_not_ours(world)
    world.eks.put(subject(4), EXTERNAL_ROLE)
    async with world.running():
        await asyncio.sleep(INTERVAL)
        before = world.eks.now
        assert set(before) == {subject(number) for number in (0, 1, 3, 4)}
        assert world.iam.made("write"), "it lets EKS in"
        world.eks.calls.clear()
        world.iam.calls.clear()
        world.events.written.clear()
        await asyncio.sleep(60 * INTERVAL)
        assert set(world.eks.calls) == {"list", "describe"}
        assert world.eks.calls["list"] == 60
        assert world.eks.now == before
        assert world.iam.made("write") == []
        assert len(world.iam.made("read")) == 60
        assert world.cluster.patches == []
        assert world.events.written == []
