"""A Deny that only AWS can judge: never counted as out of the way, never as certain."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rig.oracle import TrustOracle
from tests.iam.judging import lets_in, token
from tests.iam.policies import (
    OTHER_CLUSTER,
    OWN,
    SUBJECTS,
    as_stored,
    conditions,
    documents,
    external_statements,
    subjects,
)
from webhook.iam.amendment import Standing, amend
from webhook.iam.external import effects_on_pod
from webhook.iam.statement import SERVICE
from webhook.iam.trust_policy import Place, TrustPolicy
from webhook.model.names import Subject

_KEYS = ("aws:PrincipalOrgID", "aws:SourceVpc", f"{OTHER_CLUSTER.issuer.key}:sub", "aws:SecureTransport")
_OPERATORS = ("StringEquals", "StringNotEquals", "StringNotEqualsIfExists", "StringLike", "StringNotLikeIfExists")
open_conditions = st.one_of(
    st.builds(
        lambda operator, key, value: {operator: {key: value}},
        st.sampled_from(_OPERATORS),
        st.sampled_from(_KEYS),
        st.sampled_from(["o-1", ["o-1", "vpc-1"], "*"]),
    ),
    st.builds(
        lambda key, value: {"Null": {key: value}},
        st.sampled_from([*_KEYS, OWN.subject_key, OWN.audience_key]),
        st.sampled_from(["true", "false", ["true"]]),
    ),
    st.sampled_from(
        [
            {"Bool": {"aws:SecureTransport": "false"}},
            {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}},
            {"NotIpAddress": {"aws:SourceIp": "10.0.0.0/8"}},
        ]
    ),
)
open_statements = st.builds(
    lambda statement, known, opened: {**statement, "Condition": {**known, **opened}},
    external_statements,
    conditions,
    open_conditions,
)


@settings(max_examples=200)
@given(documents(external_statements | open_statements), subjects)
def test_a_subject_that_the_evaluator_denies_is_denied_or_may_be_and_one_that_we_call_denied_it_denies(
    oracle: TrustOracle, document: dict[str, Any], subject: Subject
) -> None:
    # The evaluator's request has the token's claims and no other key; AWS's may have them.
    policy = TrustPolicy.parse(document)
    is_in = lets_in(oracle, policy.with_subjects(OWN, [subject]).document, token(subject))
    effects = policy.effects_on(OWN, subject)
    assert is_in or effects.denial or effects.possible_denial
    assert not (is_in and effects.denial)


@settings(max_examples=100)
@given(documents(external_statements | open_statements), subjects)
def test_an_allow_that_may_hold_is_no_trust(
    oracle: TrustOracle, document: dict[str, Any], subject: Subject
) -> None:
    policy = TrustPolicy.parse(document)
    place = policy.effects_on(OWN, subject).grant
    if place is not None:
        alone = {**document, "Statement": [policy.statements[place.index]]}
        assert lets_in(oracle, alone, token(subject))
        condition = policy.statements[place.index].get("Condition", {})
        assert not any(key in block for block in condition.values() for key in _KEYS)


DENY = {"Sid": "Org", "Effect": "Deny", "Principal": {"AWS": "*"}, "Action": "sts:*"}
_PROVIDER = {"Federated": OWN.provider_arn}
MAY: dict[str, dict[str, Any]] = {
    "NotPrincipal": {
        "Sid": "Org", "Effect": "Deny", "NotPrincipal": {"AWS": "123456789012"}, "Action": "sts:*",
    },
    "NotPrincipal with our provider": {
        "Sid": "Org", "Effect": "Deny", "NotPrincipal": _PROVIDER, "Action": "sts:AssumeRoleWithWebIdentity",
    },
    "Null on another provider's subject": {
        **DENY, "Condition": {"Null": {f"{OTHER_CLUSTER.issuer.key}:sub": "true"}},
    },
    "StringNotEquals on the organization": {
        **DENY, "Condition": {"StringNotEquals": {"aws:PrincipalOrgID": "o-1234567890"}},
    },
    "StringNotEqualsIfExists": {
        **DENY, "Condition": {"StringNotEqualsIfExists": {"aws:PrincipalOrgID": "o-1234567890"}},
    },
    "the VPC": {**DENY, "Condition": {"StringNotEquals": {"aws:SourceVpc": "vpc-1"}}},
    "an address": {**DENY, "Condition": {"NotIpAddress": {"aws:SourceIp": ["10.0.0.0/8"]}}},
    "TLS": {**DENY, "Condition": {"Bool": {"aws:SecureTransport": False}}},
    "one that holds and one that may": {
        **DENY,
        "Condition": {
            "StringLike": {OWN.subject_key: "system:serviceaccount:mxp-*"}, "StringEquals": {"aws:SourceVpc": "v"},
        },
    },
    "all actions but some": {
        "Sid": "Org", "Effect": "Deny", "Principal": _PROVIDER, "NotAction": "sts:TagSession",
        "Condition": {"DateLessThan": {"aws:CurrentTime": "2020-01-01T00:00:00Z"}},
    },
    "an action that is no string": {**DENY, "Action": ["sts:TagSession", 5]},
    "an element that is new": {**DENY, "NotResource": "*"},
    "a condition that is none": {**DENY, "Condition": "o-1234567890"},
}  # fmt: skip


@pytest.mark.parametrize("name", MAY)
@settings(max_examples=5)
@given(data=st.data())
def test_a_deny_that_may_hold_is_reported_with_its_place_and_the_subject_still_written(
    name: str, data: st.DataObject
) -> None:
    before = OWN.render([SUBJECTS[1]])
    policy = TrustPolicy.parse({"Statement": [before, data.draw(as_stored(MAY[name]))]})
    amendment = amend(policy, OWN, frozenset(), SUBJECTS[:2], 8192)
    assert [(one.standing, str(one.possible_denial)) for one in amendment.verdicts.values()] == [
        (Standing.ADDED, "statement 2 (Sid Org)"),
        (Standing.KEPT, "statement 2 (Sid Org)"),
    ]
    assert amendment.policy.subjects(OWN) == set(SUBJECTS[:2])


MAY_NOT: dict[str, dict[str, Any]] = {
    "another action": {**MAY["the VPC"], "Action": "sts:AssumeRole"},
    "another principal": {**MAY["the VPC"], "Principal": {"Federated": OTHER_CLUSTER.provider_arn}},
    "another subject": {
        **DENY,
        "Condition": {"StringEquals": {"aws:SourceVpc": "v", OWN.subject_key: "system:serviceaccount:x:y"}},
    },
    "the token's subject is there": {**DENY, "Condition": {"Null": {OWN.subject_key: "true"}}},
    "an Allow": {**MAY["the VPC"], "Effect": "Allow"},
}


@pytest.mark.parametrize("name", MAY_NOT)
def test_a_deny_that_the_token_alone_rules_out_is_not_reported(name: str) -> None:
    policy = TrustPolicy.parse({"Statement": [MAY_NOT[name]]})
    assert policy.effects_on(OWN, SUBJECTS[0]).possible_denial is None
    assert policy.effects_on(OWN, SUBJECTS[0]).denial is None


def test_a_deny_that_wants_the_tokens_subject_to_be_there_is_certain() -> None:
    policy = TrustPolicy.parse({"Statement": [{**DENY, "Condition": {"Null": {OWN.subject_key: "false"}}}]})
    assert policy.effects_on(OWN, SUBJECTS[0]).denial == Place(0, "Org")


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ({"StringNotEquals": {"aws:PrincipalOrgID": "o-1"}}, None),
        ({"StringEquals": {"aws:RequestTag/kubernetes-namespace": "mxp-a-system", "aws:SourceVpc": "v"}}, None),
        ({"StringEquals": {"aws:RequestTag/kubernetes-namespace": "mxp-b-system", "aws:SourceVpc": "v"}}, False),
        ({"StringEquals": {"aws:RequestTag/kubernetes-namespace": "mxp-a-system"}}, True),
    ],
)
def test_of_pods_the_session_tags_are_known_and_nothing_else(
    condition: dict[str, Any],
    holds: bool | None,  # noqa: FBT001  of a table
) -> None:
    deny = {
        "Effect": "Deny",
        "Principal": {"Service": SERVICE},
        "Action": "sts:TagSession",
        "Condition": condition,
    }
    policy, claims = (
        TrustPolicy.parse({"Statement": deny}),
        {"aws:requesttag/kubernetes-namespace": "mxp-a-system"},
    )
    assert (effects_on_pod(policy, claims).denial is not None) is (holds is True)
    assert (effects_on_pod(policy, claims).possible_denial is not None) is (holds is None)
