"""A service that cannot be reached is named with its host and the reason: in errors, in the log, as a metric."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import pytest
import structlog
from structlog.testing import capture_logs
from urllib3.util import connection

from tests.aws.conftest import ROLE, Program
from tests.support.misbehaving import PAGE, Between, answer, silent
from tests.support.samples import sample
from tests.support.unreachable import NO_NAME, black_hole, plain, proxy, refusing, resetting, untrusted
from webhook.aws.calls import AwsCalls
from webhook.aws.reachability import unreached
from webhook.model.aws_errors import Cause, Service

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from rig.aws import AwsStandIn

SERVICES = set(Service)


@pytest.fixture(autouse=True)
def _in_a_region(_nothing_unexpected: None, monkeypatch: pytest.MonkeyPatch) -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.INFO))
    for name in [one for one in os.environ if one.upper().endswith("_PROXY") or one.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in {
        "AWS_REGION": "us-west-2",
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)


@contextmanager
def _handshake_that_hangs() -> Iterator[str]:
    with Between(0) as between:
        between.misbehave(silent)
        yield between.url.replace("http:", "https:")


@contextmanager
def _page() -> Iterator[str]:
    with Between(0) as between:
        between.misbehave(answer(403, PAGE))
        yield between.url


# What is at the address of each service, why it cannot be reached, and words of it.
AT_THE_ADDRESS: dict[str, tuple[Callable[[Path], AbstractContextManager[str]], Cause, str]] = {
    "a name that is not there": (lambda _: nullcontext(NO_NAME), Cause.NAME_NOT_FOUND, "name not found ("),
    "a port where nothing listens": (lambda _: refusing(), Cause.REFUSED, "connection refused; see AWS_ENDPOINT"),
    "a port that drops all": (lambda _: black_hole(), Cause.TIMED_OUT, "timed out; a VPC endpoint, NAT or"),
    "a handshake that hangs": (lambda _: _handshake_that_hangs(), Cause.TIMED_OUT, "timed out; a VPC endpoint"),
    "a handshake that is cut": (lambda _: resetting(), Cause.CLOSED, "does a firewall allow this name?"),
    "another CA": (untrusted, Cause.NOT_TRUSTED, "its TLS certificate is not trusted ("),
    "a server without TLS": (lambda _: plain(), Cause.TLS_FAILED, "the TLS handshake failed ("),
    "a server with a page": (lambda _: _page(), Cause.NOT_AWS, "HTTP 403, text/html, begins"),
}


def _asked(services: set[Service] = SERVICES) -> dict[Service, Any]:
    calls = AwsCalls()
    try:
        return {service: error.unreachable for service, error in asyncio.run(unreached(calls, services)).items()}
    finally:
        calls.close()


@pytest.mark.parametrize("case", AT_THE_ADDRESS)
def test_each_service_is_named_with_its_host_and_why_it_is_not_reached(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, case: str
) -> None:
    at, cause, words = AT_THE_ADDRESS[case]
    with at(tmp_path) as url, capture_logs() as logs:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        found = _asked()
    host = url.partition("//")[2]
    assert {service: one.cause for service, one in found.items()} == dict.fromkeys(SERVICES, cause)
    for service, one in found.items():
        assert str(one).startswith(f"cannot reach {service} at {host}: "), one
        assert words in str(one)
        assert len(str(one)) <= 256
    assert {(one["event"], one["service"], one["host"], one["cause"]) for one in logs} == {
        ("aws_endpoint_unreachable", service.value, host, cause.value) for service in SERVICES
    }
    assert [_reachable(service) for service in SERVICES] == [0.0] * 3


AT_THE_PROXY: dict[str, tuple[Callable[[], AbstractContextManager[str]], Cause, str]] = {
    "that denies it": (
        lambda: proxy(403),
        Cause.DENIED_BY_PROXY,
        "it answers 403 Said; allow the name in the proxy",
    ),
    "that wants a password": (lambda: proxy(407), Cause.DENIED_BY_PROXY, "it answers 407 Said; allow the name"),
    "that finds no way": (lambda: proxy(502), Cause.PROXY_FAILED, "it answers 502 Said; see the log of the proxy"),
    "that is not there": (
        refusing,
        Cause.REFUSED,
        "connection refused; correct HTTPS_PROXY, or name the host in NO",
    ),
    "that drops all": (
        black_hole,
        Cause.TIMED_OUT,
        "timed out; correct HTTPS_PROXY, or name the host in NO_PROXY",
    ),
    "whose name is not there": (
        lambda: nullcontext("http://proxy.invalid:3128"),
        Cause.NAME_NOT_FOUND,
        "not found",
    ),
}


@pytest.mark.parametrize("case", AT_THE_PROXY)
def test_a_proxy_is_named_without_its_password(monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    at, cause, words = AT_THE_PROXY[case]
    with at() as url:
        host = url.partition("//")[2]
        monkeypatch.setenv("HTTPS_PROXY", f"http://me:hush@{host}")
        found = _asked()
    assert {service: one.cause for service, one in found.items()} == dict.fromkeys(SERVICES, cause)
    assert {service: one.endpoint.host for service, one in found.items()} == {
        Service.IAM: "iam.amazonaws.com",
        Service.STS: "sts.us-west-2.amazonaws.com",
        Service.EKS: "eks.us-west-2.amazonaws.com",
    }
    for one in found.values():
        assert f" through the proxy {host}: " in str(one)
        assert words in str(one)
        assert "hush" not in str(one)


def test_a_host_of_no_proxy_is_called_directly(monkeypatch: pytest.MonkeyPatch) -> None:
    with proxy(403) as url, refusing() as direct:
        monkeypatch.setenv("HTTPS_PROXY", url)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        monkeypatch.setenv("AWS_ENDPOINT_URL_EKS", direct)
        found = _asked({Service.STS, Service.EKS})
    causes = {service: one and one.cause for service, one in found.items()}
    assert causes == {Service.STS: Cause.DENIED_BY_PROXY, Service.EKS: Cause.REFUSED}


# `client.meta.endpoint_url` is another name in each.
@pytest.mark.parametrize(
    ("switches", "region", "host"),
    [
        ({"AWS_USE_DUALSTACK_ENDPOINT": "true"}, "us-west-2", "iam.global.api.aws"),
        ({"AWS_USE_FIPS_ENDPOINT": "true"}, "us-west-2", "iam-fips.amazonaws.com"),
        ({"AWS_USE_DUALSTACK_ENDPOINT": "true"}, "us-gov-west-1", "iam.us-gov.api.aws"),
    ],
)
def test_the_host_that_is_called_is_named(
    monkeypatch: pytest.MonkeyPatch, switches: dict[str, str], region: str, host: str
) -> None:
    with proxy(403) as url:
        for name, value in {**switches, "AWS_REGION": region, "HTTPS_PROXY": url}.items():
            monkeypatch.setenv(name, value)
        found = _asked({Service.IAM})
    assert found[Service.IAM].endpoint.host == host


@pytest.mark.parametrize("number", [errno.ENETUNREACH, errno.EHOSTUNREACH])
def test_a_network_without_a_route_is_named(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def connect(*_: Any, **__: Any) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(connection, "create_connection", connect)
    (found,) = _asked({Service.STS}).values()
    assert found.cause is Cause.NO_ROUTE
    assert f"no route ({os.strerror(number)})" in str(found)


def test_a_service_that_answers_again_is_logged_and_exported(
    aws: AwsStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in aws.environment().items():
        if name.startswith("AWS_"):
            monkeypatch.setenv(name, value)
    monkeypatch.setattr("webhook.telemetry.refusals.LogLimit.take", lambda *_: 0)
    with Between(int(aws.url.rpartition(":")[2])) as between, capture_logs() as logs:
        monkeypatch.setenv("AWS_ENDPOINT_URL_IAM", between.url)
        program = Program()
        seen = []
        for how in (None, answer(403, PAGE), answer(403, PAGE), None):
            between.misbehave(how)
            if how is None:
                program.run(program.read())
            else:
                program.refused(program.read())
            seen.append(_reachable(Service.IAM))
        program.calls.close()
    assert seen == [1.0, 0.0, 0.0, 1.0]
    events = [one["event"] for one in logs if one.get("service") == "iam"]
    assert events == ["aws_endpoint_reachable", "aws_endpoint_unreachable", "aws_endpoint_reachable"]


def test_a_service_that_refuses_a_caller_is_reached(program: Program) -> None:
    assert asyncio.run(unreached(program.calls, SERVICES)) == {}
    assert [_reachable(service) for service in SERVICES] == [1.0] * 3
    assert program.run(program.read()).statements, ROLE


def _reachable(service: Service) -> float | None:
    return sample("mxp_identity_aws_endpoint_reachable", {"service": service.value})
