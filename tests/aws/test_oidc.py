"""Whether STS would accept the cluster's tokens at all, in words that say what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from rig.aws import Deny
from tests.support.sites import ISSUER
from webhook.aws.cluster import read_provider
from webhook.model.aws_errors import FailureKind
from webhook.model.names import IssuerUrl

if TYPE_CHECKING:
    from rig.aws import AwsStandIn
    from tests.aws.conftest import Program

PROVIDER = ISSUER.provider_arn("aws", "123456789012")


def _problem(program: Program, provider: str = PROVIDER) -> str | None:
    found = program.run(lambda: read_provider(program.calls, provider))
    return found.problem and f"{found.problem}; {found.fix}"


def test_a_provider_with_the_right_audience_is_no_problem(program: Program) -> None:
    assert _problem(program) is None


def test_a_provider_that_is_not_there_comes_with_the_command_that_makes_it(program: Program) -> None:
    other = IssuerUrl(f"https://oidc.eks.eu-west-1.amazonaws.com/id/{'C3' * 16}")
    problem = _problem(program, other.provider_arn("aws", "123456789012"))
    assert problem is not None
    assert f"create-open-id-connect-provider --url {other} --client-id-list sts.amazonaws.com" in problem


def test_a_provider_without_the_audience_comes_with_the_command_that_adds_it(
    program: Program, aws: AwsStandIn
) -> None:
    iam = aws.admin_client("iam")
    iam.remove_client_id_from_open_id_connect_provider(
        OpenIDConnectProviderArn=PROVIDER, ClientID="sts.amazonaws.com"
    )
    problem = _problem(program)
    iam.add_client_id_to_open_id_connect_provider(OpenIDConnectProviderArn=PROVIDER, ClientID="sts.amazonaws.com")
    assert problem is not None
    assert f"--open-id-connect-provider-arn {PROVIDER} --client-id sts.amazonaws.com" in problem
    assert _problem(program) is None


@pytest.mark.parametrize("explicit", [False, True])
def test_a_provider_that_may_not_be_looked_at_is_not_called_missing(
    program: Program,
    aws: AwsStandIn,
    explicit: bool,  # noqa: FBT001
) -> None:
    aws.switch_on(Deny(actions=("GetOpenIDConnectProvider",), explicit=explicit))
    refusal = program.refused(lambda: read_provider(program.calls, PROVIDER))
    assert refusal.kind is FailureKind.ACCESS_DENIED
