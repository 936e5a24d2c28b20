"""The bench's parts, each tried small, so that they do not rot."""

from pathlib import Path

import pytest

from bench import admission, amendment, attacks, hanging, memory, pace
from bench.figures import MB, percentile, table


def test_a_percentile_is_a_sample_that_was_measured() -> None:
    samples = [5.0, 1.0, 4.0, 2.0, 3.0]
    assert [percentile(samples, share) for share in (0.0, 0.5, 0.9, 1.0)] == [1.0, 3.0, 5.0, 5.0]


def test_a_table_aligns_its_figures_to_the_right() -> None:
    assert table(("way", "p50"), [("none", "1 ms")]) == "| way | p50 |\n| --- | ---: |\n| none | 1 ms |"


def test_an_amendment_is_measured_for_each_kind_of_external_statement() -> None:
    found = amendment.measure(50, 3)
    assert [one.kind for one in found] == [kind for kind in amendment.KINDS for _ in range(2)]
    assert all(one.amended > 0 for one in found)
    assert "nothing else waits" in amendment.report(found)


@pytest.mark.rig
@pytest.mark.proof
def test_admissions_are_measured_in_turn_for_one_client_and_for_many() -> None:
    alone, together = admission.measure(16, (1, 2))
    assert {len(way.seconds) for way in alone.ways.values()} == {16}
    assert {len(way.seconds) for way in together.ways.values()} == {16}
    assert "this webhook" in admission.report([alone, together])


@pytest.mark.rig
def test_reviews_are_answered_in_time_while_aws_hangs() -> None:
    waves = hanging.measure((40,))
    assert [len(wave.seconds) for wave in waves] == [40, 40]
    assert all(seconds >= hanging.BUDGET_S for wave in waves for seconds in wave.seconds)
    assert all(wave.over < 2.0 for wave in waves)
    assert "40 reviews, open connections" in hanging.report(waves)


@pytest.mark.rig
@pytest.mark.proof
@pytest.mark.timeout(180)
def test_the_pace_towards_iam_is_measured_beside_the_former_one_and_the_limit() -> None:
    found = pace.measure(5, 8, 12)
    limit, former, ours = (
        percentile(times, 0.5)
        for times in (found.limit, found.sequential[pace.FORMER].apart, found.sequential[pace.OURS].apart)
    )
    assert 2 * pace.IAM_SECONDS < limit < ours < former
    for load in (*found.burst.values(), *found.pool.values()):
        assert 0 < load.writes < load.calls
    assert f"| {pace.FORMER} |" in pace.report(found)


def test_memory_is_measured_in_the_environment_of_the_image() -> None:
    dockerfile = (Path(__file__).parents[2] / "Dockerfile").read_text()
    _, _, environment = dockerfile.rpartition("\nENV ")
    for name, value in memory.IMAGE_ENVIRONMENT.items():
        assert f"{name}={value}" in environment.split()


@pytest.mark.rig
@pytest.mark.proof
def test_memory_is_measured_when_adopting_and_when_started_again() -> None:
    (size,) = memory.measure((30,), quiet_passes=1)
    assert 0 < size.again.ready <= size.again.done
    assert 0 < size.lists < size.again.done
    assert size.adopting.resident > MB
    assert size.again.pass_cpu > 0
    assert "| 30 |" in memory.report([size])


@pytest.mark.rig
@pytest.mark.proof
def test_an_attack_is_measured_beside_honest_clients() -> None:
    (attack,) = attacks.measure(("nesting",))
    assert attack.most > 0
    assert attack.waits.kept
    assert attack.waits.new
    assert attack.waits.health
    assert attack.waits.failures == 0
