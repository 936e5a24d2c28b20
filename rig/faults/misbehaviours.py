"""What an endpoint can do to its clients, by name."""

import asyncio
import json
import random
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol

from rig.faults.messages import Answer, Request

DRIP_S = 0.5
HUGE = 10 * 1024 * 1024
NEARLY_TOO_LARGE = 1_000_000
"""Bytes: less than any client's bound for a whole answer."""

_LEVELS = 20_000
_ENTITIES = 6_000
_GARBAGE = random.Random(7).randbytes(2000)
_ROOT = re.compile(rb"<(\w+)Response( xmlns=\"[^\"]*\")?")


class Exchange(Protocol):
    """A request, and the means to misbehave with its answer."""

    request: Request

    async def genuine(self) -> Answer:
        """What the real endpoint answers."""

    async def say(self, answer: Answer) -> None:
        """Send an answer."""

    async def write(self, data: bytes) -> None:
        """Send bytes."""


@dataclass(frozen=True)
class Refused:
    """Nothing listens on the port."""


@dataclass(frozen=True)
class UntrustedCertificate:
    """The port's certificate is of an authority that no client trusts."""


Behaviour = Callable[[Exchange], Awaitable[None]]


async def _silence(_: Exchange) -> None:
    """Never answer."""
    await asyncio.Event().wait()


async def _drip(exchange: Exchange) -> None:
    """Answer what the real endpoint does, one byte each half second after the head."""
    answer = await _genuine(exchange)
    await exchange.write(answer.head)
    for byte in answer.body:
        await exchange.write(bytes([byte]))
        await asyncio.sleep(DRIP_S)


async def _empty(exchange: Exchange) -> None:
    """Answer 200 with no body at all."""
    await exchange.say(Answer(200, "text/xml", b""))


async def _truncated(exchange: Exchange) -> None:
    """Answer the first half of what the real endpoint does, as if that were all."""
    answer = await _genuine(exchange)
    await exchange.say(Answer(200, answer.content_type, answer.body[: len(answer.body) // 2]))


async def _broken_off(exchange: Exchange) -> None:
    """Announce the whole answer and close the connection in the middle."""
    answer = await _genuine(exchange)
    await exchange.write(answer.head + answer.body[: len(answer.body) // 2])


async def _wrong_types(exchange: Exchange) -> None:
    """Answer what the real endpoint does, with values of other types under the same names."""
    await exchange.say(_with_values(await _genuine(exchange), _of_another_type, b"7"))


async def _no_fields(exchange: Exchange) -> None:
    """Answer what the real endpoint does, without any of its fields."""
    await exchange.say(_with_values(await _genuine(exchange), lambda _: None, b""))


async def _garbage(exchange: Exchange) -> None:
    """Answer 200 with bytes that mean nothing."""
    await exchange.say(Answer(200, "application/octet-stream", _GARBAGE))


async def _huge(exchange: Exchange) -> None:
    """Answer 200 with 10 MB that are well-formed, in elements as small as they come."""
    await _say_document(exchange, b"<m>x</m>" * (HUGE // 8), b'{"a": 1},' * (HUGE // 9))


async def _many_parts(exchange: Exchange) -> None:
    """Answer 200 with 1 MB that is well-formed, in as many parts as there can be."""
    await _say_document(exchange, b"<m/>" * (NEARLY_TOO_LARGE // 4), b"{}," * (NEARLY_TOO_LARGE // 3))


async def _nested(exchange: Exchange) -> None:
    """Answer 200 with what is well-formed, in very many levels."""
    await _say_document(exchange, b"<m>" * _LEVELS + b"</m>" * _LEVELS, b"[" * _LEVELS + b"]" * _LEVELS + b",")


async def _entities(exchange: Exchange) -> None:
    """Answer 200 with 1 MB of XML that becomes nearly a hundred times as large, which parsers allow."""
    padding = b"<!--%b-->" % (b"y" * (NEARLY_TOO_LARGE - 50_000))
    await _say_document(exchange, b"%b<m>%b</m>" % (padding, b"&a;" * _ENTITIES), b"", b"x" * 15_000)


async def _say_document(exchange: Exchange, xml: bytes, items: bytes, entity: bytes = b"") -> None:
    if not exchange.request.action:
        await exchange.say(Answer(200, "application/json", b'{"items": [%b{}]}' % items))
        return
    name = exchange.request.action.encode()
    head = b'<!DOCTYPE r [<!ENTITY a "%b">]>' % entity if entity else b""
    body = b"<%bResponse><%bResult>%b</%bResult></%bResponse>" % (name, name, xml, name, name)
    await exchange.say(Answer(200, "text/xml", head + body))


def _page_of_a_proxy(status: int) -> Behaviour:
    page = (
        f'<!DOCTYPE html>\n<html><head><meta charset="utf-8"><title>{status}</title></head>'
        f"<body><h1>{status}</h1><p>This request was not let through by the proxy.<br></body></html>\n"
    )

    async def answer(exchange: Exchange) -> None:
        await exchange.say(Answer(status, "text/html", page.encode()))

    return answer


MISBEHAVIOURS: dict[str, Refused | UntrustedCertificate | Behaviour] = {
    "silence": _silence,
    "refused": Refused(),
    "slow-drip": _drip,
    "html-401": _page_of_a_proxy(401),
    "html-403": _page_of_a_proxy(403),
    "html-407": _page_of_a_proxy(407),
    "html-429": _page_of_a_proxy(429),
    "html-500": _page_of_a_proxy(500),
    "html-503": _page_of_a_proxy(503),
    "empty": _empty,
    "truncated": _truncated,
    "broken-off": _broken_off,
    "wrong-types": _wrong_types,
    "no-fields": _no_fields,
    "garbage": _garbage,
    "tls-failure": UntrustedCertificate(),
    "10-mb": _huge,
    "many-parts": _many_parts,
    "nested": _nested,
    "entities": _entities,
}

_EVENT = b'{"type":"ADDED","object":{"kind":"Namespace","metadata":{"name":"n","resourceVersion":"1"}}}\n'


async def _genuine(exchange: Exchange) -> Answer:
    """What the real endpoint answers, as a success: else its status alone would say enough.

    A watch's answer has no end, so one change stands for it.
    """
    if exchange.request.is_watch:
        return Answer(200, "application/json", _EVENT)
    answer = await exchange.genuine()
    return Answer(200, answer.content_type, answer.body)


def _with_values(answer: Answer, change: Callable[[Any], Any], text: bytes) -> Answer:
    """The same document with its fields changed; None drops one. `text` is all that stays of XML's result."""
    if root := _ROOT.search(answer.body):
        name, namespace = root[1], root[2] or b""
        body = b"<%bResponse%b><%bResult>%b</%bResult></%bResponse>" % (name, namespace, name, text, name, name)
        return Answer(200, answer.content_type, body)
    fields = {key: change(value) for key, value in json.loads(answer.body).items()}
    body = json.dumps({key: value for key, value in fields.items() if value is not None}).encode()
    return Answer(200, answer.content_type, body + b"\n")


def _of_another_type(value: Any) -> Any:
    match value:
        case dict():
            return "text"
        case list():
            return {"text": 7}
        case str():
            return 7
        case _:
            return "text"
