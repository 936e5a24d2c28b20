"""The issuer of the cluster's tokens, which all that is written in AWS is about."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from webhook.kube.errors import NotFoundError, RefusedError
from webhook.model.aws_errors import AwsError, FailureKind
from webhook.model.errors import ClusterError, ConfigurationError, InvalidNameError
from webhook.model.names import IssuerUrl

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import Protocol

    class IssuerSources(Protocol):
        """Sources of the issuer. Both raise ClusterError."""

        async def token_issuer(self) -> str | None:
            """The issuer of the program's own token, where it is a ServiceAccount's."""

        async def issuer(self) -> str:
            """The issuer of the API server's discovery document."""


log = structlog.get_logger(__name__)


class ClusterIssuer:
    """The issuer of this cluster. Nothing is written until it is known, nor once it is known to be wrong."""

    def __init__(self) -> None:
        self._issuer: IssuerUrl | None = None
        self._kind = FailureKind.UNAVAILABLE
        self._reason = "the issuer of this cluster's tokens is not known yet"
        self._known = asyncio.Event()

    def get(self) -> IssuerUrl:
        """The issuer. Raises AwsError: UNAVAILABLE until it is known, NOT_ALLOWED where it is wrong."""
        if self._issuer is None:
            raise AwsError(self._kind, self._reason)
        return self._issuer

    async def wait(self) -> None:
        """Wait until it is known."""
        await self._known.wait()

    def learn(self, issuer: IssuerUrl) -> None:
        """Record the issuer."""
        self._issuer = issuer
        self._known.set()

    def note_failure(self, reason: str) -> None:
        """Record why it is not known; ignored where it is known already."""
        if self._issuer is None and self._kind is FailureKind.UNAVAILABLE:
            self._reason = f"the issuer of this cluster's tokens is not known yet: {reason}"

    def reject(self, reason: str) -> None:
        """Record that the configured issuer is not this cluster's: nothing is written any more."""
        self._issuer = None
        self._known.clear()
        self._kind, self._reason = FailureKind.NOT_ALLOWED, reason


@dataclass(frozen=True, slots=True)
class FoundIssuer:
    """The issuer, and whether there is nothing to compare any more."""

    issuer: IssuerUrl
    is_compared: bool


def configured_issuer(text: str | None) -> IssuerUrl | None:
    """`cluster.issuer`, where it is given. Raises ConfigurationError for one that is malformed."""
    try:
        return None if text is None else IssuerUrl(text)
    except InvalidNameError as error:
        raise ConfigurationError(f"cluster.issuer: {error}") from error


async def find_issuer(configured: IssuerUrl | None, api: IssuerSources) -> FoundIssuer:
    """The issuer by the program's own token, else by the API server's discovery document.

    Where both are there and differ, as after the API server was given another issuer, the token's is used, which
    is what AWS sees, and both are to be asked again. A configured one is used as it is only where there is
    neither: no token of a ServiceAccount, and an API server that refuses its discovery document.

    Raises ConfigurationError where the configured one is another, ClusterError where it is not known yet.
    """
    signed, announced = await _asked(api.token_issuer), await _asked(api.issuer)
    if isinstance(signed, str):
        differ = isinstance(announced, str) and announced != signed
        if differ:
            log.warning("issuers_differ", token=signed, discovery=announced)
        return FoundIssuer(_agreed(configured, signed), is_compared=not differ)
    if isinstance(announced, str):
        return FoundIssuer(_agreed(configured, announced), is_compared=True)
    is_refused = signed is None and isinstance(announced, (RefusedError, NotFoundError))
    if configured is None and is_refused:
        raise ClusterError(
            f"{announced}; set cluster.issuer to what "
            "`aws eks describe-cluster --query cluster.identity.oidc.issuer` prints"
        )
    if configured is None:
        raise ClusterError(str(announced))
    if is_refused:
        log.warning("issuer_not_compared", issuer=configured.value, reason=str(announced))
        return FoundIssuer(configured, is_compared=False)
    raise ClusterError(f"cluster.issuer could not be compared with the cluster's own: {signed or announced}")


async def _asked(ask: Callable[[], Awaitable[str | None]]) -> str | ClusterError | None:
    try:
        return await ask()
    except ClusterError as error:
        return error


def _agreed(configured: IssuerUrl | None, answered: str) -> IssuerUrl:
    """The cluster's issuer. Raises ConfigurationError where another is configured, or it is malformed."""
    if configured is not None and configured.value != answered:
        raise ConfigurationError(
            f"cluster.issuer: is {configured}, but the API server's tokens are issued by {answered}; correct it, "
            "or leave it out"
        )
    try:
        return IssuerUrl(answered)
    except InvalidNameError as error:
        raise ConfigurationError(f"cluster.issuer: the API server's own issuer cannot be used: {error}") from error
