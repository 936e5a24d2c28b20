"""The table of combinations: nothing is left out without a reason."""

from __future__ import annotations

from itertools import product

from tests.faults.dependencies import (
    CELLS,
    DEPENDENCIES,
    EXCLUSIONS,
    KINDS,
    PHASES,
    SERVING,
    SLICE,
    START,
    chains,
    exclusion_of,
    pairs,
)


def test_every_combination_is_played_or_excluded_by_name() -> None:
    played = {(cell.dependency, cell.misbehaviour, cell.phase) for cell in CELLS}
    for dependency, misbehaviour, phase in product(DEPENDENCIES, KINDS, PHASES):
        excluded = exclusion_of(dependency, misbehaviour)
        assert ((dependency, misbehaviour, phase) in played) == (excluded is None)


def test_every_exclusion_excludes_something_and_says_why() -> None:
    for exclusion in EXCLUSIONS:
        assert exclusion.dependencies <= DEPENDENCIES.keys()
        assert exclusion.misbehaviours <= KINDS.keys()
        assert exclusion.dependencies
        assert exclusion.misbehaviours
        assert exclusion.because


def test_the_slice_has_a_quarter_of_the_pairs_and_each_part_of_one() -> None:
    assert len(set(SLICE)) == len(SLICE)
    assert len({(cell.dependency, cell.misbehaviour) for cell in SLICE}) >= len(list(pairs())) / 4
    early = [cell for cell in SLICE if cell.phase == START]
    for cells in (SLICE, early):
        assert {cell.dependency for cell in cells} == DEPENDENCIES.keys()
    assert {cell.misbehaviour for cell in SLICE} == KINDS.keys()


def test_chains_have_each_cell_once_and_one_program_each() -> None:
    found = chains(SLICE, 4)
    assert sorted(str(cell) for chain in found for cell in chain) == sorted(str(cell) for cell in SLICE)
    for chain in found:
        assert len({(cell.dependency, cell.phase) for cell in chain}) == 1
        assert len(chain) <= (4 if chain[0].phase == SERVING else 1)


def test_names_fit_into_labels_and_names_of_roles() -> None:
    assert all(len(f"cell-{cell.name}") <= 63 for cell in CELLS)
