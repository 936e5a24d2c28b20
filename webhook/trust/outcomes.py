"""What became of a grant."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from webhook.domain.names import RoleArn
    from webhook.trust.ports import FailureKind


class Proof(StrEnum):
    """How we know that the subject is trusted."""

    WRITTEN = "written"
    ALREADY = "already"
    FOREIGN = "foreign"
    UNMANAGED = "unmanaged"


@dataclass(frozen=True, slots=True)
class Trusted:
    """`role` trusts the subject; for UNMANAGED, somebody else sees to it."""

    role: RoleArn
    proof: Proof
    doubt: str = ""
    """A sentence about an external Deny that may keep it out all the same; empty where none does."""

    @property
    def label(self) -> str:
        """The proof in one word: `uncertain` where a Deny may hold."""
        return "uncertain" if self.doubt else self.proof.value


@dataclass(frozen=True, slots=True)
class Untrusted:
    """`role` does not trust the subject yet; `reason` is a sentence for a person."""

    role: RoleArn
    kind: FailureKind
    reason: str


Outcome = Trusted | Untrusted


def _now() -> float:
    return asyncio.get_running_loop().time()


def _future() -> asyncio.Future[Outcome]:
    return asyncio.get_running_loop().create_future()


@dataclass(slots=True, eq=False)
class Ticket:
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
