"""Our own statement: always whole, one per issuer and installation, gone with its last subject."""

import re
from dataclasses import replace
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rig.oracle import TrustOracle
from tests.iam.judging import let_in, token
from tests.iam.policies import (
    ISSUER,
    OTHER_ISSUER,
    OWN,
    ROLE,
    SUBJECTS,
    external_documents,
    hand_edited_documents,
    hand_edited_statements,
    shared_documents,
    stored_documents,
    subject_sets,
)
from webhook.cli.trust_statements import names_subjects
from webhook.iam.amendment import amend
from webhook.iam.statement import OwnStatement
from webhook.iam.trust_policy import TrustPolicy, is_placeholder
from webhook.model.errors import InvalidNameError
from webhook.model.names import AUDIENCE, RoleArn, Subject

FORMER = {"Sid": "MxpIdentity0a1b2c3d", "Effect": "Allow", "Principal": {"Service": "pods.eks.amazonaws.com"}}

OTHER = OwnStatement.for_role(ROLE, OTHER_ISSUER, "mxp-identity")

any_document = st.one_of(external_documents, stored_documents, shared_documents, hand_edited_documents)


def _ours(policy: TrustPolicy) -> list[dict[str, Any]]:
    return [statement for statement in policy.statements if statement.get("Sid") == OWN.sid]


def _is_whole(statement: dict[str, Any], subjects: frozenset[Subject]) -> bool:
    """Every part that DESIGN names, whether as written or as IAM stored it."""
    condition = statement["Condition"]["StringEquals"]
    names = condition[OWN.subject_key]
    return (
        statement.keys() == {"Sid", "Effect", "Principal", "Action", "Condition"}
        and statement["Effect"] == "Allow"
        and statement["Principal"] in ({"Federated": OWN.provider_arn}, {"Federated": [OWN.provider_arn]})
        and statement["Action"] in ("sts:AssumeRoleWithWebIdentity", ["sts:AssumeRoleWithWebIdentity"])
        and statement["Condition"].keys() == {"StringEquals"}
        and condition.keys() == {OWN.audience_key, OWN.subject_key}
        and condition[OWN.audience_key] in ("sts.amazonaws.com", ["sts.amazonaws.com"])
        and sorted([names] if isinstance(names, str) else names) == sorted(map(str, subjects))
    )


@given(any_document, subject_sets)
def test_our_statement_is_there_once_and_whole_or_not_at_all(
    document: dict[str, Any], wanted: frozenset[Subject]
) -> None:
    written = TrustPolicy.parse(document).with_subjects(OWN, wanted)
    ours = [statement for statement in _ours(written) if not is_placeholder(statement, OWN)]
    assert len(ours) == (1 if wanted else 0)
    assert all(_is_whole(statement, wanted) for statement in ours)


@given(any_document, subject_sets)
def test_the_last_subject_leaving_takes_the_statement_with_it(
    oracle: TrustOracle, document: dict[str, Any], wanted: frozenset[Subject]
) -> None:
    policy = TrustPolicy.parse(document)
    left = policy.with_subjects(OWN, wanted).with_subjects(OWN, ())
    assert not names_subjects(left, OWN)
    assert left.statements or not policy.statements
    external = [statement for statement in policy.statements if statement.get("Sid") != OWN.sid]
    assert let_in(oracle, left.document) == let_in(oracle, {**document, "Statement": external})


@given(subject_sets.filter(bool), subject_sets.filter(bool))
def test_where_ours_is_the_only_one_its_last_subject_leaves_a_statement_that_allows_and_denies_nothing(
    oracle: TrustOracle, first: frozenset[Subject], second: frozenset[Subject]
) -> None:
    alone = TrustPolicy({"Version": "2012-10-17", "Statement": [OWN.render(first)]})
    left = alone.with_subjects(OWN, ())
    (statement,) = left.statements
    assert let_in(oracle, left.document) == set()
    assert statement["Effect"] == "Allow"
    assert statement["Condition"]["StringEquals"] == {OWN.audience_key: AUDIENCE, OWN.subject_key: ["nobody"]}
    assert (left.subjects(OWN), left.is_whole(OWN), names_subjects(left, OWN)) == (frozenset(), True, False)
    assert left.with_subjects(OWN, ()) is left
    assert left.size() <= alone.size()
    again = left.with_subjects(OWN, second)
    assert again.document == alone.with_subjects(OWN, second).document


def test_a_statement_that_allows_nothing_stays_beside_others_until_there_is_one_of_ours() -> None:
    others = OTHER.render(SUBJECTS[:1])
    beside = TrustPolicy({"Statement": [OWN.render_placeholder(), others]})
    assert beside.is_whole(OWN)
    assert beside.with_subjects(OWN, ()) is beside
    assert beside.with_subjects(OWN, SUBJECTS[:1]).statements == [OWN.render(SUBJECTS[:1]), others]
    amendment = amend(beside, OWN, frozenset(), SUBJECTS[:1], beside.size() + 80)
    assert amendment.policy.subjects(OWN) == set(SUBJECTS[:1])


def test_a_statement_without_subjects_cannot_even_be_rendered() -> None:
    with pytest.raises(ValueError, match="without subjects"):
        OWN.render(())


def test_one_installation_of_one_cluster_has_one_sid_and_any_other_another() -> None:
    parts = [(issuer, name) for issuer in (ISSUER, OTHER_ISSUER) for name in ("mxp-identity", "canary")]
    sids = {OwnStatement.for_role(ROLE, issuer, name).sid for issuer, name in parts}
    assert len(sids) == len(parts)
    assert OwnStatement.for_role(ROLE, ISSUER, "mxp-identity").sid == OWN.sid
    assert all(re.fullmatch(r"MxpIdentity[0-9a-f]{8}", sid) for sid in sids)


def test_the_sid_stays_what_it_was_in_policies_already_written() -> None:
    assert OWN.sid == "MxpIdentity502386c9"


def test_the_provider_is_of_the_roles_own_account_and_partition() -> None:
    role = RoleArn("arn:aws-cn:iam::210987654321:role/backup")
    own = OwnStatement.for_role(role, ISSUER, "mxp-identity")
    assert own.provider_arn == f"arn:aws-cn:iam::210987654321:oidc-provider/{ISSUER.key}"


@given(hand_edited_statements, hand_edited_statements)
def test_two_statements_under_our_sid_become_one(first: dict[str, Any], second: dict[str, Any]) -> None:
    policy = TrustPolicy.parse({"Statement": [first, second]})
    after = amend(policy, OWN, frozenset(), [SUBJECTS[3]], 131072).policy
    assert after.subjects(OWN) == policy.subjects(OWN) | {SUBJECTS[3]}
    assert len(_ours(after)) == 1


@pytest.mark.parametrize("character", ["*", "?", "$", "${aws:userid}", ":", " ", '"'])
@pytest.mark.parametrize("part", ["namespace", "service_account"])
def test_names_with_characters_that_mean_something_in_a_policy_are_refused(part: str, character: str) -> None:
    names = {"namespace": "mxp-a-system", "service_account": "mxp-controller"}
    with pytest.raises(InvalidNameError, match="is not the name of a"):
        Subject(**{**names, part: f"mxp{character}a"})


@given(
    st.text() | st.sampled_from([str(subject) for subject in SUBJECTS]).map(lambda name: name.replace("a", "*", 1))
)
def test_no_subject_holds_a_character_that_means_something_in_a_policy(claim: str) -> None:
    subject = Subject.parse(claim)
    assert subject is None or (str(subject) == claim and not set("*?$") & set(claim))


def test_patterns_put_into_our_statement_by_hand_are_not_carried_over(oracle: TrustOracle) -> None:
    edited = OWN.render(SUBJECTS[:1])
    edited["Condition"]["StringEquals"][OWN.subject_key] = [str(SUBJECTS[0]), "system:serviceaccount:*"]
    edited["Condition"]["StringLike"] = {OWN.subject_key: "system:serviceaccount:*"}
    after = amend(TrustPolicy.parse({"Statement": edited}), OWN, frozenset(), [SUBJECTS[1]], 2048).policy
    assert let_in(oracle, after.document) == {token(SUBJECTS[0]), token(SUBJECTS[1])}


def test_subjects_are_sorted_and_named_once() -> None:
    for order in permutations(SUBJECTS[:3]):
        rendered = OWN.render([*order, order[0]])
        names = rendered["Condition"]["StringEquals"][OWN.subject_key]
        assert names == sorted(str(subject) for subject in SUBJECTS[:3])


def test_names_under_our_key_in_any_case_are_still_ours() -> None:
    edited = OWN.render(SUBJECTS[:2])
    names = edited["Condition"]["StringEquals"].pop(OWN.subject_key)
    edited["Condition"]["StringEquals"][OWN.subject_key.upper()] = names
    assert TrustPolicy.parse({"Statement": edited}).subjects(OWN) == set(SUBJECTS[:2])


@pytest.mark.parametrize(
    "edit",
    [
        {"Effect": "Deny"},
        {"Condition": None},
        {"Condition": {"StringEquals": "nonsense"}},
        {"Condition": {"StringNotEquals": {OWN.subject_key: str(SUBJECTS[0])}}},
        {"Condition": {"StringLike": {OWN.subject_key: str(SUBJECTS[0])}}},
        {"Condition": {"StringEquals": {f"{OTHER_ISSUER.key}:sub": str(SUBJECTS[0])}}},
        {"Condition": {"StringEquals": {OWN.subject_key: [5, None, "nobody"]}}},
    ],
    ids=str,
)
def test_a_hand_edit_that_names_no_subject_makes_none_trusted(edit: dict[str, Any]) -> None:
    edited = {**OWN.render(SUBJECTS[:1]), **edit}
    assert TrustPolicy.parse({"Statement": edited}).subjects(OWN) == set()


@given(document=external_documents, subjects=subject_sets)
def test_a_former_statement_of_ours_goes_with_the_next_write_and_nothing_else_does(
    document: dict[str, Any], subjects: frozenset[Subject]
) -> None:
    own = replace(OWN, former=frozenset({str(FORMER["Sid"])}))
    without = TrustPolicy(document).with_subjects(OWN, subjects)
    if not without.statements:
        without = TrustPolicy({**without.document, "Statement": [OWN.render_placeholder()]})
    there = TrustPolicy({**without.document, "Statement": [FORMER, *without.statements]})
    assert not there.is_whole(own)
    after = there.with_subjects(own, there.subjects(own))
    assert after.same_meaning(without)
    assert after.is_whole(own)
