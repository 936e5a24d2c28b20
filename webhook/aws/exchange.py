"""What one call of AWS sends and gets in its own thread: bounded in time and size, and kept for messages.

botocore's timeouts are for each read: a server that sends a byte a second holds a thread for ever, and one that
never stops sending fills the memory, as does a small answer of very many parts. Its connection classes are
replaced for the whole process, because the requests that fetch credentials must be bounded too, and they use
clients of botocore's own.
"""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from botocore import awsrequest

from webhook.model.aws_errors import AwsError, Endpoint, FailureKind, Service
from webhook.model.errors import ObservingError
from webhook.model.text import bounded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

LARGEST = 1024 * 1024
"""Bytes that an answer may have. The largest has a trust policy: 131,072 characters at most (policyDocumentType in
IAM's service model) up to U+00FF, URL-encoded six bytes each."""

MOST_PARTS = 50_000
"""Parts of an answer. A page of 100 associations has 5,000, a role with 50 tags 500; a policy is URL-encoded."""

_BEGIN_A_PART = b"<&\"'[{:,"
"""What each element, entity, attribute, list, object, member and value of XML and JSON has at least one of."""

_DOCTYPE = b"<!DOCTYPE"

_SHOWN = 120
"""Characters of a body that a message shows."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back over HTTP, as a message shows it, and the error codes that the operation can have."""

    status: int
    content_type: str
    body: str | None
    """How it begins; None where it may hold credentials."""
    codes: frozenset[str]

    def __str__(self) -> str:
        if self.body is None:
            return f"HTTP {self.status}, {self.content_type}"
        return f"HTTP {self.status}, {self.content_type}, " + (f"begins {self.body!r}" if self.body else "no body")


class NotSentError(AwsError):
    """The request was not sent because its time was over when it was ready."""


class TooLargeError(Exception):
    """An answer that is too large to be AWS's, or has too many parts."""


class Exchange:
    """What the requests of one call share."""

    def __init__(self) -> None:
        self.answer: Answer | None = None
        self.endpoint: Endpoint | None = None
        """Where the last request of one of the services goes."""
        self.is_sent = False
        """Whether its connection was open: name look-up and handshake are done."""
        self.answered: list[Service] = []
        """The services of which an answer came that is AWS's own."""
        self.is_over = False
        """Whether the call has ended: its connection is cut, and no further request is sent."""
        self.may_send: Callable[[], bool] | None = None
        """Asked right before a request is sent, once its connection is open."""
        self._connection: Any = None
        self._socket: Any = None

    def end(self) -> None:
        """Cut its connection; called by another thread."""
        self.is_over = True
        found: Any = getattr(self._connection, "sock", None) or self._socket
        if isinstance(found, socket.socket):
            with suppress(OSError):
                socket.socket.shutdown(found, socket.SHUT_RDWR)  # below TLS, which would wait for the other side

    def use(self, connection: Any) -> None:
        """A request is about to use `connection`. Raises TimeoutError once the call is over."""
        self._connection = connection
        self._socket = connection.sock
        if self.is_over:
            raise TimeoutError("the call is over")

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Have what this thread does count to this exchange."""
        _here.exchange = self
        try:
            yield
        finally:
            _here.exchange = None
            self._connection = self._socket = None


_here = threading.local()


def current() -> Exchange | None:
    """The exchange of this thread."""
    found: Exchange | None = getattr(_here, "exchange", None)
    return found


def note_endpoint(**event: Any) -> None:
    """Remember where a request goes; for botocore's event before-send.

    A client's `meta.endpoint_url` is not the host that it calls where FIPS or dual-stack is switched on.
    """
    exchange, service = current(), event["event_name"].split(".")[1]
    if exchange is None or service not in set(Service):
        return
    exchange.endpoint = Endpoint(Service(service), _host(event["request"].url))
    exchange.is_sent = False


def _host(url: str) -> str:
    return bounded(urlsplit(url).netloc.rpartition("@")[2].removesuffix(":443"), 120)


def note_answer(**event: Any) -> None:
    """Remember what came back; for botocore's event before-parse."""
    if (exchange := current()) is None:
        return
    response, operation = event["response_dict"], event["operation_model"]
    body, output = _whole(response), operation.output_shape
    has_secrets = output is not None and any("redential" in name for name in output.members)
    is_secret = has_secrets and response["status_code"] < _REDIRECTION
    exchange.answer = Answer(
        status=response["status_code"],
        content_type=bounded(response["headers"].get("content-type") or "no content type", 60),
        body=None if is_secret else _beginning(body),
        codes=frozenset(shape.error_code for shape in operation.error_shapes),
    )


def refuse_doctype(**event: Any) -> None:
    """Raise ValueError for XML with a document type, before it is parsed; for botocore's event before-parse.

    No service of AWS sends one. Its entities make a small answer a hundred times as large in memory. The SDK reads
    XML as UTF-8 whatever it declares, so the bytes decide.
    """
    is_xml = event["operation_model"].service_model.metadata["protocol"] in _IN_XML
    if is_xml and _DOCTYPE in _whole(event["response_dict"]):
        raise ValueError("a document type")


_IN_XML = frozenset({"query", "ec2", "rest-xml"})


def _whole(response: Mapping[str, Any]) -> bytes:
    """The body; empty for one that is read later, as an object's is."""
    body = response.get("body")
    return body if isinstance(body, bytes) else b""


def _beginning(body: bytes) -> str:
    return bounded(body[: 4 * _SHOWN].decode(errors="replace"), _SHOWN)


_REDIRECTION = 300


def check_answer(**event: Any) -> None:
    """Raise KeyError for a success without AWS's request id: it may be a page of a proxy, or an empty one.

    A call whose answer has no content, such as a write, would be treated as done. For botocore's event after-call.
    """
    if event["parsed"]["ResponseMetadata"].get("RequestId"):
        if (exchange := current()) and exchange.endpoint:
            exchange.answered.append(exchange.endpoint.service)
    elif event["http_response"].status_code < _REDIRECTION:
        raise KeyError("RequestId")


_READING = ("Get", "List", "Describe", "AssumeRole")
"""How the names of operations begin that change nothing."""


def refuse_writes(**event: Any) -> None:
    """Raise ObservingError for an operation that could change something; for botocore's event before-call."""
    if not event["model"].name.startswith(_READING):
        raise ObservingError


class _Bounded:
    """Goes in front of botocore's connections."""

    sock: Any

    def connect(self) -> None:
        _use(self)
        super().connect()  # type: ignore[misc]  # it goes in front of a connection

    def request(self, *args: Any, **kwargs: Any) -> Any:
        _use(self)
        if self.sock is None:
            self.connect()
        if exchange := current():
            exchange.is_sent = True
        _check_may_send()
        return super().request(*args, **kwargs)  # type: ignore[misc]

    def getresponse(self) -> Any:
        _use(self)  # where the answer is the last one, the connection forgets its socket when it has read the head
        response = super().getresponse()  # type: ignore[misc]
        whole = response.stream

        def stream(*args: Any, **kwargs: Any) -> Iterator[bytes]:
            size = parts = 0
            for chunk in whole(*args, **kwargs):
                size += len(chunk)
                parts += len(chunk) - len(chunk.translate(None, _BEGIN_A_PART))
                if size > LARGEST or parts > MOST_PARTS:
                    response.close()
                    most = f"{LARGEST} bytes" if size > LARGEST else f"{MOST_PARTS} parts"
                    raise TooLargeError(f"the answer has more than {most}")
                yield chunk

        response.stream = stream
        return response


def _use(connection: Any) -> None:
    if exchange := current():
        exchange.use(connection)


def _check_may_send() -> None:
    """Raise NotSentError where the time for a write is over.

    Credentials have been fetched, the request is signed, and name look-up, connection and handshake are done.
    """
    exchange = current()
    if exchange and exchange.may_send and not exchange.may_send():
        raise NotSentError(FailureKind.UNAVAILABLE, "the role's lock would not have outlasted the write")


class _Http(_Bounded, awsrequest.AWSHTTPConnection):  # type: ignore[misc]  # the stubs', and so below
    """In plain, as to the agent on a node."""


class _Https(_Bounded, awsrequest.AWSHTTPSConnection):  # type: ignore[misc]
    """Over TLS."""


awsrequest.AWSHTTPConnectionPool.ConnectionCls = _Http
awsrequest.AWSHTTPSConnectionPool.ConnectionCls = _Https
