"""The bench of both modes works: not whether figures are good, only that nobody is without identity."""

import pytest

from bench.modes import MODES, report, run

COUNT = 5


@pytest.mark.rig
@pytest.mark.timeout(240)
@pytest.mark.proof
def test_a_small_burst_in_each_mode_leaves_nobody_without_identity() -> None:
    runs = [run(mode, COUNT) for mode in MODES]

    for figures in runs:
        assert (figures.with_variable, figures.with_credentials, figures.made_again) == (COUNT, COUNT, 0)
        assert figures.statements == 1
    assert [figures.associations for figures in runs] == [0, COUNT]
    assert "| pods that carry the mode's variables | 5 | 5 |" in report(runs)
