"""Without credentials of its own the program lives, each call says why, and it goes on when their source does."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import os
import time
from typing import TYPE_CHECKING, Any

import pytest

from rig.waiting import eventually
from tests.aws.conftest import Program, use
from tests.support.misbehaving import PAGE, Between, answer, dripping, silent
from webhook.model.aws_errors import AwsError, FailureKind

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from rig.aws import AwsStandIn

UNEXPECTED, UNAVAILABLE = FailureKind.UNEXPECTED, FailureKind.UNAVAILABLE
JSON = "application/json"


def _credentials(**changed: Any) -> bytes:
    """What the agent answers; None removes a field."""
    ends = dt.datetime.now(dt.UTC) + dt.timedelta(hours=6)
    given = {"AccessKeyId": "ASIAEXAMPLE", "SecretAccessKey": "b", "Token": "c", "Expiration": ends.isoformat()}
    return json.dumps({key: value for key, value in {**given, **changed}.items() if value is not None}).encode()


def _of_root(aws: AwsStandIn) -> bytes:
    return answer(
        200,
        _credentials(AccessKeyId=aws.root.access_key_id, SecretAccessKey=aws.root.secret_access_key, Token=""),
        JSON,
    )


PAST = (dt.datetime.now(dt.UTC) - dt.timedelta(hours=1)).isoformat()

AGENT: dict[str, tuple[Any, FailureKind, str]] = {
    "expired on arrival": (answer(200, _credentials(Expiration=PAST), JSON), UNEXPECTED, "still expired"),
    "without a token": (answer(200, _credentials(Token=None), JSON), UNEXPECTED, "'Token'"),
    "without an end": (answer(200, _credentials(Expiration=None), JSON), UNEXPECTED, "'Expiration'"),
    "an end that is none": (answer(200, _credentials(Expiration="soon"), JSON), UNEXPECTED, "soon"),
    "a list": (answer(200, b"[]", JSON), UNEXPECTED, "no AWS credentials"),
    "a page": (answer(200, PAGE), UNEXPECTED, "Unable to parse JSON"),
    "bytes": (answer(200, bytes(range(256))), UNEXPECTED, "no AWS credentials"),
    "401": (answer(401, PAGE), UNEXPECTED, "401"),
    "404": (answer(404, b"no such pod"), UNEXPECTED, "404"),
    "429": (answer(429, b"slow down"), FailureKind.THROTTLED, "429"),
    "500": (answer(500, PAGE), UNAVAILABLE, "500"),
    "hangs up": (b"", UNAVAILABLE, "closed"),
    "silent": (silent, UNAVAILABLE, "timeout"),
}


@pytest.fixture
def token(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text("a-token")
    return path


@pytest.fixture
def agent(aws: AwsStandIn, token: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Between]:
    """The only source of credentials."""
    with Between(0) as between:
        use(monkeypatch, aws.environment())
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.delenv(name)
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{between.url}/v1/credentials")
        monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", str(token))
        yield between


def _fails_and_recovers(program: Program, kind: FailureKind, words: str) -> str:
    began = time.monotonic()
    refused = program.refused(program.caller.caller)
    assert (refused.kind, words in str(refused)) == (kind, True), str(refused)
    assert str(refused).startswith("no AWS credentials")
    assert str(refused).isprintable()
    assert len(str(refused)) <= 400
    assert time.monotonic() - began < 5
    return str(refused)


@pytest.mark.parametrize("name", AGENT)
def test_an_agent_that_misbehaves_is_reported_and_asked_again(aws: AwsStandIn, agent: Between, name: str) -> None:
    how, kind, words = AGENT[name]
    agent.misbehave(how)
    program = Program()
    _fails_and_recovers(program, kind, words)
    agent.misbehave(_of_root(aws))
    assert program.run(program.caller.caller).account == aws.account
    program.calls.close()


def test_an_agent_that_is_not_there_yet_is_reported_and_asked_again(
    aws: AwsStandIn, agent: Between, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = f"{agent.url}/v1/credentials"
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:9/v1/credentials")
    program = Program()
    _fails_and_recovers(program, UNAVAILABLE, "Could not connect")
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", right)
    agent.misbehave(_of_root(aws))
    assert program.run(program.read()).statements
    program.calls.close()


def test_the_agents_token_file_may_come_later(aws: AwsStandIn, agent: Between, token: Path) -> None:
    agent.misbehave(_of_root(aws))
    token.unlink()
    program = Program()
    assert str(token) in _fails_and_recovers(program, UNEXPECTED, "No such file")
    token.write_text("two\nlines")
    _fails_and_recovers(program, UNEXPECTED, "not a legal header value")
    token.write_text("a-token")
    assert program.run(program.read()).statements
    program.calls.close()


def test_a_hundred_calls_wait_for_one_attempt_and_share_its_failure(aws: AwsStandIn, agent: Between) -> None:
    agent.misbehave(silent)
    program = Program()

    async def all_of_them() -> list[Any]:
        asked = (
            program.calls.call("GetCallerIdentity", lambda clients: clients.sts.get_caller_identity())
            for _ in range(15)
        )
        return await asyncio.gather(*asked, return_exceptions=True)

    began = time.monotonic()
    assert all(isinstance(one, AwsError) for one in asyncio.run(all_of_them()))
    assert time.monotonic() - began < 5
    agent.misbehave(_of_root(aws))
    assert program.run(program.read()).statements
    program.calls.close()


def test_an_agent_whose_answer_drips_is_given_up(
    aws: AwsStandIn, agent: Between, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent.misbehave(dripping)
    program = Program()
    monkeypatch.setattr(program.calls, "_longest", 2.0)
    refused = program.refused(program.caller.caller)
    assert (refused.kind, "no whole answer within 2 s" in str(refused)) == (UNAVAILABLE, True)
    agent.misbehave(_of_root(aws))
    monkeypatch.setattr(program.calls, "_longest", 10.0)

    def is_read() -> bool:
        """A call that waits for the attempt that was cut shares its failure."""
        try:
            return bool(program.run(program.read()).statements)
        except AwsError:
            return False

    eventually(is_read, "a later call gets credentials")
    program.calls.close()


STS: dict[str, tuple[Any, FailureKind, str]] = {
    "403 and a page": (answer(403, PAGE), UNEXPECTED, "HTTP 403, text/html"),
    "an empty success": (answer(200, b""), UNEXPECTED, "HTTP 200"),
    "500": (answer(500, PAGE), UNAVAILABLE, "HTTP 500"),
    "hangs up": (b"", UNAVAILABLE, "closed"),
    "expired on arrival": (
        answer(
            200,
            "<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials>"
            f"<AccessKeyId>ASIAEXAMPLE</AccessKeyId><SecretAccessKey>hush</SecretAccessKey><SessionToken>c</SessionToken><Expiration>{PAST}"
            "</Expiration></Credentials><AssumedRoleUser><Arn>arn:aws:sts::123456789012:assumed-role/webhook/a</Arn>"
            "</AssumedRoleUser></AssumeRoleWithWebIdentityResult><ResponseMetadata><RequestId>1</RequestId>"
            "</ResponseMetadata></AssumeRoleWithWebIdentityResponse>".encode(),
            "text/xml",
        ),
        UNEXPECTED,
        "still expired",
    ),
    "refused": (
        answer(
            403,
            b"<ErrorResponse><Error><Code>AccessDenied</Code><Message>Not authorized</Message></Error>"
            b"</ErrorResponse>",
            "text/xml",
        ),
        UNEXPECTED,
        "AccessDenied: Not authorized (AssumeRoleWithWebIdentity)",
    ),
}


@pytest.fixture
def web_identity(aws: AwsStandIn, program_in_a_pod: Program, monkeypatch: pytest.MonkeyPatch) -> Iterator[Between]:
    """Between the program in a pod and AWS."""
    assert program_in_a_pod
    with Between(int(aws.url.rpartition(":")[2])) as between:
        monkeypatch.setenv("AWS_ENDPOINT_URL", between.url)
        yield between


@pytest.mark.parametrize("name", STS)
def test_sts_that_gives_no_credentials_is_reported_and_asked_again(web_identity: Between, name: str) -> None:
    how, kind, words = STS[name]
    web_identity.misbehave(how)
    program = Program()
    assert "hush" not in _fails_and_recovers(program, kind, words)
    web_identity.misbehave(None)
    assert program.run(program.read()).statements
    program.calls.close()


def test_the_web_identity_token_may_come_later(web_identity: Between, tmp_path: Path) -> None:
    assert web_identity
    token = tmp_path / "token"
    content = token.read_text()
    token.unlink()
    program = Program()
    _fails_and_recovers(program, UNEXPECTED, "No such file")
    token.write_text("")
    _fails_and_recovers(program, UNEXPECTED, "WebIdentityToken")
    token.write_text(content)
    assert program.run(program.read()).statements
    program.calls.close()


def test_credentials_that_were_none_are_looked_for_again(as_root: None, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ARG001
    kept = {name: os.environ[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}
    for name in kept:
        monkeypatch.delenv(name)
    program = Program()
    _fails_and_recovers(program, UNEXPECTED, "set AWS_PROFILE")
    for name, value in kept.items():
        monkeypatch.setenv(name, value)
    assert program.run(program.read()).statements
    program.calls.close()


WRONG_SETTINGS = {
    "AWS_ENDPOINT_URL": "nonsense",
    "AWS_PROFILE": "nope",
    "AWS_CONFIG_FILE": "{file}",
}


@pytest.mark.parametrize("name", WRONG_SETTINGS)
def test_a_setting_of_the_sdk_that_is_wrong_is_an_error_of_each_call(
    as_root: None,  # noqa: ARG001
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    (tmp_path / "config").write_text("this is\nno [configuration")
    monkeypatch.setenv(name, WRONG_SETTINGS[name].format(file=tmp_path / "config"))
    program = Program()
    assert str(program.refused(program.caller.caller)).isprintable()
    program.calls.close()


NO_PROXIES = {
    "socks5://127.0.0.1:1080": "socks5",
    "http://127.0.0.1:9": "connection refused",
    "http://[": "",
    "ftp://127.0.0.1:x": "",
}


@pytest.mark.parametrize("proxy", NO_PROXIES)
def test_a_proxy_that_cannot_be_one_is_one_error(
    as_root: None,  # noqa: ARG001
    monkeypatch: pytest.MonkeyPatch,
    proxy: str,
) -> None:
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "https://iam.example")
    program = Program()
    said = str(program.refused(program.caller.caller))
    assert said.startswith(("GetCallerIdentity: ", "cannot reach ", "the AWS SDK's configuration: "))
    assert NO_PROXIES[proxy] in said
    assert said.isprintable()
    program.calls.close()


@pytest.mark.parametrize(("status", "kind"), [(407, UNEXPECTED), (503, UNAVAILABLE)])
def test_a_proxy_that_refuses_a_tunnel_is_reported(
    as_root: None,  # noqa: ARG001
    monkeypatch: pytest.MonkeyPatch,
    status: int,
    kind: FailureKind,
) -> None:
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    with Between(0) as between:
        between.misbehave(answer(status, PAGE))
        monkeypatch.setenv("HTTPS_PROXY", between.url)
        monkeypatch.setenv("AWS_ENDPOINT_URL", "https://iam.example")
        program = Program()
        refused = program.refused(program.caller.caller)
    assert (refused.kind, f"it answers {status}" in str(refused)) == (kind, True), str(refused)
    program.calls.close()
