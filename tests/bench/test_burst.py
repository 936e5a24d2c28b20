"""The bench of bursts works, for all three ways: not whether figures are good, only that they are there."""

import xml.etree.ElementTree as ET
from concurrent.futures import ThreadPoolExecutor

import pytest

from bench.burst.page import Run, page, plot
from bench.burst.run import ONE_ROLE, Way, run

COUNT = 20
PATIENCE_S = 3.0


@pytest.fixture(scope="module")
def runs() -> list[Run]:
    with ThreadPoolExecutor(len(Way)) as pool:
        verdicts = pool.map(lambda way: run(way, ONE_ROLE, COUNT, PATIENCE_S), Way)
        return [Run(ONE_ROLE.name, way, verdict) for way, verdict in zip(Way, verdicts, strict=True)]


@pytest.mark.rig
@pytest.mark.timeout(120)
@pytest.mark.proof
def test_a_small_burst_is_judged_and_shown_for_each_way(runs: list[Run]) -> None:
    ours, unlocked, locked = (one.verdict for one in runs)

    assert (ours.trusted, ours.lost, ours.pods_without_identity) == (COUNT, 0, 0)
    assert unlocked.lost > 0
    assert locked.trusted == COUNT
    assert ours.iam_calls < locked.iam_calls
    for way in Way:
        assert f"| {way.value} | {COUNT} |" in page(runs, quiet=1.0)
    assert len(ET.fromstring(plot(runs)).findall(".//{http://www.w3.org/2000/svg}circle")) == 2 * len(Way)
