"""What is not ours: never touched, and read no more generously than the independent evaluator reads it."""

import copy
import json
from itertools import islice
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rig.oracle import TrustOracle
from tests.iam.judging import lets_in, token
from tests.iam.policies import (
    OTHER_CLUSTER,
    OTHER_INSTALLATION,
    OWN,
    SUBJECTS,
    allowing_statements,
    askings,
    documents,
    external_documents,
    external_statements,
    hand_edited_documents,
    shared_documents,
    stored_documents,
    subject_sets,
    subjects,
)
from webhook.iam.amendment import Standing, amend
from webhook.iam.evaluation import as_list
from webhook.iam.statement import OwnStatement
from webhook.iam.trust_policy import Place, TrustPolicy
from webhook.model.errors import InvalidPolicyError
from webhook.model.names import Subject

any_document = st.one_of(external_documents, stored_documents, shared_documents, hand_edited_documents)


def _external(document: dict[str, Any], own: OwnStatement = OWN) -> list[str]:
    """The text of each external statement: equal only when key order and list forms are too."""
    return [json.dumps(one) for one in as_list(document.get("Statement", [])) if one.get("Sid") != own.sid]


@given(any_document, subject_sets)
def test_external_statements_stay_exactly_as_read_and_in_their_order(
    document: dict[str, Any], wanted: frozenset[Subject]
) -> None:
    as_read = copy.deepcopy(document)
    changed = TrustPolicy.parse(document).with_subjects(OWN, wanted).document
    assert _external(changed) == _external(as_read)
    assert document == as_read


@given(any_document, subject_sets)
def test_id_and_version_and_the_order_of_keys_stay_as_read(
    document: dict[str, Any], wanted: frozenset[Subject]
) -> None:
    changed = TrustPolicy.parse(document).with_subjects(OWN, wanted).document
    assert list(changed) == list(document)
    assert {**changed, "Statement": None} == {**document, "Statement": None}


@given(stored_documents, subject_sets)
def test_our_statement_keeps_its_place_among_the_others(
    document: dict[str, Any], wanted: frozenset[Subject]
) -> None:
    def places(policy: TrustPolicy) -> list[int]:
        return [index for index, one in enumerate(policy.statements) if one.get("Sid") == OWN.sid]

    policy = TrustPolicy.parse(document)
    changed = policy.with_subjects(OWN, wanted)
    if wanted:
        assert places(changed) == (places(policy) or [len(policy.statements)])


@given(shared_documents, askings, subject_sets)
def test_two_clusters_and_two_installations_keep_each_others_statement(
    document: dict[str, Any], asked: list[Subject], keep: frozenset[Subject]
) -> None:
    before = TrustPolicy.parse(document)
    after = amend(before, OWN, keep, asked, 131072).policy
    for other in (OTHER_CLUSTER, OTHER_INSTALLATION):
        assert after.subjects(other) == before.subjects(other)


def test_a_second_cluster_keeps_the_first_clusters_statement() -> None:
    first = TrustPolicy.parse({"Statement": []}).with_subjects(OTHER_CLUSTER, SUBJECTS[:2])
    both = first.with_subjects(OWN, SUBJECTS[2:4])
    assert both.statements == [OTHER_CLUSTER.render(SUBJECTS[:2]), OWN.render(SUBJECTS[2:4])]
    assert both.with_subjects(OWN, ()).same_meaning(first)


@given(documents(allowing_statements), subjects)
def test_an_external_grant_is_claimed_exactly_where_the_evaluator_lets_the_subject_in(
    oracle: TrustOracle, document: dict[str, Any], subject: Subject
) -> None:
    claimed = TrustPolicy.parse(document).effects_on(OWN, subject).grant is not None
    assert claimed is lets_in(oracle, document, token(subject))


@given(stored_documents, subjects)
def test_an_external_grant_holds_without_our_statement_where_no_deny_does(
    oracle: TrustOracle, document: dict[str, Any], subject: Subject
) -> None:
    policy = TrustPolicy.parse(document)
    place = policy.effects_on(OWN, subject).grant
    if place is not None:
        alone = {**document, "Statement": [policy.statements[place.index]]}
        assert policy.statements[place.index].get("Sid") != OWN.sid
        assert lets_in(oracle, alone, token(subject))


@given(external_documents, subjects)
def test_a_denial_is_claimed_exactly_where_the_evaluator_denies_the_subject_of_our_statement(
    oracle: TrustOracle, document: dict[str, Any], subject: Subject
) -> None:
    policy = TrustPolicy.parse(document)
    kept_out = not lets_in(oracle, policy.with_subjects(OWN, [subject]).document, token(subject))
    assert (policy.effects_on(OWN, subject).denial is not None) is kept_out


@given(external_documents, subjects)
def test_a_denial_names_the_statement_that_denies(document: dict[str, Any], subject: Subject) -> None:
    policy = TrustPolicy.parse(document)
    place = policy.effects_on(OWN, subject).denial
    if place is not None:
        others = [one for index, one in enumerate(policy.statements) if index < place.index]
        assert policy.statements[place.index]["Effect"] == "Deny"
        assert TrustPolicy.parse({"Statement": others}).effects_on(OWN, subject).denial is None


@pytest.mark.parametrize("principal", ["*", {"AWS": "*"}, {"AWS": ["arn:aws:iam::210987654321:root", "*"]}])
def test_a_deny_for_every_principal_denies_a_web_identity(principal: object) -> None:
    # The evaluator knows web identities only (rig.oracle), so this is by the IAM User Guide, "Principal".
    deny = {"Effect": "Deny", "Principal": principal, "Action": "sts:*"}
    assert TrustPolicy.parse({"Statement": deny}).effects_on(OWN, SUBJECTS[0]).denial == Place(0, None)


def test_a_string_like_that_already_lets_the_subject_in_makes_the_grant_a_no_op() -> None:
    wildcard = {
        "Sid": "ByHand",
        "Effect": "Allow",
        "Principal": {"Federated": OWN.provider_arn},
        "Action": "sts:AssumeRoleWithWebIdentity",
        "Condition": {"StringLike": {OWN.subject_key: "system:serviceaccount:mxp-*-system:mxp-controller"}},
    }
    policy = TrustPolicy.parse({"Version": "2012-10-17", "Statement": [wildcard]})
    amendment = amend(policy, OWN, frozenset(), [SUBJECTS[0], SUBJECTS[5]], 2048)
    assert amendment.verdicts[SUBJECTS[0]].standing is Standing.EXTERNAL
    assert str(amendment.verdicts[SUBJECTS[0]].place) == "statement 1 (Sid ByHand)"
    assert amendment.policy.subjects(OWN) == {SUBJECTS[5]}


@pytest.mark.parametrize(
    "condition",
    [
        {"StringEquals": {"aws:SourceVpc": "vpc-1"}},
        {"Bool": {"aws:SecureTransport": "true"}},
        {"StringNotLike": {OWN.subject_key: "${aws:PrincipalTag/subject}"}},
        {"StringLike": {OWN.subject_key: ["*", 5]}},
        {"StringLike": {f"{OTHER_CLUSTER.issuer.key}:sub": "*"}},
        {"SomethingNew": {OWN.subject_key: "*"}},
        {"StringEquals": "nonsense"},
        "nonsense",
    ],
    ids=str,
)
@pytest.mark.parametrize("effect", ["Allow", "Deny"])
def test_a_condition_that_the_token_does_not_decide_is_no_grant_and_no_denial(
    effect: str, condition: object
) -> None:
    statement = {
        "Effect": effect,
        "Principal": {"Federated": OWN.provider_arn},
        "Action": "sts:AssumeRoleWithWebIdentity",
        "Condition": condition,
    }
    policy = TrustPolicy.parse({"Statement": [statement]})
    assert policy.effects_on(OWN, SUBJECTS[0]).grant is None
    assert policy.effects_on(OWN, SUBJECTS[0]).denial is None
    assert policy.effects_on(OWN, SUBJECTS[0]).possible_denial == (Place(0, None) if effect == "Deny" else None)


_GONE = ("AIDAJQABLZS4A3QDU576Q", "AROAEXAMPLEEXAMPLE123")


@given(st.lists(external_statements, max_size=3), st.permutations([*_GONE, "arn:aws:iam::210987654321:root"]))
def test_principals_of_deleted_users_and_roles_are_found_with_their_place(
    others: list[dict[str, Any]], principals: list[str]
) -> None:
    gone = {"Sid": "Old", "Effect": "Allow", "Principal": {"AWS": principals}, "Action": "sts:AssumeRole"}
    found = TrustPolicy.parse({"Statement": [*others, gone]}).dangling_principals()
    here = [(place, value) for place, value in found if place.index == len(others)]
    assert here == [(Place(len(others), "Old"), value) for value in principals if value in _GONE]
    assert str(here[0][0]) == f"statement {len(others) + 1} (Sid Old)"
    elsewhere = islice(found, len(found) - len(here))
    assert all("AROAEXAMPLEEXAMPLE123" in str(others[place.index]["Principal"]) for place, _ in elsewhere)


@given(any_document, subject_sets)
def test_dangling_principals_are_reported_and_never_stripped(
    document: dict[str, Any], wanted: frozenset[Subject]
) -> None:
    policy = TrustPolicy.parse(document)
    after = policy.with_subjects(OWN, wanted)
    assert [value for _, value in after.dangling_principals()] == [v for _, v in policy.dangling_principals()]


def test_names_of_living_principals_are_not_taken_for_ids() -> None:
    principals = ["arn:aws:iam::123456789012:user/AIDAJQABLZS4A3QDU576Q", "123456789012", "AIDA", "*"]
    statement = {"Effect": "Allow", "Principal": {"AWS": principals}, "Action": "sts:AssumeRole"}
    assert TrustPolicy.parse({"Statement": statement}).dangling_principals() == []


@pytest.mark.parametrize(
    "document", [None, "{}", [], {"Statement": None}, {"Statement": "x"}, {"Statement": [{}, "x"]}], ids=str
)
def test_a_document_that_is_no_policy_is_not_guessed_at(document: object) -> None:
    with pytest.raises(InvalidPolicyError, match="trust policy"):
        TrustPolicy.parse(document)
