"""The documents of fixes: nothing else changes in a policy than what denies the role."""

import json
from typing import Any

import pytest

from rig.aws.policy import Decision, Query, decide, parse
from webhook.cli.verify.bucket.fixes import exempting, with_statements
from webhook.model.names import RoleArn

ROLE = RoleArn("arn:aws:iam::123456789012:role/mxp-backup")
OTHER = "arn:aws:iam::123456789012:role/other"
KEY = "arn:aws:s3:::my-backups/team/orders/probe"
DENY = {"Effect": "Deny", "Principal": "*", "Action": "s3:Put*", "Resource": "arn:aws:s3:::my-backups/*"}
AUDIT = {"Effect": "Allow", "Principal": {"AWS": OTHER}, "Action": "s3:GetObject", "Resource": f"{KEY}*"}
UNRELATED = {**DENY, "Action": "s3:DeleteBucket"}

DENIES: dict[str, dict[str, Any]] = {
    "plain": DENY,
    "with a condition": {**DENY, "Condition": {"StringNotEquals": {"aws:SourceVpc": "vpc-1"}}},
    "with others exempted": {**DENY, "Condition": {"ArnNotEquals": {"aws:principalarn": OTHER}}},
    "by NotAction": {**DENY, "NotAction": ["s3:Get*"], "Action": None},
    "by NotResource": {**DENY, "NotResource": "arn:aws:s3:::images/*", "Resource": None},
    "in another case": {**DENY, "Action": ["S3:putobject"]},
}


def _document(*statements: dict[str, Any]) -> dict[str, Any]:
    found = [{key: value for key, value in one.items() if value is not None} for one in statements]
    return {"Version": "2012-10-17", "Id": "bucket", "Statement": found}


def _denied(document: dict[str, Any], principal: str) -> bool:
    context = {"aws:principalarn": (principal,), "aws:sourcevpc": ("vpc-2",)}
    names = {"AWS": frozenset({principal})}
    query = Query("s3:PutObject", KEY, names, context)
    return decide([parse(json.dumps(document))], query) is Decision.DENIED


@pytest.mark.parametrize("name", DENIES)
def test_a_deny_no_longer_covers_the_role_and_covers_all_others_as_before(name: str) -> None:
    before = _document(AUDIT, DENIES[name], UNRELATED)
    stranger = "arn:aws:iam::123456789012:role/stranger"
    after = exempting(before, ROLE, "s3:PutObject", KEY)
    assert after is not None
    assert (_denied(before, ROLE.value), _denied(after, ROLE.value)) == (True, False)
    assert _denied(after, stranger)
    assert _denied(after, OTHER) is _denied(before, OTHER)
    assert [after["Statement"][0], after["Statement"][2]] == [AUDIT, UNRELATED]
    assert (after["Version"], after["Id"]) == ("2012-10-17", "bucket")


def test_where_no_deny_is_about_it_there_is_no_document() -> None:
    assert exempting(_document(AUDIT, UNRELATED), ROLE, "s3:PutObject", KEY) is None


def test_a_statement_is_added_beside_those_that_are_there() -> None:
    assert with_statements({"Version": "2008-10-17", "Statement": AUDIT}, [DENY]) == {
        "Version": "2008-10-17",
        "Statement": [AUDIT, DENY],
    }
    assert with_statements({}, [DENY]) == {"Version": "2012-10-17", "Statement": [DENY]}
