"""What is told of certificates while the program runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    import datetime as dt

    from certs.errors import Difference, Reason

Reload = Literal["loaded", "refused"]


class Report(Protocol):
    """Who listens. Never raises, never waits, and is never handed a key."""

    def regenerated(self, reason: Reason, what: str) -> None:
        """This replica made `what` anew and wrote it."""

    def reloaded(self, outcome: Reload, detail: str) -> None:
        """A pair was taken into service, or refused so that the one before stays."""

    def announced(self, difference: Difference, authorities: int) -> None:
        """The API server's copy of the authorities differed so, and was put right."""

    def expiries(self, leaf: dt.datetime, authority: dt.datetime | None) -> None:
        """When the served leaf ends, and the authority of ours that signs."""
