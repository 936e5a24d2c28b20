"""Clusters that tests use one after another: each user gets one as it was right after its start.

A cluster takes seconds to start, and moments to restore. No user sees what another left; see `Snapshot`.
"""

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from rig.kubernetes.cluster import Cluster
from rig.kubernetes.snapshot import Snapshot


class Shape(NamedTuple):
    """What a cluster has beside its API server; see `Cluster`."""

    controllers: bool
    nodes: int
    eks_webhook: bool


class SharedClusters:
    """Clusters of each shape, started when none is free. Not for several threads."""

    def __init__(self) -> None:
        self._free: dict[Shape, list[tuple[Cluster, Snapshot]]] = defaultdict(list)

    @contextmanager
    def borrowed(self, *, controllers: bool = True, nodes: int = 1, eks_webhook: bool = True) -> Iterator[Cluster]:
        """Give out a cluster for the length of a `with` block; one that cannot be restored is ended."""
        free = self._free[Shape(controllers, nodes, eks_webhook)]
        cluster, snapshot = free.pop() if free else _start(Shape(controllers, nodes, eks_webhook))
        reusable = False
        try:
            yield cluster
            reusable = snapshot.restore()
        finally:
            if reusable:
                free.append((cluster, snapshot))
            else:
                cluster.__exit__(None, None, None)

    def close(self) -> None:
        """End the clusters that are free."""
        for free in self._free.values():
            while free:
                free.pop()[0].__exit__(None, None, None)


def _start(shape: Shape) -> tuple[Cluster, Snapshot]:
    cluster = Cluster(**shape._asdict()).__enter__()
    try:
        return cluster, Snapshot(cluster)
    except BaseException:
        cluster.__exit__(None, None, None)
        raise


_shared = SharedClusters()
borrowed = _shared.borrowed
close = _shared.close
