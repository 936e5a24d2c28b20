"""The call that a pod makes with its token, and how long STS takes to accept it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from rig.aws import Hang, Stale, TokenIssuer
from tests.aws.conftest import ROLE
from tests.support.sites import ISSUER, subject
from webhook.cli.verify.assuming import keys_once_accepted

if TYPE_CHECKING:
    from rig.aws import AwsStandIn
    from tests.aws.conftest import Program

SUBJECT = subject(1)


@pytest.fixture
def keys(aws: AwsStandIn) -> TokenIssuer:
    """The cluster's keys, and from now on the role trusts one of its ServiceAccounts."""
    keys = TokenIssuer(ISSUER.value)
    aws.add_issuer(keys.url, keys.jwks)
    document = keys.trust(str(SUBJECT), account=aws.account)
    aws.admin_client("iam").update_assume_role_policy(RoleName=ROLE.name, PolicyDocument=document)
    return keys


def test_a_token_that_is_accepted_at_once_takes_no_time(program: Program, keys: TokenIssuer) -> None:
    assert _seconds(program, keys) < 1


def test_sts_that_sees_the_trust_later_is_asked_until_it_does(
    program: Program, aws: AwsStandIn, keys: TokenIssuer
) -> None:
    with aws.fault(Stale(seconds=1.5, actions=("AssumeRoleWithWebIdentity",))):
        assert 1 <= _seconds(program, keys) < 5


def test_a_subject_that_is_not_trusted_is_refused_in_the_words_of_sts(program: Program, keys: TokenIssuer) -> None:
    token = keys.token(str(subject(2)))
    refused = program.refused(lambda: keys_once_accepted(program.calls, ROLE, token, 0))
    assert str(refused).startswith("AssumeRoleWithWebIdentity: AccessDenied: ")


def test_sts_that_does_not_answer_is_given_up_soon(program: Program, aws: AwsStandIn, keys: TokenIssuer) -> None:
    token = keys.token(str(SUBJECT))
    with aws.fault(Hang(actions=("AssumeRoleWithWebIdentity",))):
        refused = program.refused(lambda: keys_once_accepted(program.calls, ROLE, token, 0))
    assert "timed out" in str(refused)


def _seconds(program: Program, keys: TokenIssuer) -> float:
    token = keys.token(str(SUBJECT))
    _, seconds = program.run(lambda: keys_once_accepted(program.calls, ROLE, token, 30))
    return float(seconds)
