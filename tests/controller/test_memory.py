"""What is kept in memory for each control plane, counted: large clusters multiply it."""

from __future__ import annotations

import asyncio
import json
import tracemalloc
from typing import TYPE_CHECKING, Any

from tests.support.simulated_cluster import LABEL
from tests.support.simulated_iam import SimulatedIam, Trouble
from tests.support.sites import SERVICE_ACCOUNT, own_in, pool, role, subject
from tests.support.virtual_time import in_virtual_time
from tests.support.worlds import World, labelled
from webhook.kube.api import KubernetesApi
from webhook.kube.connection import Connection
from webhook.model.names import ROLE_ARN_ANNOTATION

if TYPE_CHECKING:
    from collections.abc import Callable

    from webhook.model.decisions import Account, LiveNamespace
    from webhook.model.names import RoleArn, Subject

ROLE = role()
CROWD = [subject(number) for number in range(300)]

KEPT_BYTES = 1_600
"""For a control plane that is annotated and trusted: 1,230 when this was written, 1,730 without shared names."""


@in_virtual_time
async def test_a_control_plane_takes_little_more_than_its_names_in_memory() -> None:
    await _kept()  # what is made once does not count: Python's table of names grows by doubling
    assert await _kept() / len(CROWD) < KEPT_BYTES


@in_virtual_time
async def test_a_name_is_there_once_however_many_objects_have_it() -> None:
    namespaces, accounts = await _lists()
    world = _world_that_trusts(CROWD)
    named = {subject.namespace: subject for subject in world.trusted_in(ROLE)}
    assert len(named) == len(namespaces) == len(accounts) == len(CROWD)
    for key, account in accounts.items():
        assert namespaces[key].name is account.namespace
        assert named[key].namespace is account.namespace
        assert named[key].service_account is account.name
    assert len({id(account.role_annotation) for account in accounts.values()}) == 1


@in_virtual_time
async def test_what_is_trusted_already_at_the_start_needs_no_grant() -> None:
    roles = pool(3)
    world = World(labelled(*roles), iam=SimulatedIam(limit=131072))
    for one in roles:
        mine = [subject for subject in CROWD if world.bindings[0].roles_in_order(subject)[0] == one]
        _trust(world, one, mine)
        for account in mine:
            world.cluster.add_namespace(account.namespace)
            world.cluster.add_account(account, one.value)
    watching = asyncio.create_task(_most_tasks("grant "))
    async with world.running():
        await asyncio.sleep(2)
        assert all(
            world.grants.known(grant) for subject in CROWD for grant in world.cache.grants_in(subject.namespace)
        )
    watching.cancel()
    assert await watching == 0


@in_virtual_time
async def test_while_aws_is_away_each_pending_grant_is_one_task_and_few_are_annotated_at_once() -> None:
    world = World(labelled(*pool(10)))
    world.iam.have(Trouble.HANGS)
    for account in CROWD:
        world.cluster.add_namespace(account.namespace)
        world.cluster.add_account(account)
    watching = asyncio.create_task(_most_tasks(""))
    async with world.running():
        await asyncio.sleep(20)
    watching.cancel()
    assert len(CROWD) < await watching < len(CROWD) + 60


async def _kept() -> int:
    """Bytes that a program keeps beside a crowd that is annotated and trusted."""
    world = _world_that_trusts(CROWD)
    tracemalloc.start()
    try:
        world.cluster.namespaces.objects, world.cluster.accounts[SERVICE_ACCOUNT].objects = await _lists()
        async with world.running():
            await asyncio.sleep(200)
            assert all(world.writers[ROLE].cache.trusts(subject) for subject in CROWD)
            return tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()


def _world_that_trusts(crowd: list[Subject]) -> World:
    world = World(labelled(ROLE), iam=SimulatedIam(limit=131072, reorders=False))
    _trust(world, ROLE, crowd)
    return world


def _trust(world: World, one: RoleArn, crowd: list[Subject]) -> None:
    world.iam.edit(one, lambda document: document["Statement"].append(own_in(one).render(crowd)))


async def _most_tasks(prefix: str) -> int:
    """The most tasks of such a name that there were at one moment, until cancelled."""
    most = 0
    try:
        while True:
            most = max(most, sum(task.get_name().startswith(prefix) for task in asyncio.all_tasks()))
            await asyncio.sleep(0.01)
    except asyncio.CancelledError:
        return most


class _Pages(Connection):
    """The connection to an API server that has the crowd, in objects with as much around them as real ones."""

    def __init__(self) -> None:
        """It connects to nothing."""

    async def in_thread(self, function: Callable[[], Any], *, urgent: bool = False) -> Any:  # noqa: ARG002  the base class's
        return function()

    def request(self, method: str, path: str, **_: Any) -> bytes:  # noqa: ARG002  the base class's
        items = [
            {"metadata": {**_AROUND, "name": subject.namespace, "labels": {LABEL: subject.namespace, "team": "a"}}}
            if path.endswith("/namespaces")
            else {
                "metadata": {
                    **_AROUND,
                    "namespace": subject.namespace,
                    "name": subject.service_account,
                    "annotations": {ROLE_ARN_ANNOTATION: ROLE.value},
                }
            }
            for subject in CROWD
        ]
        return json.dumps({"metadata": {"resourceVersion": "1"}, "items": items}).encode()


_AROUND = {
    "uid": "01234567-89ab-4cde-8f01-23456789abcd",
    "resourceVersion": "1",
    "managedFields": [{"manager": "kubectl", "fieldsV1": {f"f:field-{number}": {} for number in range(20)}}],
}


async def _lists() -> tuple[dict[str, LiveNamespace], dict[str, Account]]:
    api = KubernetesApi(_Pages(), [LABEL])
    namespaces, _ = await api.namespaces().list()
    accounts, _ = await api.service_accounts(SERVICE_ACCOUNT).list()
    return namespaces, accounts
