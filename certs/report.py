"""The port to logs and metrics of certificates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    import datetime as dt

    from certs.errors import Difference, Reason

Reload = Literal["loaded", "refused"]


class Report(Protocol):
    """Receives reports. Never raises, never waits, and never receives a key."""

    def regenerated(self, reason: Reason, what: str) -> None:
        """This replica recreated `what` and wrote it."""

    def reloaded(self, outcome: Reload, detail: str) -> None:
        """A pair was taken into service, or refused so that the one before stays."""

    def announced(self, difference: Difference, authorities: int) -> None:
        """The API server's caBundle differed in this way, and was repaired."""

    def expiries(self, leaf: dt.datetime, authority: dt.datetime | None) -> None:
        """When the served leaf ends, and the authority that signs."""
