"""Everything that the program depends on, misbehaving in every way, at the start and while it serves."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from tests.faults.course import Outcome, play
from tests.faults.dependencies import CELLS, DEPENDENCIES, PHASES, SLICE, Cell, chains
from tests.faults.program import CellError
from tests.faults.stage import stage

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.faults.stage import Stage
    from tests.proof.records import Record

AT_ONCE = 4
"""Programs, of 110 MiB each; most of their time they wait."""

LONGEST_CHAIN = 9
"""Cells that one program meets one after another in the slice."""

TIMEOUT_S = 900


class Matrix:
    """Plays cells on one stage, so many at once; what is submitted first is played first."""

    def __init__(self, running: Stage) -> None:
        self._stage = running
        self._pool = ThreadPoolExecutor(AT_ONCE, "cells")
        self._played: dict[Cell, Future[Outcome]] = {}

    def submit(self, cells: Sequence[Cell]) -> None:
        """Have cells of one dependency played, in turn; while serving, all by the same program."""
        futures = [Future[Outcome]() for _ in cells]
        self._played |= dict(zip(cells, futures, strict=True))
        self._pool.submit(self._play, cells, futures)

    def outcome(self, cell: Cell) -> Outcome:
        """Wait for a cell that was submitted. Raises CellError."""
        return self._played[cell].result()

    def close(self) -> None:
        """Start nothing more, and wait for what is under way."""
        self._pool.shutdown(cancel_futures=True)

    def _play(self, cells: Sequence[Cell], futures: Sequence[Future[Outcome]]) -> None:
        waiting = deque(futures)
        try:
            for outcome in play(self._stage, cells):
                if isinstance(outcome, CellError):
                    waiting.popleft().set_exception(outcome)
                else:
                    waiting.popleft().set_result(outcome)
        except BaseException as error:
            for future in waiting:
                future.set_exception(error)
            raise


@pytest.fixture(scope="module")
def matrix() -> Iterator[Matrix]:
    with stage() as running:
        made = Matrix(running)
        yield made
        made.close()


@pytest.fixture(scope="module")
def slice_(matrix: Matrix, request: pytest.FixtureRequest) -> Matrix:
    """With those cells of the slice under way that are tested."""
    wanted = {item.callspec.params.get("cell") for item in request.session.items if hasattr(item, "callspec")}
    for chain in chains([cell for cell in SLICE if cell in wanted], LONGEST_CHAIN):
        matrix.submit(chain)
    return matrix


@pytest.mark.rig
@pytest.mark.timeout(TIMEOUT_S)
@pytest.mark.parametrize("cell", SLICE, ids=[cell.name for cell in SLICE])
def test_the_program_lives_and_annotates_while_one_dependency_misbehaves(slice_: Matrix, cell: Cell) -> None:
    slice_.outcome(cell)


@pytest.mark.rig
@pytest.mark.proof
@pytest.mark.timeout(TIMEOUT_S)
@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("dependency", DEPENDENCIES)
def test_the_program_lives_and_annotates_whatever_a_dependency_answers(
    matrix: Matrix, dependency: str, phase: str, record: Record
) -> None:
    cells = [cell for cell in CELLS if (cell.dependency, cell.phase) == (dependency, phase)]
    for cell in cells:
        matrix.submit([cell])
    outcomes = [matrix.outcome(cell) for cell in cells]
    record(
        "Whatever a dependency answers, the program lives, reviews are answered in time, and trust follows",
        misbehaviours=len(cells),
        longest_review_s=round(max(outcome.review_s for outcome in outcomes), 1),
        longest_recovery_s=round(max(outcome.recovery_s for outcome in outcomes), 1),
        peak_memory_MiB=round(max(outcome.peak_mib for outcome in outcomes)),
    )
