"""Five broken clusters: what is to fire fires, `verify` names the cause, and what it prints repairs it."""

from pathlib import Path

import pytest

from tests.alerts.rules import rules
from tests.diagnosis.breakages import HOW, breakages
from tests.diagnosis.investigation import investigate
from tests.diagnosis.page import PAGE, commands, page
from tests.proof.records import Record


@pytest.mark.rig
@pytest.mark.proof
@pytest.mark.timeout(3600)
def test_five_broken_clusters_are_found_and_repaired_by_what_is_shown(tmp_path: Path, record: Record) -> None:
    cases = investigate(tmp_path)
    for case in cases:
        first, *_, last = case.rounds
        assert case.breakage.said in first.printed, case.breakage.cluster
        assert first.fix
        assert not last.fix
    assert commands(page(cases)) == commands(PAGE.read_text()), "run `python -m tests.diagnosis`"
    record(
        "Broken clusters are repaired with nothing but the dashboard, the alerts and `verify`",
        clusters=len(cases),
        alerts_that_fired=sum(len(case.broken.alerts) for case in cases),
        commands_of_verify=sum(bool(one.fix) for case in cases for one in case.rounds),
    )


def test_each_breakage_is_on_the_page_with_alerts_that_exist() -> None:
    text = PAGE.read_text()
    assert [one.cluster for one in breakages()] == [*HOW]
    for one in breakages():
        section = text.partition(f"\n## {one.cluster}: {one.title}\n")[2].partition("\n## ")[0]
        assert one.happened in section
        assert one.said in section
        assert all(f"[{alert}](runbooks/" in section for alert in one.alerts)
        assert {*one.alerts} <= {rule.name for rule in rules()}
