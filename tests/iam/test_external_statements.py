"""What external statements say of thousands of subjects is what each of them says of one."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.iam.policies import (
    OWN,
    SUBJECTS,
    external_documents,
    hand_edited_documents,
    shared_documents,
    stored_documents,
)
from webhook.iam.evaluation import allows, denies
from webhook.iam.external import ExternalStatements
from webhook.iam.statement import ASSUME_WITH_TOKEN
from webhook.iam.trust_policy import TrustPolicy

ODD: tuple[Any, ...] = (
    None,
    "*",
    [],
    {},
    {"StringLike": "*"},
    {"StringEquals": {OWN.subject_key: []}},
    {"StringLike": {OWN.subject_key: []}},
    {"StringEquals": {OWN.subject_key: True}},
    {"StringLike": {OWN.subject_key: ["${aws:username}", "*"]}},
    {"Null": {OWN.subject_key: "false"}},
    {"Null": {OWN.subject_key: "true"}},
    {"ArnLike": {OWN.subject_key: "*"}},
    {"StringLike": {OWN.subject_key: "*"}, "Bool": {"aws:SecureTransport": "true"}},
    {"StringLike": {OWN.subject_key: ["a|b", "*|*", "system:*", ".*", "(", "?"]}},
    {"StringNotEquals": {OWN.audience_key: "sts.amazonaws.com"}},
)
odd_statements = st.fixed_dictionaries(
    {
        "Effect": st.sampled_from(["Allow", "Deny", "allow"]),
        "Principal": st.sampled_from(["*", {"AWS": "*"}, {"Federated": OWN.provider_arn}, {"Federated": "*"}]),
        "Action": st.sampled_from(["sts:*", "sts:AssumeRoleWithWebIdentity", ["*"], [], 1]),
        "Condition": st.sampled_from(ODD),
    },
    optional={"NotPrincipal": st.just({"AWS": "*"}), "Resource": st.just("*")},
)
odd_documents = st.fixed_dictionaries({"Statement": st.lists(odd_statements, max_size=4)})


@given(external_documents | stored_documents | shared_documents | hand_edited_documents | odd_documents)
def test_they_say_of_each_subject_what_a_look_at_it_alone_says(document: dict[str, Any]) -> None:
    policy = TrustPolicy(document)
    external = ExternalStatements(policy, OWN)
    for subject in (*SUBJECTS, *SUBJECTS):
        request = "Federated", OWN.provider_arn, (ASSUME_WITH_TOKEN,), OWN.claims(subject)
        placed = policy.external(OWN)
        grants = [place for place, statement in placed if allows(statement, *request)]
        denials = [(place, denies(statement, *request)) for place, statement in placed]
        effects = external.effects_on(subject)
        assert effects.grant == next(iter(grants), None)
        assert effects.denial == next((place for place, answer in denials if answer), None)
        assert effects.possible_denial == next((place for place, answer in denials if answer is None), None)


@given(external_documents, external_documents)
def test_what_is_known_holds_of_a_policy_with_the_same_ones_and_of_no_other(
    document: dict[str, Any], other: dict[str, Any]
) -> None:
    policy = TrustPolicy(document)
    external = ExternalStatements(policy, OWN)
    assert external.are_of(policy.with_subjects(OWN, SUBJECTS[:1]), OWN)
    assert external.are_of(TrustPolicy(other), OWN) is (TrustPolicy(other).statements == policy.statements)
