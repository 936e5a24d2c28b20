"""Everything that the program depends on, misbehaving in every way, at the start and while it serves."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Self

import pytest

from tests.faults.course import Outcome, play
from tests.faults.dependencies import CELLS, DEPENDENCIES, PHASES, SLICE, Cell
from tests.faults.stage import stage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.proof.records import Record

AT_ONCE = 8
"""Programs; most of their time they wait."""


class Matrix:
    """Plays cells side by side on one stage; what is submitted first is played first."""

    def __init__(self) -> None:
        self._stage = stage()
        self._pool = ThreadPoolExecutor(AT_ONCE, "cells")
        self._played: dict[Cell, Future[Outcome]] = {}

    def submit(self, cells: tuple[Cell, ...]) -> None:
        """Have cells played."""
        running = self._running
        self._played |= {cell: self._pool.submit(play, running, cell) for cell in cells}

    def outcome(self, cell: Cell) -> Outcome:
        """Wait for a cell that was submitted. Raises CellError."""
        return self._played[cell].result()

    def __enter__(self) -> Self:
        self._running = self._stage.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)
        self._stage.__exit__(None, None, None)


@pytest.fixture(scope="module")
def matrix(request: pytest.FixtureRequest) -> Iterator[Matrix]:
    """With the cells of the slice that are tested under way."""
    with Matrix() as running:
        chosen = [item.callspec.params.get("cell") for item in request.session.items if hasattr(item, "callspec")]
        running.submit(tuple(cell for cell in chosen if isinstance(cell, Cell)))
        yield running


@pytest.mark.rig
@pytest.mark.parametrize("cell", SLICE, ids=[cell.name for cell in SLICE])
def test_one_dependency_that_misbehaves_costs_neither_the_program_nor_an_annotation(
    matrix: Matrix, cell: Cell
) -> None:
    matrix.outcome(cell)


@pytest.mark.rig
@pytest.mark.proof
@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("dependency", DEPENDENCIES)
def test_a_dependency_that_misbehaves_in_any_way_costs_neither_the_program_nor_an_annotation(
    matrix: Matrix, dependency: str, phase: str, record: Record
) -> None:
    cells = tuple(cell for cell in CELLS if (cell.dependency, cell.phase) == (dependency, phase))
    matrix.submit(cells)
    outcomes = [matrix.outcome(cell) for cell in cells]
    record(
        "Whatever a dependency answers, the program lives, reviews are answered in time, and trust follows",
        misbehaviours=len(cells),
        longest_review_s=round(max(outcome.review_s for outcome in outcomes), 1),
        longest_recovery_s=round(max(outcome.recovery_s for outcome in outcomes), 1),
        peak_memory_MiB=round(max(outcome.peak_mib for outcome in outcomes)),
    )
