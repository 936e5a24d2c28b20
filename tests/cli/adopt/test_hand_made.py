"""What a statement written by hand allows, and which of its properties keep it from being taken over."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given

from tests.iam.policies import (
    ISSUER,
    OTHER_CLUSTER,
    OTHER_INSTALLATION,
    OWN,
    ROLE,
    SUBJECTS,
    allowing_statements,
    as_stored,
)
from tests.support.hand_written import by_token, guided, wildcard
from webhook.cli.adopt.hand_made import HandMade, read_statement
from webhook.iam.evaluation import allows
from webhook.iam.statement import ASSUME_WITH_TOKEN
from webhook.model.names import AUDIENCE

ONE, TWO = SUBJECTS[:2]
EQUALS = {OWN.audience_key: AUDIENCE, OWN.subject_key: str(ONE)}
GUIDED = guided(OWN, ONE)
TAKEN_OVER = {
    "the guide's": GUIDED,
    "with a Sid": guided(OWN, ONE, sid="ByHand"),
    "with lists of one": {**GUIDED, "Action": [ASSUME_WITH_TOKEN], "Principal": {"Federated": [OWN.provider_arn]}},
    "keys and action in other letters": by_token(OWN, {"StringEquals": {k.upper(): v for k, v in EQUALS.items()}})
    | {"Action": "sts:assumerolewithwebidentity"},
    "by StringLike without a wildcard": by_token(OWN, {"StringLike": EQUALS}),
}
LEFT: dict[str, tuple[dict[str, Any], str]] = {
    "an element beside": ({**GUIDED, "NotAction": "sts:AssumeRole"}, "it has NotAction"),
    "another provider beside": (
        {**GUIDED, "Principal": {"Federated": [OWN.provider_arn, OTHER_CLUSTER.provider_arn]}},
        "it is for other principals too",
    ),
    "an account beside": (
        {**GUIDED, "Principal": {"Federated": OWN.provider_arn, "AWS": "123456789012"}},
        "it is for other principals too",
    ),
    "two actions": ({**GUIDED, "Action": [ASSUME_WITH_TOKEN, "sts:TagSession"]}, "it allows other actions too"),
    "all actions": ({**GUIDED, "Action": "sts:*"}, "it allows other actions too"),
    "no list of conditions": ({**GUIDED, "Condition": [GUIDED["Condition"]]}, "its Condition cannot be read"),
    "another operator": (
        by_token(OWN, {"StringEqualsIgnoreCase": EQUALS}),
        "it has a condition by StringEqualsIgnoreCase",
    ),
    "another key": (
        by_token(OWN, {"StringEquals": {**EQUALS, "aws:PrincipalOrgID": "o-1"}}),
        "it has a condition on aws:PrincipalOrgID",
    ),
    "two conditions on the subject": (
        by_token(OWN, {"StringEquals": EQUALS, "StringLike": {OWN.subject_key: str(ONE)}}),
        f"it has two conditions on {OWN.subject_key}",
    ),
    "another audience": (
        by_token(OWN, {"StringEquals": {**EQUALS, OWN.audience_key: "sigstore"}}),
        "it is for another audience",
    ),
    "two audiences": (
        by_token(OWN, {"StringEquals": {**EQUALS, OWN.audience_key: [AUDIENCE, "sigstore"]}}),
        "it is for another audience",
    ),
    "no audience": (by_token(OWN, {"StringEquals": {OWN.subject_key: str(ONE)}}), "it asks for no audience"),
    "a wildcard where it is none": (
        by_token(OWN, {"StringEquals": {**EQUALS, OWN.subject_key: "system:serviceaccount:*:mxp-controller"}}),
        "it names system:serviceaccount:*:mxp-controller, which is no ServiceAccount",
    ),
    "no subject in the list": (
        by_token(OWN, {"StringEquals": {**EQUALS, OWN.subject_key: []}}),
        "it names nothing, which is no ServiceAccount",
    ),
    "another installation's": (OTHER_INSTALLATION.render([ONE]), "it is another installation's of this program"),
}
WIDE = {
    "a pattern": (
        wildcard(OWN, "system:serviceaccount:*:mxp-controller"),
        "system:serviceaccount:*:mxp-controller",
    ),
    "no subject": (by_token(OWN, {"StringEquals": {OWN.audience_key: AUDIENCE}}), "*"),
    "no condition": ({key: value for key, value in GUIDED.items() if key != "Condition"}, "*"),
}
NOT_ABOUT_IT = {
    "another cluster": guided(OTHER_CLUSTER, ONE),
    "a Deny": {**GUIDED, "Effect": "Deny"},
    "EKS": {"Effect": "Allow", "Principal": {"Service": "pods.eks.amazonaws.com"}, "Action": "sts:AssumeRole"},
    "another action": {**GUIDED, "Action": "sts:TagSession"},
    "the provider of another account": {
        **GUIDED,
        "Principal": {"Federated": ISSUER.provider_arn(ROLE.partition, "210987654321")},
    },
}


@pytest.mark.parametrize("statement", TAKEN_OVER.values(), ids=TAKEN_OVER)
def test_one_that_names_service_accounts_and_nothing_else_can_be_taken_over(statement: dict[str, Any]) -> None:
    assert read_statement(statement, OWN) == HandMade(frozenset([ONE]))


@pytest.mark.parametrize(("statement", "why"), LEFT.values(), ids=LEFT)
def test_one_that_does_anything_else_says_why_it_is_left(statement: dict[str, Any], why: str) -> None:
    assert read_statement(statement, OWN) == HandMade(flaw=why)


@pytest.mark.parametrize(("statement", "pattern"), WIDE.values(), ids=WIDE)
def test_a_wildcard_is_known_as_one(statement: dict[str, Any], pattern: str) -> None:
    assert read_statement(statement, OWN) == HandMade(patterns=(pattern,))


def test_names_beside_a_wildcard_are_known_too() -> None:
    both = by_token(OWN, {"StringLike": {OWN.subject_key: [str(TWO), "system:serviceaccount:mxp-?-system:x"]}})
    assert read_statement(both, OWN) == HandMade(frozenset([TWO]), ("system:serviceaccount:mxp-?-system:x",))


@pytest.mark.parametrize("statement", NOT_ABOUT_IT.values(), ids=NOT_ABOUT_IT)
def test_one_about_something_else_is_not_looked_at(statement: dict[str, Any]) -> None:
    assert read_statement(statement, OWN) is None


@given(allowing_statements)
def test_one_that_can_be_taken_over_allows_exactly_what_it_names(statement: dict[str, Any]) -> None:
    found = read_statement(statement, OWN)
    if found is None or found.flaw or found.patterns:
        return
    allowed = {
        one
        for one in SUBJECTS
        if allows(statement, "Federated", OWN.provider_arn, (ASSUME_WITH_TOKEN,), OWN.claims(one))
    }
    assert found.subjects == allowed


@given(as_stored(guided(OWN, *SUBJECTS)))
def test_the_form_in_which_iam_stores_it_does_not_matter(statement: dict[str, Any]) -> None:
    assert read_statement(statement, OWN) == HandMade(frozenset(SUBJECTS))
