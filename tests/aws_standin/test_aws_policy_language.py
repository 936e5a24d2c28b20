"""What the oracle does not cover: other kinds of values, several values at once, identity policies."""

import json
from collections.abc import Mapping

import pytest

from rig.aws.policy import Decision, Query, decide, parse
from rig.aws.policy.conditions import holds
from rig.aws.policy.document import Condition

ARN = "arn:aws:iam::123456789012:role/path/mxp-backup"

CASES = [
    ("ArnLike", "arn:aws:iam::*:role/*", ARN, True),
    ("ArnEquals", "arn:aws:iam::*:role/path/*", ARN, True),
    ("ArnLike", "arn:aws:iam:*:role/path/mxp-backup", ARN, False),  # a star does not reach over a colon
    ("ArnLike", "*", ARN, False),
    ("ArnNotLike", "arn:aws:iam::*:user/*", ARN, True),
    ("ArnNotEquals", ARN, ARN, False),
    ("Bool", "True", "true", True),
    ("Bool", "false", "true", False),
    ("Bool", "yes", "yes", False),
    ("NumericEquals", "10", "10.0", True),
    ("NumericNotEquals", "10", "11", True),
    ("NumericLessThan", "10", "9", True),
    ("NumericLessThanEquals", "10", "10", True),
    ("NumericGreaterThan", "10", "10", False),
    ("NumericGreaterThanEquals", "10", "many", False),
    ("DateGreaterThan", "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z", True),
    ("DateLessThan", "2026-01-01", "1700000000", True),
    ("DateEquals", "soon", "2026-01-01T00:00:00Z", False),
    ("IpAddress", "10.0.0.0/8", "10.1.2.3", True),
    ("IpAddress", "10.0.0.0/8", "192.0.2.1", False),
    ("NotIpAddress", "10.0.0.0/8", "192.0.2.1", True),
    ("BinaryEquals", "QQ==", "QQ==", True),
    ("BinaryEquals", "not base64", "QQ==", False),
    ("Sounds", "x", "x", False),
]


@pytest.mark.parametrize(("operator", "written", "value", "expected"), CASES)
def test_an_operator_compares_values_of_its_kind(
    operator: str, written: str, value: str, *, expected: bool
) -> None:
    condition = Condition(operator, "key", (written,))

    assert holds(condition, {"key": (value,)}, variables=True) is expected


@pytest.mark.parametrize(
    ("operator", "written", "present", "expected"),
    [
        ("ForAllValues:StringEquals", ("a", "b"), ("a", "b"), True),
        ("ForAllValues:StringEquals", ("a",), ("a", "b"), False),
        ("ForAnyValue:StringEquals", ("a",), ("a", "b"), True),
        ("ForAnyValue:StringEquals", ("c",), ("a", "b"), False),
        ("ForAllValues:StringNotEquals", ("a",), ("b", "c"), True),
        ("ForAllValues:StringNotEquals", ("a",), ("a", "c"), False),
        ("ForAnyValue:StringNotEquals", ("a",), ("a", "c"), True),
        ("ForAnyValue:StringNotEquals", ("a", "c"), ("a", "c"), False),
    ],
)
def test_set_operators_look_at_every_value_of_the_request(
    operator: str, written: tuple[str, ...], present: tuple[str, ...], *, expected: bool
) -> None:
    assert holds(Condition(operator, "key", written), {"key": present}, variables=True) is expected


def identity_policy(*statements: Mapping[str, object]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


ALLOW = {"Effect": "Allow", "Action": "iam:UpdateAssumeRolePolicy", "Resource": ARN}


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (identity_policy(ALLOW), Decision.ALLOWED),
        (identity_policy({**ALLOW, "Action": "iam:*", "Resource": "*"}), Decision.ALLOWED),
        (identity_policy({**ALLOW, "Action": ["IAM:updateassumerolepolicy"]}), Decision.ALLOWED),
        (identity_policy({**ALLOW, "Resource": "arn:aws:iam::123456789012:role/*"}), Decision.ALLOWED),
        (
            identity_policy({**ALLOW, "Resource": "arn:aws:iam::123456789012:role/mxp-backup"}),
            Decision.NOT_ALLOWED,
        ),
        (identity_policy({**ALLOW, "Action": "iam:GetRole"}), Decision.NOT_ALLOWED),
        (
            identity_policy({"Effect": "Allow", "NotAction": "iam:DeleteRole", "Resource": "*"}),
            Decision.ALLOWED,
        ),
        (
            identity_policy({"Effect": "Allow", "Action": "iam:*", "NotResource": ARN}),
            Decision.NOT_ALLOWED,
        ),
        (identity_policy(ALLOW, {**ALLOW, "Effect": "Deny"}), Decision.DENIED),
        (
            identity_policy({**ALLOW, "Condition": {"StringEquals": {"aws:ResourceTag/mxp": "true"}}}),
            Decision.ALLOWED,
        ),
        (
            identity_policy({**ALLOW, "Condition": {"StringEquals": {"aws:ResourceTag/mxp": "false"}}}),
            Decision.NOT_ALLOWED,
        ),
        (identity_policy({**ALLOW, "Resource": "arn:aws:iam::*:role/path/${aws:username}"}), Decision.ALLOWED),
        (identity_policy({**ALLOW, "Resource": "arn:aws:iam::*:role/${aws:userid}"}), Decision.NOT_ALLOWED),
    ],
)
def test_identity_policies_allow_deny_or_say_nothing(document: str, expected: Decision) -> None:
    context = {"aws:resourcetag/mxp": ("true",), "aws:username": ("mxp-backup",)}
    query = Query("iam:UpdateAssumeRolePolicy", ARN, context=context)

    assert decide([parse(document)], query) is expected


def test_a_deny_in_one_policy_beats_an_allow_in_another() -> None:
    policies = [parse(identity_policy(ALLOW)), parse(identity_policy({**ALLOW, "Effect": "Deny"}))]

    assert decide(policies, Query("iam:UpdateAssumeRolePolicy", ARN)) is Decision.DENIED


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", '{"Statement": 1}', '{"Statement": {"Effect": "Allow", "Action": {}}}']
)
def test_what_is_no_policy_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse(text)
