"""Which Deployments are refused their pods, which are restarted, and that none is restarted twice."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhook.model.deployments import Deployment, RestartDecision, decide_restart
from webhook.model.names import RoleArn

NOW = 10_000.0
ROLE = RoleArn("arn:aws:iam::123456789012:role/mxp-backup")
OTHER = RoleArn("arn:aws:iam::123456789012:role/other")
USUAL = Deployment("mxp-1-system", "mxp-controller", "uid", "1", "mxp-controller", made=1, updated=1, available=1)

REFUSED = [
    ("as it should be", {}, False),
    ("one that could not be made", {"is_failing": True}, True),
    ("none made of one", {"made": 0}, True),
    ("one more could not be made in a rollout", {"is_failing": True, "made": 1}, True),
    ("not looked at by its controller yet", {"made": 0, "is_current": False}, False),
    ("scaled to none", {"wanted": 0, "made": 0}, False),
    ("made, but not available", {"available": 0}, False),
]
ROLLED_OUT = [
    ("as it should be", {}, True),
    ("not looked at by its controller yet", {"is_current": False}, False),
    ("an old pod is still there", {"made": 2}, False),
    ("the new pod is not there yet", {"updated": 0}, False),
    ("the new pod is not available", {"available": 0}, False),
    ("scaled to none", {"wanted": 0, "made": 0, "updated": 0, "available": 0}, True),
]
RESTARTS = [
    ("never restarted", {}, [100.0], RestartDecision.RESTART),
    ("restarted externally before its pods started", {"restarted_at": 50.0}, [100.0], RestartDecision.RESTART),
    ("restarted externally since", {"restarted_at": 200.0}, [100.0], RestartDecision.UNDER_WAY),
    ("restarted externally, one pod to go", {"restarted_at": 200.0}, [100.0, 250.0], RestartDecision.UNDER_WAY),
    ("restarted by us just now", {"restarted_by_us": NOW - 1, "updated": 0}, [100.0], RestartDecision.UNDER_WAY),
    ("restarted in the year 9999", {"restarted_by_us": 2.5e11, "updated": 0}, [100.0], RestartDecision.UNDER_WAY),
    ("restarted by us, by a fast clock", {"restarted_by_us": NOW + 9}, [NOW], RestartDecision.DID_NOT_HELP),
    ("restarted by us, in vain", {"restarted_by_us": 200.0}, [250.0], RestartDecision.DID_NOT_HELP),
    ("restarted by us within that second", {"restarted_by_us": 250.0}, [250.0], RestartDecision.DID_NOT_HELP),
    ("in vain, and externally after that", {"restarted_by_us": 200.0, "restarted_at": 300.0}, [350.0],
     RestartDecision.DID_NOT_HELP),
    ("paused", {"is_paused": True}, [100.0], RestartDecision.PAUSED),
    ("its pods never became available", {"available": 0}, [100.0], RestartDecision.RESTART),
    ("of another ServiceAccount", {"service_account": "default"}, [100.0], RestartDecision.NOT_OURS),
]  # fmt: skip


@pytest.mark.parametrize(("case", "fields", "refused"), REFUSED, ids=[case for case, *_ in REFUSED])
def test_a_deployment_is_refused_where_pods_are_missing(case: str, fields: dict[str, Any], refused: bool) -> None:  # noqa: FBT001
    assert replace(USUAL, **fields).is_refused is refused, case


@pytest.mark.parametrize(("case", "fields", "done"), ROLLED_OUT, ids=[case for case, *_ in ROLLED_OUT])
def test_a_rollout_has_ended_as_kubectl_has_it(case: str, fields: dict[str, Any], done: bool) -> None:  # noqa: FBT001
    assert replace(USUAL, **fields).is_rolled_out is done, case


@pytest.mark.parametrize(("case", "fields", "started", "verdict"), RESTARTS, ids=[case for case, *_ in RESTARTS])
def test_the_verdict_is_the_one_in_the_table(
    case: str, fields: dict[str, Any], started: list[float], verdict: RestartDecision
) -> None:
    assert decide_restart(replace(USUAL, **fields), "mxp-controller", started, is_late=False) is verdict, case


@pytest.mark.parametrize("noted", [NOW - 1, NOW + 1e9])
def test_a_restart_of_ours_that_has_had_its_time_is_late_whatever_its_note_says(noted: float) -> None:
    under_way = replace(USUAL, restarted_by_us=noted, updated=0)
    assert decide_restart(under_way, "mxp-controller", [100.0], is_late=True) is RestartDecision.TIMED_OUT


@pytest.mark.parametrize(
    ("noted", "role", "verdict"),
    [
        (ROLE.value, ROLE, RestartDecision.DID_NOT_HELP),
        (ROLE.value, OTHER, RestartDecision.RESTART),
        (ROLE.value, None, RestartDecision.DID_NOT_HELP),
        (None, ROLE, RestartDecision.DID_NOT_HELP),
        (None, None, RestartDecision.DID_NOT_HELP),
    ],
)
def test_a_restart_for_another_role_says_nothing(
    noted: str | None, role: RoleArn | None, verdict: RestartDecision
) -> None:
    restarted = replace(USUAL, restarted_at=200.0, restarted_by_us=200.0, restarted_for=noted)
    assert decide_restart(restarted.for_role(role), "mxp-controller", [250.0], is_late=False) is verdict


moments = st.floats(0, 1e6)


@given(st.lists(moments, min_size=1), st.lists(moments, min_size=1), moments, st.booleans())
def test_whatever_its_pods_are_after_a_restart_of_ours_there_is_no_other(
    before: list[float],
    after: list[float],
    at: float,
    late: bool,  # noqa: FBT001
) -> None:
    if decide_restart(USUAL, "mxp-controller", before, is_late=False) is RestartDecision.RESTART:
        restarted = replace(USUAL, restarted_at=at, restarted_by_us=at)
        assert decide_restart(restarted, "mxp-controller", after, is_late=late) is not RestartDecision.RESTART


@given(st.lists(moments, min_size=1), moments)
def test_a_pod_that_an_external_restart_replaces_is_never_restarted_for(pods: list[float], at: float) -> None:
    verdict = decide_restart(replace(USUAL, restarted_at=at), "mxp-controller", pods, is_late=False)
    assert (verdict is RestartDecision.RESTART) is all(moment >= at for moment in pods)
