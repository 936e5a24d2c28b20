"""One connection to the API server: requests in bounded pools of threads, each with a deadline."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlencode

import msgspec
import urllib3

from webhook.kube.access import Access
from webhook.kube.deadlines import Deadline, answered_by, respect_deadlines
from webhook.kube.errors import MIB, body_of, error_of, every_outcome, shown, whole_call
from webhook.kube.objects import decode
from webhook.model.errors import ClusterError, ObservingError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from urllib3 import BaseHTTPResponse

JSON_PATCH, MERGE_PATCH = "application/json-patch+json", "application/merge-patch+json"
"""How a patch is meant: its content type."""

T = TypeVar("T")

_THREADS = 16
"""Of each of the two pools."""

_CONNECT_SECONDS = 2.0

_LARGEST_ANSWER = 4 * MIB
"""Bytes of one object. A larger one fails the calls about it, and no others."""


class Connection:
    """Requests to the API server of KUBECONFIG, or as the program's own ServiceAccount.

    For a `person` it is as with kubectl: ~/.kube/config counts too, and `context` chooses within the file. Raises
    ClusterError where there is no such configuration; a token that is missing is an error of each call.

    With `writable` all other paths can only be read: a request that writes there is not sent.
    """

    def __init__(
        self, *, person: bool = False, context: str | None = None, writable: Collection[str] | None = None
    ) -> None:
        self._writable = writable
        self._access = Access(person=person, context=context)
        self._pool = self._access.pool_manager(2 * _THREADS)
        respect_deadlines(self._pool)
        self._bulk = ThreadPoolExecutor(_THREADS, thread_name_prefix="kubernetes")
        self._urgent = ThreadPoolExecutor(_THREADS, thread_name_prefix="kubernetes-urgent")

    @property
    def context(self) -> str:
        """The context of the kubeconfig; "in the pod" where there is none."""
        return self._access.context or "in the pod"

    async def in_thread(self, function: Callable[[], T], *, urgent: bool = False) -> T:
        """Run `function`, which makes blocking calls and reads their answers. Raises ClusterError, and no other.

        Calls that must not wait (Leases, the reads for a review) are `urgent`: they have threads of their own, so
        that slow lists and patches do not delay them.
        """

        def called() -> T:
            with whole_call("a call of the API server"):
                return function()

        return await self._started(called, urgent=urgent)  # in no variable: its error would refer to itself

    def _started(self, call: Callable[[], T], *, urgent: bool) -> asyncio.Future[T]:
        try:
            return asyncio.get_running_loop().run_in_executor(self._urgent if urgent else self._bulk, call)
        except RuntimeError as error:
            raise ClusterError(f"the connection to the cluster takes no call: {error}") from error

    def ask(self, kind: type[T], method: str, path: str, **options: Any) -> T:
        """Send one request (`options` as of `request`) and answer the object. Blocks; raises ClusterError."""
        body = self.request(method, path, **options)
        try:
            return decode(body, kind)
        except ValueError as error:
            raise ClusterError(
                f"{method} {path}: unexpected response, not the API server's; is there another server in between: "
                f"{shown(str(error))}"
            ) from error

    def request(  # noqa: PLR0913  the parts of an HTTP request
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        content_type: str = "application/json",
        seconds: float = 10.0,
        most: int = _LARGEST_ANSWER,
    ) -> bytes:
        """Send one request and answer its body, of `most` bytes and within `seconds`. Blocks; raises ClusterError.

        For a caller that has no use for the answer; `ask` reads it.
        """
        with every_outcome(f"{method} {path}", self._access.address):
            deadline = Deadline(seconds)
            response = self._send(method, path, query, body, content_type, deadline)
            return body_of(response, f"{method} {path}", most)

    def stream(self, path: str, query: Mapping[str, str], deadline: Deadline) -> BaseHTTPResponse:
        """Open a watch, which may be read until `deadline`. Blocks until it answers; raises ClusterError."""
        with every_outcome(f"GET {path}", self._access.address):
            return self._send("GET", path, query, None, "application/json", deadline)

    def token(self) -> str | None:
        """The token that a request carries now, or None where it carries another credential. Blocks."""
        kind, _, token = (self._access.authorization(_CONNECT_SECONDS) or "").partition(" ")
        return token if kind.lower() == "bearer" else None

    def close(self) -> None:
        """Start nothing more; calls under way end by their deadlines."""
        for threads in (self._bulk, self._urgent):
            threads.shutdown(wait=False, cancel_futures=True)

    def _send(  # noqa: PLR0913, PLR0917  the parts of an HTTP request
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        body: Any,
        content_type: str,
        deadline: Deadline,
    ) -> BaseHTTPResponse:
        if method != "GET" and self._writable is not None and path not in self._writable:
            raise ObservingError
        headers = {"Accept": "application/json", "User-Agent": "mxp-identity-webhook"}
        if body is not None:
            headers["Content-Type"] = content_type
        authorization = self._access.authorization(deadline.left())
        if authorization is not None:
            headers["Authorization"] = authorization
        url = self._access.address + path + (f"?{urlencode(query)}" if query else "")
        left = deadline.left()
        with answered_by(deadline):
            response = self._pool.request(
                method,
                url,
                body=None if body is None else msgspec.json.encode(body),
                headers=headers,
                timeout=urllib3.Timeout(connect=min(_CONNECT_SECONDS, left), read=left),
                preload_content=False,
                redirect=False,
            )
            if (error := error_of(response, f"{method} {path}", self._access.address)) is not None:
                raise error
        return response
