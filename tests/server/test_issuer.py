"""Which issuer is the cluster's: by the program's own token first, which is what AWS sees."""

from __future__ import annotations

import asyncio

import pytest

from rig.aws import TokenIssuer
from tests.support.sites import ELSEWHERE, ISSUER
from tests.support.virtual_time import in_virtual_time
from webhook.kube.api import issuer_in
from webhook.kube.errors import NotFoundError, RefusedError
from webhook.model.aws_errors import AwsError, FailureKind
from webhook.model.errors import ClusterError, ConfigurationError
from webhook.model.names import IssuerUrl
from webhook.server.issuer import ClusterIssuer
from webhook.server.startup import issuer_check
from webhook.telemetry import metrics
from webhook.telemetry.progress import Progress

OURS, OTHER = ISSUER.value, ELSEWHERE.value
REFUSED, MISSING = RefusedError("403 forbidden"), NotFoundError("404 not found")
AWAY = ClusterError("connection refused")
OWN = "system:serviceaccount:mxp-identity:webhook"

Said = str | ClusterError | None


class Sources:
    """What the token and the API server say now."""

    def __init__(self, token: Said, discovery: str | ClusterError) -> None:
        self.token, self.discovery = token, discovery

    async def token_issuer(self) -> str | None:
        if isinstance(self.token, ClusterError):
            raise self.token
        return self.token

    async def issuer(self) -> str:
        if isinstance(self.discovery, ClusterError):
            raise self.discovery
        return self.discovery


@pytest.mark.parametrize(
    ("token", "discovery", "configured", "known", "is_compared"),
    [
        pytest.param(OURS, OURS, None, OURS, True, id="both say the same"),
        pytest.param(OURS, REFUSED, None, OURS, True, id="the token alone"),
        pytest.param(None, OURS, None, OURS, True, id="discovery alone"),
        pytest.param(AWAY, OURS, OURS, OURS, True, id="a token that cannot be read"),
        pytest.param(OURS, AWAY, OURS, OURS, True, id="configured, and the token says so"),
        pytest.param(OURS, OTHER, None, OURS, False, id="they differ"),
        pytest.param(None, REFUSED, OURS, OURS, False, id="configured, and nothing can say so"),
        pytest.param(None, MISSING, OURS, OURS, False, id="configured, and no discovery document"),
    ],
)
def test_the_issuer_is_known(
    token: Said,
    discovery: str | ClusterError,
    configured: str | None,
    known: str,
    is_compared: bool,  # noqa: FBT001
) -> None:
    async def work() -> tuple[str, bool]:
        issuer = ClusterIssuer()
        done = await issuer_check(_url(configured), Sources(token, discovery), issuer).ask()
        return issuer.get().value, done

    assert asyncio.run(work()) == (known, is_compared)


@pytest.mark.parametrize(
    ("token", "discovery", "configured"),
    [
        pytest.param(None, AWAY, None, id="nothing answers"),
        pytest.param(None, REFUSED, None, id="none is configured, and discovery is refused"),
        pytest.param(AWAY, REFUSED, OURS, id="a token that cannot be read, and discovery is refused"),
        pytest.param(None, AWAY, OURS, id="no token, and the API server is away"),
    ],
)
def test_the_issuer_is_check_pending(token: Said, discovery: str | ClusterError, configured: str | None) -> None:
    async def work() -> None:
        issuer = ClusterIssuer()
        with pytest.raises(ClusterError):
            await issuer_check(_url(configured), Sources(token, discovery), issuer).ask()
        with pytest.raises(AwsError) as unknown:
            issuer.get()
        assert unknown.value.kind is FailureKind.UNAVAILABLE

    asyncio.run(work())


@pytest.mark.parametrize(
    ("token", "discovery", "words"),
    [
        pytest.param(OURS, REFUSED, f"issued by {OURS}", id="by the token"),
        pytest.param(
            OURS, OTHER, f"issued by {OURS}", id="by the token, though discovery says the configured one"
        ),
        pytest.param(None, OURS, f"issued by {OURS}", id="by discovery"),
        pytest.param(None, "http://nothing", "issued by http://nothing", id="by what is no issuer"),
    ],
)
def test_a_configured_issuer_is_contradicted(token: Said, discovery: str | ClusterError, words: str) -> None:
    async def work() -> None:
        issuer = ClusterIssuer()
        with pytest.raises(ConfigurationError, match=words):
            await issuer_check(ELSEWHERE, Sources(token, discovery), issuer).ask()
        with pytest.raises(AwsError) as wrong:
            issuer.get()
        assert wrong.value.kind is FailureKind.NOT_ALLOWED

    asyncio.run(work())


@in_virtual_time
async def test_an_issuer_that_is_replaced_while_token_and_discovery_differ_stops_writes_until_a_restart() -> None:
    sources, issuer = Sources(OURS, OTHER), ClusterIssuer()
    task = asyncio.create_task(issuer_check(None, sources, issuer).run(Progress()))
    await asyncio.sleep(10)
    assert issuer.get() == ISSUER
    sources.token = OTHER  # the kubelet has renewed it
    await asyncio.sleep(600)
    with pytest.raises(AwsError, match="restart the program"):
        issuer.get()
    assert metrics.writes_stopped.labels("issuer")._value.get() == 1  # noqa: SLF001
    task.cancel()


@in_virtual_time
async def test_an_unchecked_issuer_that_turns_out_right_is_no_longer_asked_about() -> None:
    sources, issuer = Sources(None, REFUSED), ClusterIssuer()
    task = asyncio.create_task(issuer_check(ISSUER, sources, issuer).run(Progress()))
    await asyncio.sleep(10)
    sources.discovery = OURS
    await asyncio.sleep(600)
    assert task.done()
    assert issuer.get() == ISSUER


def test_only_a_service_accounts_token_names_the_clusters_issuer() -> None:
    keys = TokenIssuer(OURS)
    assert issuer_in(keys.token(OWN)) == OURS
    assert issuer_in(keys.token("jane@example.org")) is None
    assert issuer_in(keys.token(OWN, iss="kubernetes/serviceaccount")) is None
    for other in (None, "", "k8s-aws-v1.aHR0cHM6", "a.b.c", "a.e30.c", f"a.{'%' * 8}.c", "a.W10.c"):
        assert issuer_in(other) is None


def _url(text: str | None) -> IssuerUrl | None:
    return None if text is None else IssuerUrl(text)
