"""No pod is refused before the ServiceAccounts of its binding have had their identity once."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from tests.support.simulated_iam import Trouble
from tests.support.sites import binding, role, subject
from tests.support.virtual_time import in_virtual_time
from tests.support.worlds import INTERVAL, World, labelled
from webhook.controller.remediation.pod_gate import PodGate
from webhook.model.bindings import Binding, Mode
from webhook.model.errors import ClusterError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

SUBJECT = subject(1)
MARK = "mark-of-backup"
SOON = 3.0
PROPAGATED = 30.0
"""Seconds until an association is propagated to EKS's webhook, with some to spare."""
FOR_EVER = 1e9


class StoredMarks:
    """The port GateMarks, in memory."""

    def __init__(self, **marks: str) -> None:
        self.marks: Mapping[str, str] = marks
        self.writes: list[Mapping[str, str]] = []
        self.failing: float = 0

    async def read(self) -> Mapping[str, str]:
        """As the port says."""
        await asyncio.sleep(0.02)
        if self.failing > 0:
            self.failing -= 1
            raise ClusterError("GET serviceaccount: 503 service unavailable")
        return self.marks

    async def write(self, marks: Mapping[str, str], replacing: Mapping[str, str]) -> None:
        """As the port says."""
        assert replacing == self.marks
        self.writes.append(marks)
        self.marks = marks


@asynccontextmanager
async def gate(world: World, stored: StoredMarks, **marks: str) -> AsyncIterator[None]:
    """The leader's part in the gate, inside the `async with`."""
    part = PodGate(world.cache, world.grants, stored, marks or {MARK: "backup"}, INTERVAL, world.progress)
    task = asyncio.create_task(part.run())
    try:
        yield
    finally:
        task.cancel()
        ended = await asyncio.gather(task, return_exceptions=True)
        assert all(isinstance(end, asyncio.CancelledError) for end in ended), ended


def settle(world: World, number: int, annotation: str | None = None) -> None:
    world.cluster.add_namespace(subject(number).namespace)
    world.cluster.add_account(subject(number), annotation)


@pytest.mark.parametrize("mode", [Mode.IRSA, Mode.ANNOTATE])
@in_virtual_time
async def test_no_pod_is_refused_before_every_service_account_is_annotated(mode: Mode) -> None:
    world, stored = World(labelled(mode=mode)), StoredMarks()
    settle(world, 1)
    settle(world, 2, role().value)
    world.cluster.failing_annotations = FOR_EVER
    async with gate(world, stored), world.running():
        await asyncio.sleep(5 * INTERVAL)
        assert stored.marks == {}
        world.cluster.failing_annotations = 0
        await asyncio.sleep(INTERVAL + SOON)
        assert world.cluster.annotation(SUBJECT)
        assert stored.marks == {MARK: "backup"}


@in_virtual_time
async def test_no_pod_is_refused_before_every_association_is_propagated() -> None:
    world, stored = World(binding(role(), mode=Mode.POD_IDENTITY)), StoredMarks()
    settle(world, 1)
    async with gate(world, stored), world.running():
        await asyncio.sleep(10)
        assert SUBJECT in world.eks.now
        assert stored.marks == {}
        await asyncio.sleep(PROPAGATED)
        assert stored.marks == {MARK: "backup"}


@in_virtual_time
async def test_an_external_association_in_the_way_does_not_keep_the_gate_open() -> None:
    world, stored = World(binding(role(), mode=Mode.POD_IDENTITY)), StoredMarks()
    world.eks.put(SUBJECT, role("external").value)
    settle(world, 1)
    settle(world, 2)
    async with gate(world, stored), world.running():
        await asyncio.sleep(2 * INTERVAL)
        assert stored.marks == {MARK: "backup"}


@in_virtual_time
async def test_one_that_eks_refuses_keeps_the_gate_open_and_costs_few_calls() -> None:
    world, stored = World(binding(role(), mode=Mode.POD_IDENTITY)), StoredMarks()
    world.eks.limit = 0
    settle(world, 1)
    async with gate(world, stored), world.running():
        await asyncio.sleep(20 * INTERVAL)
        assert stored.marks == {}
        assert world.eks.calls["create"] < 100, "some with each pass"
        world.eks.limit = 1
        await asyncio.sleep(2 * INTERVAL + PROPAGATED)
        assert stored.marks == {MARK: "backup"}


@in_virtual_time
async def test_where_nothing_is_bound_yet_pods_are_refused_from_the_start() -> None:
    world, stored = World(), StoredMarks()
    async with gate(world, stored), world.running():
        assert stored.marks == {MARK: "backup"}


@in_virtual_time
async def test_trust_that_comes_late_does_not_keep_the_gate_open() -> None:
    world, stored = World(), StoredMarks()
    world.iam.have(Trouble.REFUSED)
    settle(world, 1, role().value)
    async with gate(world, stored), world.running():
        await asyncio.sleep(INTERVAL)
        assert stored.marks == {MARK: "backup"}


@in_virtual_time
async def test_one_that_is_deleted_or_created_meanwhile_is_not_waited_for() -> None:
    world, stored = World(), StoredMarks()
    settle(world, 1)
    world.cluster.failing_annotations = FOR_EVER
    async with gate(world, stored), world.running():
        settle(world, 2)
        await asyncio.sleep(INTERVAL)
        assert stored.marks == {}
        world.cluster.remove_account(SUBJECT)
        await asyncio.sleep(SOON)
        assert stored.marks == {MARK: "backup"}


@in_virtual_time
async def test_a_mark_of_the_leader_before_stays_and_those_of_other_contents_are_removed() -> None:
    world, stored = World(), StoredMarks(**{MARK: "backup", "older": "backup", "gone": "billing"})
    settle(world, 1)
    world.cluster.failing_annotations = FOR_EVER
    async with gate(world, stored), world.running():
        await asyncio.sleep(INTERVAL)
        assert stored.marks == {MARK: "backup"}


@in_virtual_time
async def test_each_binding_waits_for_all_that_its_policy_covers_whichever_binding_decides() -> None:
    narrow = Binding("narrow", SUBJECT.service_account, binding().namespaces, Mode.POD_IDENTITY, (role("narrow"),))
    world, stored = World(narrow, labelled()), StoredMarks()
    settle(world, 1)
    async with gate(world, stored, first="narrow", second="backup"), world.running():
        await asyncio.sleep(10)
        assert stored.marks == {}
        await asyncio.sleep(PROPAGATED)
        assert stored.marks == {"first": "narrow", "second": "backup"}


@in_virtual_time
async def test_marks_that_were_removed_come_back_and_an_outage_is_survived() -> None:
    world, stored = World(), StoredMarks()
    stored.failing = 3
    async with gate(world, stored), world.running():
        await asyncio.sleep(INTERVAL)
        assert stored.marks == {MARK: "backup"}
        stored.marks = {}
        await asyncio.sleep(INTERVAL + SOON)
        assert stored.marks == {MARK: "backup"}
        await asyncio.sleep(20 * INTERVAL)
        assert len(stored.writes) == 2, "nothing is written where nothing changes"
