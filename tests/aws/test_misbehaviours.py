"""Whatever comes back in place of AWS is one AwsError with the true reason; the next call is well again."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
from urllib3.util import connection

from rig.aws import AwsStandIn, TokenIssuer
from tests.aws.conftest import ROLE, Program, always, use
from tests.aws.test_associations import Eks
from tests.support.misbehaving import PAGE, Between, answer, dripping, dripping_last, endless, silent
from tests.support.pods import CLUSTER
from tests.support.samples import sample, samples
from tests.support.sites import ISSUER, own_in, subject
from tests.support.variants import variants
from webhook.aws.caller import CallerCheck
from webhook.aws.cluster import ClusterCheck, read_provider
from webhook.aws.trust_policies import AccountQuota
from webhook.cli.verify.assuming import keys_once_accepted
from webhook.model.aws_errors import AwsError, FailureKind
from webhook.podidentity.association import Listing

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator
    from pathlib import Path

PROVIDER = ISSUER.provider_arn("aws", "123456789012")
WELL_FORMED = b"<html><head><title>Welcome</title></head><body><p>Please log in</p></body></html>"
TRUNCATED = b'<GetRoleResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><GetRoleResult><Role><Path>/'
ENTITIES = b'<!DOCTYPE r [<!ENTITY a "%b">]><r>%b</r>' % (b"x" * 20_000, b"&a;" * 5_000)
NESTED, NESTED_JSON = b"<a>" * 12_000 + b"</a>" * 12_000, b"[" * 49_000
UNEXPECTED, UNAVAILABLE, THROTTLED = FailureKind.UNEXPECTED, FailureKind.UNAVAILABLE, FailureKind.THROTTLED

# What comes back, its kind, its code but for what the parser of the service calls it, and words of it.
TABLE: dict[str, tuple[Any, FailureKind, str | None, str]] = {
    "302 to a login": (answer(302, PAGE), UNEXPECTED, "HTTP_302", "HTTP 302, text/html"),
    "401 and a page": (answer(401, PAGE), UNEXPECTED, "HTTP_401", "Blocked by"),
    "403 and a page": (answer(403, PAGE), UNEXPECTED, "HTTP_403", "Blocked by"),
    "403 and a well-formed page": (answer(403, WELL_FORMED), UNEXPECTED, "HTTP_403", "Please log in"),
    "403 without a body": (answer(403, b""), UNEXPECTED, "HTTP_403", "no body"),
    "407 and a page": (answer(407, PAGE), UNEXPECTED, "HTTP_407", "does a proxy answer?"),
    "429 and a page": (answer(429, PAGE), THROTTLED, "HTTP_429", "HTTP 429"),
    "500 and a page": (answer(500, PAGE), UNAVAILABLE, "HTTP_500", "HTTP 500"),
    "503 and a short page": (answer(503, WELL_FORMED), UNAVAILABLE, "HTTP_503", "Please log in"),
    "an empty success": (answer(200, b""), UNEXPECTED, None, "HTTP 200, text/html"),
    "a page as a success": (answer(200, PAGE), UNEXPECTED, None, "HTTP 200, text/html"),
    "a well-formed page as a success": (answer(200, WELL_FORMED), UNEXPECTED, None, "HTTP 200, text/html"),
    "XML that stops": (answer(200, TRUNCATED), UNEXPECTED, None, "HTTP 200"),
    "a list as JSON": (answer(200, b"[1]", "application/json"), UNEXPECTED, None, "HTTP 200, application/json"),
    "an entity used many times": (answer(200, ENTITIES, "text/xml"), UNEXPECTED, None, "HTTP 200, text/xml"),
    "503 and an entity": (answer(503, ENTITIES, "text/xml"), UNAVAILABLE, "HTTP_503", "HTTP 503, text/xml"),
    "nested XML": (answer(200, NESTED, "text/xml"), UNEXPECTED, None, "HTTP 200, text/xml"),
    "nested JSON": (answer(200, NESTED_JSON, "application/json"), UNEXPECTED, None, "HTTP 200, application/json"),
    "403 and nested XML": (answer(403, NESTED, "text/xml"), UNEXPECTED, "HTTP_403", "HTTP 403, text/xml"),
    "XML in too many parts": (answer(200, b"<a/>" * 60_000), UNEXPECTED, "HTTPClientError", "more than"),
    "an endless body": (endless, UNEXPECTED, "HTTPClientError", "more than"),
    "no HTTP": (b"SSH-2.0-OpenSSH_9.6\r\n", UNAVAILABLE, "ConnectionClosedError", "closed"),
    "nothing, and the end": (b"", UNAVAILABLE, "ConnectionClosedError", "closed"),
}


class World:
    """A program that knows its identity and its cluster, with something between it and AWS."""

    def __init__(self, aws: AwsStandIn, between: Between) -> None:
        self.aws, self.between = aws, between
        self.program = Eks()
        self.keys = TokenIssuer(ISSUER.value)
        aws.add_issuer(self.keys.url, self.keys.jwks)
        document = self.keys.trust(str(subject(1)), account=aws.account)
        aws.admin_client("iam").update_assume_role_policy(RoleName=ROLE.name, PolicyDocument=document)
        self.policy = self.program.run(self.program.read())
        assert self.program.run(self.program.associations.list) == Listing({})

    def calls(self) -> dict[str, Callable[[], Coroutine[Any, Any, Any]]]:
        """One call of each kind, by the operation."""
        program, calls, token = self.program, self.program.calls, self.keys.token(str(subject(1)))
        return {
            "GetCallerIdentity": CallerCheck(calls).caller,
            "GetRole": program.read(),
            "UpdateAssumeRolePolicy": lambda: program.policies.write(ROLE, self.policy, always),
            "GetAccountSummary": AccountQuota(calls).characters,
            "GetOpenIDConnectProvider": lambda: read_provider(calls, PROVIDER),
            "AssumeRoleWithWebIdentity": lambda: keys_once_accepted(calls, ROLE, token, 0),
            "DescribeCluster": ClusterCheck(calls, program.caller, CLUSTER, lambda: ISSUER).confirm,
            "ListPodIdentityAssociations": program.associations.list,
        }


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    patch = pytest.MonkeyPatch()
    with AwsStandIn() as aws, Between(int(aws.url.rpartition(":")[2])) as between:
        use(patch, {**aws.environment(), "AWS_ENDPOINT_URL": between.url})
        iam = aws.admin_client("iam")
        iam.create_open_id_connect_provider(Url=ISSUER.value, ClientIDList=["sts.amazonaws.com"])
        iam.create_role(
            RoleName=ROLE.name, AssumeRolePolicyDocument=TokenIssuer(ISSUER.value).trust("a", account=aws.account)
        )
        aws.add_cluster(CLUSTER.name, ISSUER.value)
        world = World(aws, between)
        yield world
        world.program.calls.close()
    patch.undo()


def _counted(operation: str, code: str) -> float:
    labels = {"operation": operation, "code": code}
    return sample("mxp_identity_aws_request_duration_seconds_count", labels) or 0.0


def _failed(operation: str, code: str | None) -> float:
    """How many failed, with the code or with any."""
    return sum(
        one.value
        for one in samples("mxp_identity_aws_request_duration_seconds_count")
        if one.labels["operation"] == operation
        and one.labels["code"] != "OK"
        and code in {None, one.labels["code"]}
    )


@pytest.mark.parametrize("name", variants(TABLE, *list(TABLE)[::3]))
def test_each_call_says_what_came_back_and_is_well_again_afterwards(world: World, name: str) -> None:
    how, kind, code, words = TABLE[name]
    for operation, call in world.calls().items():
        world.between.misbehave(how)
        failed, well = _failed(operation, code), _counted(operation, "OK")
        with pytest.raises(AwsError) as raised:
            asyncio.run(call())
        said = str(raised.value)
        assert (operation, raised.value.kind) == (operation, kind), said
        assert words in said
        assert said.startswith(f"{operation}: ")
        assert said.isprintable()
        assert len(said) <= 400
        assert (_failed(operation, code), _counted(operation, "OK")) == (failed + 1, well), said
        world.between.misbehave(None)
        asyncio.run(call())
        assert _counted(operation, "OK") == well + 1


@pytest.mark.parametrize(
    ("how", "code"),
    [(silent, "ReadTimeoutError"), (dripping, "TimeoutError"), (dripping_last, "TimeoutError")],
)
def test_a_call_ends_in_time_however_slowly_its_answer_comes(
    world: World, monkeypatch: pytest.MonkeyPatch, how: Callable[..., None], code: str
) -> None:
    monkeypatch.setattr(world.program.calls, "_longest", 4.0)
    before = _counted("GetRole", code)
    world.between.misbehave(how)
    refused = world.program.refused(world.program.read())
    asyncio.run(asyncio.sleep(0.1))
    assert _counted("GetRole", code) == before + 1
    world.between.misbehave(None)
    assert refused.kind is UNAVAILABLE
    assert world.program.run(world.program.read()).statements


def test_a_thousand_slow_answers_leave_no_thread_behind(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(world.program.calls, "_longest", 0.5)
    world.between.misbehave(dripping)

    async def many() -> list[Any]:
        return await asyncio.gather(
            *(world.program.policies.read(ROLE) for _ in range(40)), return_exceptions=True
        )

    assert all(isinstance(one, AwsError) for one in asyncio.run(many()))
    world.between.misbehave(None)
    monkeypatch.setattr(world.program.calls, "_longest", 10.0)
    assert world.program.run(world.program.read()).statements


def test_a_write_that_has_waited_for_its_connection_is_not_sent_once_its_time_is_over(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[object] = []
    connect = connection.create_connection

    def counting(*arguments: Any, **named: Any) -> Any:
        made = connect(*arguments, **named)
        opened.append(made)
        return made

    monkeypatch.setattr(connection, "create_connection", counting)
    world.aws.forget_calls()
    program = Eks()  # it has no connection yet
    refused = program.refused(lambda: program.policies.write(ROLE, world.policy, lambda: len(opened) < 2))
    assert refused.kind is UNAVAILABLE
    assert "would not have outlasted the write" in str(refused)
    assert [world.aws.count(name) for name in ("GetCallerIdentity", "UpdateAssumeRolePolicy")] == [1, 0]


def test_a_write_that_has_waited_for_its_credentials_is_not_sent_once_its_time_is_over(world: World) -> None:
    world.aws.forget_calls()
    refused = world.program.refused(lambda: world.program.policies.write(ROLE, world.policy, lambda: False))
    assert refused.kind is UNAVAILABLE
    assert "would not have outlasted the write" in str(refused)
    assert world.aws.count("UpdateAssumeRolePolicy") == 0
    grown = world.policy.with_subjects(own_in(ROLE), [subject(2)])
    world.program.run(lambda: world.program.policies.write(ROLE, grown, always))
    assert world.aws.count("UpdateAssumeRolePolicy") == 1


def test_a_code_that_iam_does_not_have_is_counted_by_its_status(world: World) -> None:
    body = b"<ErrorResponse><Error><Code>Made.Up7</Code><Message>no</Message></Error></ErrorResponse>"
    world.between.misbehave(answer(418, body, "text/xml"))
    before = _counted("GetRole", "HTTP_418")
    refused = world.program.refused(world.program.read())
    world.between.misbehave(None)
    assert (refused.kind, str(refused)) == (UNEXPECTED, "GetRole: Made.Up7: no")
    assert _counted("GetRole", "HTTP_418") == before + 1


def test_credentials_in_an_answer_that_cannot_be_read_are_not_shown(
    aws: AwsStandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = b"<AssumeRoleWithWebIdentityResponse><Credentials><SecretAccessKey>hush</SecretAccessKey><Sess"
    (tmp_path / "token").write_text("a-token")
    with Between(0) as between:
        own = f"arn:aws:iam::{aws.account}:role/webhook"
        given = aws.environment(role_arn=own, token_file=tmp_path / "token")
        use(monkeypatch, {**given, "AWS_ENDPOINT_URL": between.url})
        between.misbehave(answer(200, body, "text/xml"))
        program = Program()
        refused = program.refused(program.read())
        program.calls.close()
    assert refused.kind is UNEXPECTED
    assert "no AWS credentials: HTTP 200, text/xml" in str(refused)
    assert "hush" not in str(refused)


WRONG_TYPES = [
    {"associations": "abc"},
    {"associations": [7]},
    {"associations": [{"namespace": 5, "serviceAccount": "a", "associationId": "a-1234567"}]},
    {"associations": [{"namespace": "a", "serviceAccount": "a"}]},
    {"associations": [None]},
    {"associations": [], "nextToken": {"a": 1}},
    {"associations": None},
]


@pytest.mark.parametrize("body", WRONG_TYPES, ids=repr)
def test_values_of_another_type_are_not_awss_answer(world: World, body: object) -> None:
    page = answer(200, json.dumps(body).encode(), "application/json").replace(
        b"\r\n", b"\r\nx-amzn-RequestId: 1\r\n", 1
    )
    world.between.misbehave(page)
    refused = world.program.refused(world.program.associations.list)
    world.between.misbehave(None)
    assert refused.kind is UNEXPECTED
