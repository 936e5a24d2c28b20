"""Calling AWS from the event loop: one bounded thread pool, short timeouts, each outcome a value or AwsError."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from webhook.aws.clients import THREADS, AwsClients
from webhook.aws.exchange import Exchange
from webhook.aws.failures import explained, released
from webhook.aws.reachability import Reachability
from webhook.model.aws_errors import AwsError, FailureKind
from webhook.telemetry import metrics

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

_LONGEST_TEXT = 2048
"""Characters; no name has more, an ARN's limit (arnType in IAM's service model) among them."""

_LONGEST_CALL = 10.0
"""Seconds of a call for each attempt, with credentials fetched and the answer read, however slowly it comes."""


class AwsCalls:
    """The program's calls of AWS. Its construction never fails: each call reports what is missing.

    A person who only reads may have a call tried several times (`attempts`), as the SDK does it. `partition` is
    that of the roles: it decides the region where nothing else does. With `read_only` a call that writes is not
    sent, and raises AwsError.
    """

    def __init__(self, attempts: int = 1, partition: str = "aws", *, read_only: bool = False) -> None:
        self._clients = AwsClients(attempts, partition, read_only=read_only)
        self._reachability = Reachability()
        self._longest = _LONGEST_CALL * attempts
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="aws")
        self._closed = False

    async def region(self) -> str:
        """The region that is called. Raises AwsError where the SDK's configuration cannot be used."""

        def find() -> str:
            try:
                return self._clients.region
            except Exception as error:
                raise explained("the region", error, Exchange())[1] from error

        return await asyncio.get_running_loop().run_in_executor(self._threads, find)

    async def call(self, operation: str, function: Callable[[AwsClients], T]) -> T:
        """Run `function` with the clients in the pool.

        Raises AwsError for whatever goes wrong in it, so an answer is read inside it. The message
        has the operation's name and AWS's own words, or what came back instead. A call that raises
        UNAVAILABLE or UNEXPECTED may have happened; one that is abandoned sends no further request.
        """
        if self._closed:
            raise AwsError(FailureKind.UNAVAILABLE, f"{operation}: the program is ending")
        loop, exchange = asyncio.get_running_loop(), Exchange()
        work = loop.run_in_executor(self._threads, self._timed, operation, function, exchange)
        end = loop.call_later(self._longest, exchange.end)  # also of a call that its caller has left
        too_late = AwsError(FailureKind.UNAVAILABLE, f"{operation}: no whole answer within {self._longest:g} s")
        try:
            async with asyncio.timeout(self._longest):
                found = await work
        except TimeoutError as error:
            exchange.end()
            raise too_late from error
        finally:
            if not work.cancelled():
                end.cancel()
        if not isinstance(found, AwsError):
            return found
        try:
            raise too_late if exchange.is_over else found  # it was cut: what its thread made of that is no news
        finally:
            del found  # its traceback holds this frame

    async def find(self, operation: str, function: Callable[[AwsClients], T]) -> T | None:
        """As `call`; None where EKS answers that there is no such cluster, add-on or association."""
        try:
            return await self.call(operation, function)
        except AwsError as error:
            if error.kind is FailureKind.NOT_FOUND:
                return None
            raise

    def close(self) -> None:
        """Start nothing more; calls under way end by their timeouts."""
        self._closed = True
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _timed(self, operation: str, function: Callable[[AwsClients], T], exchange: Exchange) -> T | AwsError:
        """What `function` answers, or what went wrong: an error that is raised holds the frames that it passed."""
        started = time.perf_counter()
        code = "OK"
        try:
            with exchange.entered():
                return function(self._clients)
        except Exception as error:  # noqa: BLE001  every outcome is a value or an AwsError
            code, found = explained(operation, error, exchange)
            if exchange.is_over:
                code = "TimeoutError"
            elif found.unreachable:
                self._reachability.note_failure(found.unreachable)
            return released(found, error)
        finally:
            self._reachability.note_answers(exchange.answered)
            metrics.aws_seconds.labels(operation, code).observe(time.perf_counter() - started)


def text(value: object, longest: int = _LONGEST_TEXT) -> str:
    """`value` as a string: the SDK accepts any type of JSON, whatever the service's model says.

    Raises TypeError for another type, ValueError for more than `longest` characters.
    """
    if not isinstance(value, str):
        raise TypeError(f"a string is expected, not {type(value).__name__}")
    if len(value) > longest:
        raise ValueError(f"more than {longest} characters")
    return value
