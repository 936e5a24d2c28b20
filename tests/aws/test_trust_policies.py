"""Reading and writing trust policies: what IAM has is what comes back, and what it says has a kind."""

from __future__ import annotations

import asyncio
import json
import re
import time
from typing import TYPE_CHECKING, Any

import pytest

from rig.aws import Deny, FailAfterwards, Hang, LoseAnswer, Refuse, Reorder, Throttle
from tests.aws.conftest import ROLE, Program, always
from tests.support.sites import own_in, role, subject
from webhook.iam.trust_policy import TrustPolicy
from webhook.model.aws_errors import FailureKind
from webhook.model.names import RoleArn

if TYPE_CHECKING:
    from rig.aws import AwsStandIn, Fault

OWN = own_in(ROLE)


def _grown(policy: TrustPolicy, *numbers: int) -> TrustPolicy:
    return policy.with_subjects(OWN, [subject(number) for number in numbers])


def test_what_was_written_is_read_back_with_everything_of_others(program: Program, aws: AwsStandIn) -> None:
    before: TrustPolicy = program.run(program.read())
    program.run(lambda: program.policies.write(ROLE, _grown(before, 1, 2), always))
    after: TrustPolicy = program.run(program.read())
    assert after.subjects(OWN) == {subject(1), subject(2)}
    assert after.with_subjects(OWN, ()).same_meaning(before)
    assert after.document["Id"] == "made-by-terraform"
    assert " " not in aws.history(ROLE.name)[-1].document


def test_a_policy_in_the_order_that_iam_likes_means_the_same(program: Program, aws: AwsStandIn) -> None:
    before: TrustPolicy = program.run(program.read())
    program.run(lambda: program.policies.write(ROLE, _grown(before, 1), always))
    aws.switch_on(Reorder(seed=3))
    assert program.run(program.read()).same_meaning(_grown(before, 1))


def test_one_read_and_one_write_are_one_request_each(program: Program, aws: AwsStandIn) -> None:
    policy: TrustPolicy = program.run(program.read())
    aws.forget_calls()
    program.run(program.read(), lambda: program.policies.write(ROLE, _grown(policy, 1), always))
    assert [(record.action, record.code) for record in aws.log] == [
        ("GetRole", "OK"),
        ("UpdateAssumeRolePolicy", "OK"),
    ]


KINDS: list[tuple[Fault, FailureKind, str]] = [
    (Deny(), FailureKind.ACCESS_DENIED, "not authorized to perform"),
    (Deny(explicit=True), FailureKind.ACCESS_DENIED, "explicit deny"),
    (Throttle(rate=0.001, burst=0.5), FailureKind.THROTTLED, "Rate exceeded"),
    (Refuse(), FailureKind.UNAVAILABLE, "ServiceFailure"),
    (Refuse(code="ServiceUnavailable", status=503), FailureKind.UNAVAILABLE, "ServiceUnavailable"),
    (Refuse(code="InternalFailure", status=500), FailureKind.UNAVAILABLE, "InternalFailure"),
    (Refuse(code="NobodyKnowsThisOne", status=400), FailureKind.UNEXPECTED, "NobodyKnowsThisOne"),
    (Refuse(code="ThrottlingException", status=400), FailureKind.THROTTLED, "ThrottlingException"),
    (Refuse(code="RequestLimitExceeded", status=503), FailureKind.THROTTLED, "RequestLimitExceeded"),
    (Refuse(code="InvalidClientTokenId", status=403), FailureKind.UNEXPECTED, "InvalidClientTokenId"),
    (Refuse(code="ExpiredToken", status=403), FailureKind.UNEXPECTED, "ExpiredToken"),
    (Refuse(code="SignatureDoesNotMatch", status=403), FailureKind.UNEXPECTED, "SignatureDoesNotMatch"),
    (Refuse(code="UnrecognizedClientException", status=403), FailureKind.UNEXPECTED, "UnrecognizedClient"),
    (
        Refuse(code="MissingAuthenticationToken", status=403),
        FailureKind.UNEXPECTED,
        "MissingAuthenticationToken",
    ),
    (Refuse(code="UnmodifiableEntity", status=400), FailureKind.NOT_ALLOWED, "UnmodifiableEntity"),
    (Refuse(code="ValidationError", status=400), FailureKind.MALFORMED, "ValidationError"),
    (FailAfterwards(), FailureKind.UNAVAILABLE, "ServiceFailure"),
    (LoseAnswer(), FailureKind.UNAVAILABLE, "UpdateAssumeRolePolicy"),
    (LoseAnswer(applied=False), FailureKind.UNAVAILABLE, "UpdateAssumeRolePolicy"),
]


OF_CREDENTIALS = {"InvalidClientTokenId", "ExpiredToken", "SignatureDoesNotMatch", "UnrecognizedClient"}
"""What is wrong is the credentials and not the operation, so the message does not name one."""


@pytest.mark.parametrize(("fault", "kind", "words"), KINDS, ids=lambda value: getattr(value, "code", None))
def test_each_error_has_its_kind_its_operation_and_awss_own_words(
    program: Program, aws: AwsStandIn, fault: Fault, kind: FailureKind, words: str
) -> None:
    policy: TrustPolicy = program.run(program.read())
    aws.forget_calls()
    aws.switch_on(fault)
    refusal = program.refused(lambda: program.policies.write(ROLE, _grown(policy, 1), always))
    assert refusal.kind is kind
    is_of_credentials = re.match(
        r"(the AWS credentials have expired|AWS does not accept the credentials) \(", str(refusal)
    )
    assert is_of_credentials or str(refusal).startswith("UpdateAssumeRolePolicy: ")
    assert bool(is_of_credentials) == (words in OF_CREDENTIALS)
    assert words in str(refusal)
    assert aws.count("UpdateAssumeRolePolicy") == 1, "boto3 must not retry by itself"


def test_a_document_over_the_quota_is_full(program: Program, aws: AwsStandIn) -> None:
    policy: TrustPolicy = program.run(program.read())
    aws.quota = 1000
    refusal = program.refused(lambda: program.policies.write(ROLE, _grown(policy, *range(9)), always))
    assert refusal.kind is FailureKind.FULL
    assert "ACLSizePerRole: 1000" in str(refusal)


def test_a_deleted_principal_is_malformed_and_its_place_can_be_found(program: Program, aws: AwsStandIn) -> None:
    stranger = "arn:aws:iam::210987654321:user/gone"
    policy: TrustPolicy = program.run(program.read())
    document = {**policy.document, "Statement": [*policy.statements, _statement(stranger)]}
    program.run(lambda: program.policies.write(ROLE, TrustPolicy(document), always))
    aws.delete_principal(stranger)
    policy = program.run(program.read())
    (place, principal) = policy.dangling_principals()[0]
    assert str(place) == "statement 3"
    assert principal.startswith("AIDA")
    refusal = program.refused(lambda: program.policies.write(ROLE, _grown(policy, 1), always))
    assert refusal.kind is FailureKind.MALFORMED
    assert principal in str(refusal)


def _statement(principal: str) -> dict[str, Any]:
    return {"Effect": "Allow", "Principal": {"AWS": principal}, "Action": "sts:AssumeRole"}


def test_a_role_that_is_not_there_is_reported_as_that(program: Program) -> None:
    refusal = program.refused(program.read(role("not-created")))
    assert refusal.kind is FailureKind.NO_SUCH_ROLE
    assert "not-created" in str(refusal)


def test_a_role_of_the_same_name_under_another_path_is_refused(program: Program) -> None:
    bound = RoleArn("arn:aws:iam::123456789012:role/teams/a/mxp-backup")
    refusal = program.refused(program.read(bound))
    assert refusal.kind is FailureKind.NO_SUCH_ROLE
    assert ROLE.value in str(refusal)
    assert bound.value in str(refusal)
    assert "correct the ARN" in str(refusal)


def test_a_role_under_a_path_is_found_by_its_name(program: Program, aws: AwsStandIn) -> None:
    aws.admin_client("iam").create_role(
        RoleName="deep",
        Path="/teams/a/",
        AssumeRolePolicyDocument=json.dumps(program.run(program.read()).document),
    )
    assert program.run(program.read(RoleArn("arn:aws:iam::123456789012:role/teams/a/deep"))).statements


def test_a_service_that_hangs_is_given_up_after_three_seconds(program: Program, aws: AwsStandIn) -> None:
    program.run(program.read())
    aws.switch_on(Hang(actions=("GetRole",)))
    started = time.monotonic()
    refusal = program.refused(program.read())
    assert 2.5 < time.monotonic() - started < 4
    assert refusal.kind is FailureKind.UNAVAILABLE
    assert "timed out" in str(refusal)


def test_an_endpoint_without_a_server_is_unavailable(as_root: None, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ARG001
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    program = Program()
    refusal = program.refused(program.read())
    assert refusal.kind is FailureKind.UNAVAILABLE
    program.calls.close()


def test_no_credentials_say_nothing_of_the_role(as_root: None, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ARG001
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    program = Program()
    refusal = program.refused(program.read())
    assert refusal.kind is FailureKind.UNEXPECTED
    assert "credentials" in str(refusal).lower()
    program.calls.close()


def test_the_quota_is_asked_once(program: Program, aws: AwsStandIn) -> None:
    aws.quota = 4096
    assert program.run(program.policies.quota, program.policies.quota) == 4096
    assert aws.count("GetAccountSummary") == 1


def test_a_quota_that_was_raised_is_seen_when_it_is_asked_again(
    program: Program, aws: AwsStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webhook.aws.trust_policies._QUOTA_AGE", 0.0)
    assert program.run(program.policies.quota) == 2048
    aws.quota = 8192
    assert program.run(program.policies.quota) == 8192


def test_without_the_right_to_ask_the_quota_is_iams_default(program: Program, aws: AwsStandIn) -> None:
    aws.quota = 4096
    aws.switch_on(Deny(actions=("GetAccountSummary",)))
    assert program.run(program.policies.quota) == 2048


def test_a_first_quota_that_cannot_be_had_is_not_guessed(program: Program, aws: AwsStandIn) -> None:
    aws.switch_on(Throttle(actions=("GetAccountSummary",), rate=0.001, burst=0.5))
    assert program.refused(program.policies.quota).kind is FailureKind.THROTTLED


@pytest.mark.parametrize("fault", [Refuse, Deny])
def test_a_quota_that_was_known_is_good_enough_while_it_cannot_be_asked_again(
    program: Program, aws: AwsStandIn, monkeypatch: pytest.MonkeyPatch, fault: type[Refuse | Deny]
) -> None:
    monkeypatch.setattr("webhook.aws.trust_policies._QUOTA_AGE", 0.0)
    aws.quota = 4096
    program.run(program.policies.quota)
    aws.switch_on(fault(actions=("GetAccountSummary",)))
    assert program.run(program.policies.quota) == 4096


@pytest.mark.parametrize("code", ["ExpiredToken", "InvalidClientTokenId", "SignatureDoesNotMatch"])
def test_credentials_that_aws_does_not_take_say_nothing_of_the_quota(
    program: Program, aws: AwsStandIn, code: str
) -> None:
    aws.quota = 8192
    aws.switch_on(Refuse(code=code, status=403))
    assert program.refused(program.policies.quota).kind is FailureKind.UNEXPECTED
    aws.clear_faults()
    assert program.run(program.policies.quota) == 8192


def test_without_credentials_the_quota_is_not_guessed(
    program: Program, aws: AwsStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    aws.quota = 8192
    with monkeypatch.context() as without:
        without.delenv("AWS_ACCESS_KEY_ID")
        without.delenv("AWS_SECRET_ACCESS_KEY")
        assert program.refused(program.policies.quota).kind is FailureKind.UNEXPECTED
    assert program.run(program.policies.quota) == 8192


def test_many_roles_wait_for_one_answer_about_the_quota_and_share_its_failure(
    program: Program, aws: AwsStandIn
) -> None:
    async def all_at_once() -> list[int | BaseException]:
        return await asyncio.gather(*(program.policies.quota() for _ in range(20)), return_exceptions=True)

    aws.switch_on(Hang(actions=("GetAccountSummary",)))
    started = time.monotonic()
    failed = program.run(all_at_once)
    assert time.monotonic() - started < 5
    assert {error.kind for error in failed} == {FailureKind.UNAVAILABLE}
    aws.clear_faults()
    assert program.run(all_at_once) == [2048] * 20
    assert aws.count("GetAccountSummary") == 2
