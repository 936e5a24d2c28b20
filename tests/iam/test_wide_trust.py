"""Which external statements are wider than the ServiceAccounts that they name, judged as AWS judges them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given

from tests.iam.policies import OTHER_CLUSTER, OTHER_INSTALLATION, OWN, SUBJECTS, external_documents
from tests.support.associating import DENY_PODS, LOOSE, PODS
from tests.support.hand_written import by_token, guided, wildcard
from webhook.iam.external import ExternalStatements
from webhook.iam.statement import ACTIONS
from webhook.iam.trust_policy import TrustPolicy
from webhook.model.names import AUDIENCE, Subject

PATTERN = "system:serviceaccount:mxp-*-system:mxp-controller"
PLAIN_PODS = {key: value for key, value in PODS.render().items() if key != "Condition"}
WIDE: dict[str, dict[str, Any]] = {
    "a wildcard": wildcard(OWN, PATTERN),
    "a wildcard of one character": wildcard(OWN, "system:serviceaccount:mxp-?-system:mxp-controller"),
    "a wildcard beside a name": by_token(OWN, {"StringLike": {OWN.subject_key: [str(SUBJECTS[0]), PATTERN]}}),
    "no subject": by_token(OWN, {"StringEquals": {OWN.audience_key: AUDIENCE}}),
    "all but one": by_token(OWN, {"StringNotEquals": {OWN.subject_key: str(SUBJECTS[0])}}),
    "all actions": {**wildcard(OWN, PATTERN), "Action": "sts:*"},
    "a condition that only AWS can judge": by_token(
        OWN, {"StringLike": {OWN.subject_key: PATTERN}, "IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}
    ),
    "pods without a condition": PLAIN_PODS,
    "pods with an empty condition": LOOSE,
    "pods of any cluster": {
        **PODS.render(),
        "Sid": "AnyCluster",
        "Condition": {
            "StringEquals": {"aws:RequestTag/kubernetes-service-account": "mxp-controller"},
            "StringLike": {"aws:RequestTag/kubernetes-namespace": "mxp-*-system"},
        },
    },
}
NARROW: dict[str, dict[str, Any]] = {
    "names alone": guided(OWN, *SUBJECTS),
    "two conditions that leave no wildcard": by_token(
        OWN, {"StringEquals": {OWN.subject_key: str(SUBJECTS[0])}, "StringLike": {OWN.subject_key: PATTERN}}
    ),
    "a wildcard that is none": by_token(OWN, {"StringEquals": {OWN.subject_key: PATTERN}}),
    "another audience": by_token(OWN, {"StringEquals": {OWN.audience_key: "sigstore"}}),
    "another cluster's": wildcard(OTHER_CLUSTER, PATTERN),
    "another installation's": OTHER_INSTALLATION.render(SUBJECTS),
    "pods as we write it": {**PODS.render(), "Sid": "ByHand"},
    "pods that are denied": DENY_PODS,
    "pods without tags": {**PLAIN_PODS, "Action": ACTIONS[0]},
    "people": {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"},
}


@pytest.mark.parametrize("statement", WIDE.values(), ids=WIDE)
def test_one_that_allows_what_it_does_not_name_is_wide(statement: dict[str, Any]) -> None:
    assert [place.index for place in _wide(guided(OWN, SUBJECTS[0]), statement)] == [1]


@pytest.mark.parametrize("statement", NARROW.values(), ids=NARROW)
def test_one_that_allows_no_more_than_it_names_is_not(statement: dict[str, Any]) -> None:
    assert _wide(statement) == []


@given(external_documents)
def test_a_policy_without_a_wide_statement_allows_no_service_account_of_an_unknown_name(
    document: dict[str, Any],
) -> None:
    policy = TrustPolicy(document)
    unknown = [Subject("mxp-of-tomorrow-system", "mxp-controller"), Subject("tomorrow", "tomorrow")]
    if not ExternalStatements(policy, OWN).wide():
        assert all(policy.effects_on(OWN, subject).grant is None for subject in unknown)


def _wide(*statements: dict[str, Any]) -> list[Any]:
    return ExternalStatements(TrustPolicy({"Statement": list(statements)}), OWN).wide()
