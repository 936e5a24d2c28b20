"""What rows observe with: calls that are announced, waited for and cleaned up after, and the time."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from webhook.kube.errors import RefusedError
from webhook.model.aws_errors import AwsError, FailureKind
from webhook.model.errors import ClusterError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine
    from typing import Any

    from webhook.aws.calls import AwsCalls
    from webhook.aws.clients import AwsClients
    from webhook.cli.conformance.permissions import Scope
    from webhook.runtime.clock import Clock

T = TypeVar("T")

PATIENCE = 150.0
"""Seconds after which a row stops to wait: longer than any that is expected, and Terraform's longest, 120 s."""

_POLL_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Timing:
    """The time. `watch` is for how many seconds a row goes on asking whether what it saw stays so."""

    now: Clock
    sleep: Callable[[float], Awaitable[None]]
    watch: float


@dataclass(frozen=True, slots=True)
class Lapse:
    """How something came to be: seconds until it was first so, None for never, and until it was last not so."""

    first: float | None
    last_without: float
    looks: int

    @property
    def text(self) -> str:
        """For people, with what was not so at times after it was."""
        if self.first is None:
            return f"not within {PATIENCE:g} s"
        later = self.last_without > self.first
        relapse = f", and for the last time not after {self.last_without:.0f} s" if later else ""
        return f"after {self.first:.0f} s{relapse} (looks: {self.looks})"

    def is_within(self, seconds: float) -> bool:
        """Whether it was so, and stayed so, from that time on at the latest."""
        return self.first is not None and max(self.first, self.last_without) <= seconds


class Once(Generic[T]):
    """What is made when it is first needed. Where that fails, each later need fails in the same way."""

    def __init__(self, make: Callable[[], Awaitable[T]]) -> None:
        self._make = make
        self._made: list[T] = []
        self._failure: AwsError | ClusterError | None = None

    async def get(self) -> T:
        """What was made. Raises AwsError, ClusterError."""
        if self._failure is not None:
            raise self._failure
        if not self._made:
            try:
                self._made.append(await self._make())
            except (AwsError, ClusterError) as error:
                self._failure = error
                raise
        return self._made[0]


class Lab:
    """One run. Each request that changes something is reported to `step` before it is sent, and each wait."""

    def __init__(
        self, calls: AwsCalls, scope: Scope, name: str, timing: Timing, step: Callable[[str], None]
    ) -> None:
        self.calls = calls
        self.scope = scope
        self.name = name
        """Of the role and of all else that is made."""
        self.timing = timing
        self.step = step
        self.cleanup = Cleanup(timing.sleep)

    async def ask(self, operation: str, function: Callable[[AwsClients], T]) -> T:
        """Send a request. Raises AwsError."""
        return await self.calls.call(operation, function)

    async def change(self, what: str, operation: str, function: Callable[[AwsClients], T]) -> T:
        """Send a request that changes what was made. Ctrl-C waits for its end. Raises AwsError."""
        self.step(what)
        return await _to_its_end(asyncio.ensure_future(self.calls.call(operation, function)))

    async def make(self, made: Made, request: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Send a request that makes something, which is removed at the end. Raises AwsError, ClusterError."""
        self.step(f"making {made.what}")
        self.cleanup.add(made)
        task = asyncio.ensure_future(request())
        try:
            return await _to_its_end(task)
        finally:
            if task.done() and not task.cancelled() and _is_refusal(task.exception()):
                self.cleanup.forget(made)

    async def remove(self, made: Made) -> None:
        """Remove something before the end. Raises AwsError, ClusterError; it is then tried again at the end."""
        self.step(f"removing {made.what}")
        await _to_its_end(asyncio.ensure_future(self.cleanup.remove(made)))

    async def lapse(self, what: str, look: Callable[[], Awaitable[bool]], began: float | None = None) -> Lapse:
        """Look once a second until `look` holds, then for `watch` seconds more.

        Times count from `began`, by default from now. Raises what `look` raises.
        """
        self.step(f"waiting until {what}")
        now = self.timing.now
        began = now() if began is None else began
        first, last_without, looks = None, 0.0, 0
        while True:
            holds, at = await look(), now() - began
            looks += 1
            if holds and first is None:
                first = at
            elif not holds:
                last_without = at
            if at - (PATIENCE if first is None else first + self.timing.watch) >= 0:
                return Lapse(first, last_without, looks)
            await self.timing.sleep(_POLL_SECONDS)

    async def until(self, what: str, look: Callable[[], Awaitable[bool]]) -> bool:
        """Look once a second until `look` holds; answers whether it came to hold."""
        self.step(f"waiting until {what}")
        end = self.timing.now() + PATIENCE
        while not await look():
            if self.timing.now() >= end:
                return False
            await self.timing.sleep(_POLL_SECONDS)
        return True

    async def accepted(
        self, what: str, request: Callable[[], Awaitable[T]], passing: Callable[[AwsError], bool]
    ) -> T:
        """Send a request until it is accepted: AWS may refuse at first, with errors that are `passing`.

        Raises the last AwsError once that took too long, and any other at once.
        """
        found: list[T] = []
        refusals: list[AwsError] = []

        async def look() -> bool:
            try:
                found.append(await request())
            except AwsError as error:
                if not passing(error):
                    raise
                refusals.append(error)
            return bool(found)

        if not await self.until(what, look):
            raise refusals[-1]
        return found[0]


def _is_refusal(error: BaseException | None) -> bool:
    """Whether nothing was made: an error without an answer, and one of the server's, do not say so."""
    if isinstance(error, AwsError):
        return bool(error.code) and error.kind is not FailureKind.UNAVAILABLE
    return isinstance(error, RefusedError)


async def _to_its_end(task: asyncio.Task[T]) -> T:
    """Await a request that Ctrl-C does not cut off: what it made has to be known before it can be removed."""
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        with suppress(AwsError, ClusterError):
            await task
        raise


_TRIES = 5
_PAUSE_SECONDS = 2.0
"""IAM and EKS may refuse for seconds to delete what was just made or changed."""

_GONE = frozenset({FailureKind.NO_SUCH_ROLE, FailureKind.NOT_FOUND})


@dataclass(frozen=True, slots=True, eq=False)
class Made:
    """One object of a run. `remove` raises AwsError or ClusterError, and need not mind that it is gone."""

    what: str
    remove: Callable[[], Awaitable[None]]
    command: str
    """How a person removes it."""


@dataclass(frozen=True, slots=True)
class Left:
    """An object that could not be removed, and why."""

    what: str
    reason: str
    command: str


class Cleanup:
    """Remembers what was made. An object is added before the request for it is sent."""

    def __init__(self, sleep: Callable[[float], Awaitable[None]]) -> None:
        self._sleep = sleep
        self._made: list[Made] = []

    def add(self, made: Made) -> None:
        """Remember an object that is about to be made."""
        self._made.append(made)

    def forget(self, made: Made) -> None:
        """Forget an object: AWS or the cluster has refused to make it."""
        self._made.remove(made)

    async def remove(self, made: Made) -> None:
        """Remove one before the end. Raises AwsError and ClusterError, and then it is tried again at the end."""
        await self._removed(made)
        self._made.remove(made)

    async def remove_all(self, note: Callable[[str], None]) -> list[Left]:
        """Remove all, the newest first; answers what could not be removed. Each is reported to `note`."""
        left = []
        while self._made:
            made = self._made.pop()
            note(f"removing {made.what}")
            try:
                await self._removed(made)
            except (AwsError, ClusterError) as error:
                left.append(Left(made.what, str(error), made.command))
        return left

    async def _removed(self, made: Made) -> None:
        for attempt in range(1, _TRIES + 1):
            try:
                await made.remove()
            except (AwsError, ClusterError) as error:
                kind = error.kind if isinstance(error, AwsError) else None
                if kind in _GONE:
                    return
                if attempt == _TRIES or kind is FailureKind.ACCESS_DENIED or isinstance(error, RefusedError):
                    raise
                await self._sleep(_PAUSE_SECONDS)
            else:
                return
