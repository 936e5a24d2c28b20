"""JSON of the API server, read into the few fields that are needed, however deeply the rest of it is nested.

An owner of an object may nest its `metadata.managedFields` 9,995 levels deep: the API server stores that. msgspec
passes over values that are not needed, but it counts their levels as Python counts calls, and fails at about 1,000
(Python 3.11), at a number that is fixed at build time (3.12 and 3.13) or at the end of the stack (3.14).
"""

from __future__ import annotations

import re
from typing import TypeVar

import msgspec

T = TypeVar("T")

_DEEPEST = 32
"""Levels below which nothing is read: the variables of a pod in a list are nine deep."""

_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|([\[{])|([\]}])', re.DOTALL)
"""A string, the start of an object or list, or its end; possessive, so that a string is looked at once."""

_OPENS, _CLOSES = 1, 2


def decode(text: bytes | bytearray | msgspec.Raw, kind: type[T]) -> T:
    """Read a value. Raises msgspec.MsgspecError for what is no JSON, or of another type."""
    try:
        return msgspec.json.decode(text, type=kind)
    except RecursionError:
        return msgspec.json.decode(_shallow(bytes(text)), type=kind)


def _shallow(text: bytes) -> bytes:
    """The same JSON with null in place of what is nested too deeply; what is no JSON stays none."""
    kept: list[bytes] = []
    depth = start = 0
    for token in _TOKEN.finditer(text):
        if token.lastindex == _OPENS:
            depth += 1
            if depth == _DEEPEST + 1:
                kept.append(text[start : token.start()])
        elif token.lastindex == _CLOSES:
            if depth == _DEEPEST + 1:
                kept.append(b"null")
                start = token.end()
            depth -= 1
    if depth <= _DEEPEST:
        kept.append(text[start:])
    return b"".join(kept)
