"""Clusters that tests use one after another: each user gets one as it was right after its start.

A cluster takes seconds to start, and moments to restore. No user sees what another left; see `Snapshot`. Issuers
are the same in each run: the first cluster that a user borrows has the first, one beside it the second.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import NamedTuple

from rig.kubernetes.cluster import Cluster
from rig.kubernetes.server import issuer
from rig.kubernetes.snapshot import Snapshot

FIRST = 0x0A


class Shape(NamedTuple):
    """What a cluster has beside its API server; see `Cluster`."""

    controllers: bool
    nodes: int
    eks_webhook: bool


class SharedClusters:
    """Clusters of each shape, started when none is free. Not for several threads."""

    def __init__(self) -> None:
        self._free: dict[tuple[Shape, int], tuple[Cluster, Snapshot]] = {}
        self._lent: set[tuple[Shape, int]] = set()

    @contextmanager
    def borrowed(self, *, controllers: bool = True, nodes: int = 1, eks_webhook: bool = True) -> Iterator[Cluster]:
        """Give out a cluster for the length of a `with` block; one that cannot be restored is ended."""
        shape = Shape(controllers, nodes, eks_webhook)
        key = next((shape, number) for number in count(FIRST) if (shape, number) not in self._lent)
        cluster, snapshot = self._free.pop(key) if key in self._free else _start(*key)
        self._lent.add(key)
        reusable = False
        try:
            yield cluster
            reusable = snapshot.restore()
        finally:
            self._lent.remove(key)
            if reusable:
                self._free[key] = cluster, snapshot
            else:
                cluster.__exit__(None, None, None)

    def close(self) -> None:
        """End the clusters that are free."""
        while self._free:
            self._free.popitem()[1][0].__exit__(None, None, None)


def _start(shape: Shape, number: int) -> tuple[Cluster, Snapshot]:
    cluster = Cluster(**shape._asdict(), issuer=issuer(f"{number:02X}" * 16)).__enter__()
    try:
        return cluster, Snapshot(cluster)
    except BaseException:
        cluster.__exit__(None, None, None)
        raise


_shared = SharedClusters()
borrowed = _shared.borrowed
close = _shared.close
