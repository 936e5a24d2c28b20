"""A person that applies plans over a simulated cluster, for the tests of this folder."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from tests.support.simulated_cluster import SimulatedCluster
from tests.support.sites import SERVICE_ACCOUNT
from tests.support.virtual_time import now
from webhook.cli.apply.engine import Applier, add_and_repair, remove
from webhook.planning.snapshot import ClusterSnapshot

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from webhook.planning.plan import Plan


def quiet(_: str) -> None:
    """Progress that is not shown."""


class Operator(ABC):
    """What all of them do; `applier` is what differs."""

    def __init__(self) -> None:
        self.cluster = SimulatedCluster(SERVICE_ACCOUNT)

    @abstractmethod
    def applier(self) -> AbstractAsyncContextManager[Applier]:
        """What `apply` works with."""

    async def snapshot(self) -> ClusterSnapshot:
        """The cluster as it is now."""
        namespaces, _ = await self.cluster.namespaces.list()
        accounts, _ = await self.cluster.accounts[SERVICE_ACCOUNT].list()
        by_key = {(one.namespace, one.name): one for one in accounts.values()}
        return ClusterSnapshot(namespaces, by_key, now())

    async def apply(self, plan: Plan, *, approve: bool = False) -> Applier:
        """Carry it out, and answer what it was done with."""
        async with self.applier() as applier:
            await add_and_repair(applier, plan, quiet)
            if approve:
                await remove(applier, plan, quiet)
        return applier
