"""The program never touches its own role, one of another account, or any role before its identity is known."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from rig.aws import Refuse
from tests.aws.conftest import ROLE, Program, always
from webhook.aws.caller import Caller
from webhook.iam.trust_policy import TrustPolicy
from webhook.model.aws_errors import FailureKind
from webhook.model.names import RoleArn

if TYPE_CHECKING:
    from rig.aws import AwsStandIn

OWN_ROLE = RoleArn("arn:aws:iam::123456789012:role/webhook")
ELSEWHERE = RoleArn("arn:aws:iam::210987654321:role/mxp-backup")
ROLE_CALLS = {"GetRole", "UpdateAssumeRolePolicy"}


def _touched(aws: AwsStandIn) -> set[str]:
    return {record.action for record in aws.log} & ROLE_CALLS


def test_in_a_pod_the_program_knows_itself_and_reads_what_it_is_bound_to(
    program_in_a_pod: Program, aws: AwsStandIn
) -> None:
    caller: Caller = program_in_a_pod.run(program_in_a_pod.caller.caller)
    assert caller.account == aws.account
    assert caller.arn.startswith("arn:aws:sts::123456789012:assumed-role/webhook/")
    assert program_in_a_pod.run(program_in_a_pod.read()).statements


@pytest.mark.parametrize("operation", ["read", "write"])
def test_its_own_role_is_refused(program_in_a_pod: Program, aws: AwsStandIn, operation: str) -> None:
    refusal = program_in_a_pod.refused(
        program_in_a_pod.read(OWN_ROLE)
        if operation == "read"
        else lambda: program_in_a_pod.policies.write(OWN_ROLE, TrustPolicy({"Statement": []}), always)
    )
    assert refusal.kind is FailureKind.NOT_ALLOWED
    assert "the role that this program runs as" in str(refusal)
    assert _touched(aws) == set()


@pytest.mark.parametrize("operation", ["read", "write"])
def test_a_role_of_another_account_is_refused(program: Program, aws: AwsStandIn, operation: str) -> None:
    refusal = program.refused(
        program.read(ELSEWHERE)
        if operation == "read"
        else lambda: program.policies.write(ELSEWHERE, TrustPolicy({"Statement": []}), always)
    )
    assert refusal.kind is FailureKind.NOT_ALLOWED
    assert "210987654321" in str(refusal)
    assert "mode annotate" in str(refusal)
    assert _touched(aws) == set()


def test_until_aws_confirms_its_identity_nothing_is_read_or_written(program: Program, aws: AwsStandIn) -> None:
    aws.switch_on(Refuse(actions=("GetCallerIdentity",)))
    write = lambda: program.policies.write(ROLE, TrustPolicy({"Statement": []}), always)  # noqa: E731
    for attempt in (program.read(), write):
        refusal = program.refused(attempt)
        assert refusal.kind is FailureKind.UNAVAILABLE
        assert str(refusal).startswith("GetCallerIdentity: ")
    assert _touched(aws) == set()
    aws.clear_faults()
    assert program.run(program.read()).statements


def test_it_asks_only_once_for_its_identity(program: Program, aws: AwsStandIn) -> None:
    program.run(program.read(), program.read(), program.read())
    assert aws.count("GetCallerIdentity") == 1


SESSION = "arn:aws:sts::123456789012:assumed-role/webhook/session"


@pytest.mark.parametrize(
    ("arn", "role", "itself"),
    [
        (SESSION, "arn:aws:iam::123456789012:role/webhook", True),
        (SESSION, "arn:aws:iam::123456789012:role/some/path/webhook", True),
        (SESSION, "arn:aws:iam::123456789012:role/Webhook", True),
        (SESSION, "arn:aws:iam::123456789012:role/webhook2", False),
        (SESSION, "arn:aws:iam::210987654321:role/webhook", False),
        (SESSION.replace("arn:aws:", "arn:aws-cn:"), "arn:aws-cn:iam::123456789012:role/webhook", True),
        ("arn:aws:iam::123456789012:user/webhook", "arn:aws:iam::123456789012:role/webhook", False),
        ("arn:aws:iam::123456789012:root", "arn:aws:iam::123456789012:role/root", False),
    ],
)
def test_a_session_is_known_by_the_name_of_its_role_without_path_or_case(
    arn: str,
    role: str,
    itself: bool,  # noqa: FBT001
) -> None:
    assert Caller(arn, "123456789012").runs_as(RoleArn(role)) is itself
