"""The OIDC provider is looked at for as long as the program runs, and a metric says how it is."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from tests.support.samples import sample
from tests.support.sites import ISSUER, binding, role
from tests.support.virtual_time import in_virtual_time
from webhook.model.aws_errors import AwsError, FailureKind
from webhook.server.aws_prerequisites import AGAIN_SECONDS, RETRY_SECONDS, watch_providers
from webhook.server.issuer import ClusterIssuer
from webhook.telemetry.progress import Progress

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

PROVIDER = ISSUER.provider_arn("aws", "123456789012")
FINE: tuple[str, ...] = ("sts.amazonaws.com",)


class Account:
    """AWS's calls, of which there is one: the audiences of a provider, or an error."""

    def __init__(self, answer: tuple[str, ...] | AwsError | None) -> None:
        self.answer = answer
        self.asked = 0

    async def call(self, operation: str, function: Any) -> tuple[str, ...]:  # noqa: ARG002  the real one's
        self.asked += 1
        if isinstance(self.answer, AwsError):
            raise self.answer
        if self.answer is None:
            raise AwsError(FailureKind.NO_SUCH_ROLE, "NoSuchEntity: there is none")
        return self.answer


@asynccontextmanager
async def watched(account: Account) -> AsyncIterator[None]:
    """With the program looking."""
    issuer = ClusterIssuer()
    issuer.learn(ISSUER)
    looking = watch_providers((binding(role()),), issuer, account, Progress())  # type: ignore[arg-type]
    task = asyncio.create_task(looking)
    await asyncio.sleep(0.1)
    yield
    task.cancel()


def _usable() -> float | None:
    return sample("mxp_identity_oidc_provider_usable", {"provider_arn": PROVIDER})


@in_virtual_time
async def test_a_provider_that_is_deleted_is_seen_within_the_hour_and_its_return_within_a_minute() -> None:
    account = Account(FINE)
    async with watched(account):
        assert _usable() == 1
        account.answer = None
        await asyncio.sleep(AGAIN_SECONDS)
        assert _usable() == 0
        account.answer = ()
        await asyncio.sleep(RETRY_SECONDS)
        assert _usable() == 0
        account.answer = FINE
        await asyncio.sleep(RETRY_SECONDS)
        assert _usable() == 1
        asked = account.asked
        await asyncio.sleep(AGAIN_SECONDS - RETRY_SECONDS)
        assert account.asked == asked


@in_virtual_time
async def test_one_that_cannot_be_checked_is_as_it_was() -> None:
    account = Account(FINE)
    async with watched(account):
        account.answer = AwsError(FailureKind.UNEXPECTED, "HTTP 403, text/html")
        await asyncio.sleep(2 * AGAIN_SECONDS)
        assert _usable() == 1
        account.answer = None
        await asyncio.sleep(RETRY_SECONDS)
        account.answer = AwsError(FailureKind.ACCESS_DENIED, "AccessDenied")
        await asyncio.sleep(2 * AGAIN_SECONDS)
        assert _usable() == 0
