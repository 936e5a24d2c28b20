"""Reading conditions: as the evaluator does where the token decides, and unknown where it does not."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rig.oracle import TrustOracle
from tests.iam.judging import lets_in, token
from tests.iam.policies import OWN, SUBJECTS, conditions, deciding_conditions, subjects
from webhook.iam.evaluation import conditions_hold
from webhook.iam.statement import ASSUME_WITH_TOKEN
from webhook.model.names import Subject

_HOLDS = {"StringLike": {OWN.subject_key: "*"}}
_FAILS = {"StringEquals": {OWN.audience_key: "sigstore"}}
_UNKNOWN = {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}


@settings(max_examples=400)
@given(deciding_conditions | conditions, st.sampled_from(["2008-10-17", "2012-10-17"]), subjects)
def test_a_condition_on_the_tokens_claims_holds_exactly_where_the_evaluator_says_so(
    oracle: TrustOracle, condition: dict[str, Any], version: str, subject: Subject
) -> None:
    statement = {
        "Effect": "Allow",
        "Principal": {"Federated": OWN.provider_arn},
        "Action": ASSUME_WITH_TOKEN,
        "Condition": condition,
    }
    allowed = lets_in(oracle, {"Version": version, "Statement": statement}, token(subject))
    assert conditions_hold(condition, OWN.claims(subject)) is allowed


@pytest.mark.parametrize(
    ("condition", "answer"),
    [
        (None, True),
        ({}, True),
        (_HOLDS, True),
        (_FAILS, False),
        (_UNKNOWN, None),
        ({**_HOLDS, **_FAILS}, False),
        ({**_HOLDS, **_UNKNOWN}, None),
        ({**_UNKNOWN, **_FAILS}, False),
        ({**_FAILS, **_UNKNOWN}, False),
    ],
    ids=str,
)
def test_one_part_that_fails_decides_and_else_one_that_is_unknown(condition: Any, answer: bool | None) -> None:  # noqa: FBT001
    assert conditions_hold(condition, OWN.claims(SUBJECTS[0])) is answer
