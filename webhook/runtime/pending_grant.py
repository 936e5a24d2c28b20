"""One subject that waits for trust, whoever asked for it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from webhook.model.outcomes import Outcome, Untrusted


def _now() -> float:
    return asyncio.get_running_loop().time()


def _future() -> asyncio.Future[Outcome]:
    return asyncio.get_running_loop().create_future()


@dataclass(slots=True, eq=False)
class PendingGrant:
    """A subject waiting for a role. It settles once; bad news may come before, and the work goes on."""

    asked: float = field(default_factory=_now)
    """On the loop's clock."""
    settled: asyncio.Future[Outcome] = field(default_factory=_future)
    bad_news: asyncio.Future[Outcome] = field(default_factory=_future)
    last_failure: Untrusted | None = None

    def settle(self, outcome: Outcome) -> None:
        """Trusted, or refused until a person does something."""
        if not self.settled.done():
            self.settled.set_result(outcome)

    def fail(self, failure: Untrusted) -> None:
        """One try failed and another follows; it is news unless a moment's patience may be enough."""
        self.last_failure = failure
        if not failure.kind.passes_soon and not self.bad_news.done():
            self.bad_news.set_result(failure)
