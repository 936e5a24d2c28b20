"""The answers of a program that only observes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from webhook.admission.answers import Answer

if TYPE_CHECKING:
    from webhook.admission.reviews import Request


class ObservedReviews:
    """Allows every review at once and changes nothing; the observer finds what would be done about it."""

    may_deny = False
    observes = True

    async def answer(self, request: Request, seconds: float) -> Answer:  # noqa: ARG002  a port's
        """Allow it."""
        return Answer(allowed=True, outcome="observed" if request.is_reviewed else "not_reviewed")
