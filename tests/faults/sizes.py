"""Answers of an API server that are just below what the program reads, and that no API server gives."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

from rig.faults import Answer
from tests.support.misbehaving_api_server import MIB

if TYPE_CHECKING:
    from rig.faults import Request
    from rig.faults.misbehaviours import Exchange

_PAGE, _LINE, _OBJECT = 6 * MIB, 12 * MIB, 4 * MIB
_FRAME = 1000
"""Bytes for what is around the pieces."""


def _size(request: Request) -> int:
    if request.is_watch:
        return _LINE - _FRAME
    is_list = "limit" in parse_qs(urlsplit(request.target).query)
    return (_PAGE if is_list else _OBJECT) - _FRAME


async def many_pieces(exchange: Exchange) -> None:
    """Answer as many pieces as fit: items of a page, labels of an object that a watch shows or a read is for."""
    request, size = exchange.request, _size(exchange.request)
    labels = b",".join(b'"%x":""' % number for number in range(size // 11))
    if request.is_watch:
        body = (
            b'{"type":"ADDED","object":{"metadata":{"name":"a","resourceVersion":"9","labels":{%b}}}}\n' % labels
        )
    elif size == _PAGE - _FRAME:
        body = b'{"metadata":{"resourceVersion":"1"},"items":[%b1]}' % (b"1," * (size // 2))
    else:
        body = b'{"metadata":{"labels":{%b}}}' % labels
    await exchange.say(Answer(200, "application/json", body))


async def one_piece(exchange: Exchange) -> None:
    """Answer one text as long as fits, in place of everything that was asked for."""
    text = b"x" * _size(exchange.request)
    await exchange.say(Answer(200, "application/json", b'{"metadata":{},"object":{},"items":["%b"]}\n' % text))
