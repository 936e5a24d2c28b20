"""The bench of both modes works: not whether figures are good, only that no pod is without identity."""

import pytest

from bench.modes import WAYS, report, run

COUNT = 5


@pytest.mark.rig
@pytest.mark.timeout(240)
@pytest.mark.proof
def test_a_small_burst_in_each_way_leaves_no_pod_without_identity() -> None:
    runs = [run(way, COUNT) for way in WAYS]

    for figures in runs:
        assert (figures.with_variable, figures.with_credentials, figures.made_again) == (COUNT, COUNT, 0)
        assert figures.statements == 1
    assert [figures.associations for figures in runs] == [0, COUNT, COUNT, COUNT]
    assert "| pods that carry the mode's variables | 5 | 5 | 5 | 5 |" in report(runs)
