"""The program's own AWS clients, unmodified boto3, against the stand-in over real HTTP."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest

from rig.aws import AwsStandIn, TokenIssuer
from tests.support.quiet import _nothing_unexpected
from tests.support.sites import ELSEWHERE, ISSUER, external_document, role
from webhook.aws.caller import CallerCheck
from webhook.aws.calls import AwsCalls
from webhook.aws.trust_policies import AccountQuota, IamTrustPolicies
from webhook.model.aws_errors import AwsError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator
    from pathlib import Path
    from typing import Any

    from webhook.model.names import RoleArn

__all__ = ["_nothing_unexpected"]

ROLE = role()


class Program:
    """What the program has of AWS, in one process; `run` is one run of its loop."""

    def __init__(self) -> None:
        self.calls = AwsCalls()
        self.caller = CallerCheck(self.calls)
        self.quota = AccountQuota(self.calls)
        self.policies = IamTrustPolicies(self.calls, self.caller, self.quota)

    def run(self, *work: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        """Do one thing after another; answers what the last one answered."""

        async def all_of_it() -> Any:
            result = None
            for one in work:
                result = await one()
            return result

        return asyncio.run(all_of_it())

    def refused(self, *work: Callable[[], Coroutine[Any, Any, Any]]) -> AwsError:
        """The same, where the last thing has to be refused."""
        with pytest.raises(AwsError) as refusal:
            self.run(*work)
        return refusal.value

    def read(self, one: RoleArn = ROLE) -> Callable[[], Coroutine[Any, Any, Any]]:
        """Reading a role."""
        return lambda: self.policies.read(one)


@pytest.fixture(scope="module")
def _server() -> Iterator[AwsStandIn]:
    with AwsStandIn() as server:
        iam = server.admin_client("iam")
        for url in (ISSUER.value, ELSEWHERE.value):
            iam.create_open_id_connect_provider(Url=url, ClientIDList=["sts.amazonaws.com"])
        iam.create_role(RoleName=ROLE.name, AssumeRolePolicyDocument=_starting_document())
        yield server


@pytest.fixture
def aws(_server: AwsStandIn) -> Iterator[AwsStandIn]:
    """The stand-in with one role and two OIDC providers."""
    _server.clear_faults()
    _server.quota = 2048
    _server.admin_client("iam").update_assume_role_policy(RoleName=ROLE.name, PolicyDocument=_starting_document())
    _server.forget_calls()
    yield _server
    _server.clear_faults()


@pytest.fixture
def as_root(aws: AwsStandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of an administrator."""
    use(monkeypatch, aws.environment())


@pytest.fixture
def program(as_root: None) -> Iterator[Program]:  # noqa: ARG001
    """The program as an administrator."""
    program = Program()
    yield program
    program.calls.close()


@pytest.fixture
def program_in_a_pod(aws: AwsStandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Program]:
    """The program as in a pod: with a role of its own by web identity, which may do everything."""
    keys = TokenIssuer(ISSUER.value)
    aws.add_issuer(keys.url, keys.jwks)
    iam = aws.admin_client("iam")
    subject = "system:serviceaccount:mxp-identity:webhook"
    if "webhook" not in {one["RoleName"] for one in iam.list_roles()["Roles"]}:
        iam.create_role(RoleName="webhook", AssumeRolePolicyDocument=keys.trust(subject, account=aws.account))
        everything = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}
        iam.put_role_policy(RoleName="webhook", PolicyName="all", PolicyDocument=json.dumps(everything))
    token = tmp_path / "token"
    token.write_text(keys.token(subject))
    own_role = f"arn:aws:iam::{aws.account}:role/webhook"
    use(monkeypatch, aws.environment(role_arn=own_role, token_file=token))
    aws.forget_calls()
    program = Program()
    yield program
    program.calls.close()


def always() -> bool:
    """A write may be sent."""
    return True


def use(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]) -> None:
    """Have the AWS SDK find this environment and nothing else."""
    for name, value in environment.items():
        if name.startswith("AWS_") or name.upper() == "NO_PROXY":
            monkeypatch.setenv(name, value)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        if name not in environment:
            monkeypatch.delenv(name, raising=False)


def _starting_document() -> str:
    document = external_document(ROLE)
    document["Statement"][0]["Principal"]["AWS"] = "arn:aws:iam::123456789012:root"
    return json.dumps(document)
