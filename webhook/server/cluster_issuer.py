"""The issuer of the cluster's tokens, as far as it is known: all that is written in AWS is about this issuer."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from webhook.model.aws_errors import AwsError, FailureKind

if TYPE_CHECKING:
    from webhook.model.names import IssuerUrl


class ClusterIssuer:
    """What is known of it. Until it is known, and once it is known to be wrong, whoever asks may write nothing."""

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
        """It is known."""
        self._issuer = issuer
        self._known.set()

    def is_unknown(self, reason: str) -> None:
        """It could not be found out; no news where it is known already."""
        if self._issuer is None and self._kind is FailureKind.UNAVAILABLE:
            self._reason = f"the issuer of this cluster's tokens is not known yet: {reason}"

    def is_wrong(self, reason: str) -> None:
        """The configured issuer is not this cluster's: nothing is written any more."""
        self._issuer = None
        self._known.clear()
        self._kind, self._reason = FailureKind.NOT_ALLOWED, reason
