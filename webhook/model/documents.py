"""What of a JSON document can be written back as it was read, and how a part of it is made legible."""

from __future__ import annotations

from decimal import Decimal
from math import isfinite

_DEEPEST = 16
"""Levels below a statement. A policy has four: the condition, its operators, their keys, lists of values."""

_EXACT_DIGITS = 15
"""Significant digits that a float keeps of any number."""

_REPLACEMENT = "\ufffd"
_LONGEST = 400
"""Characters; a ServiceAccount's subject has at most 340."""


def why_not_kept(value: object) -> str | None:
    """Why `value`, read from JSON, cannot be written back as it was stored; None where it can.

    A reason completes a sentence. Reading may have lost something: it replaces bytes that are not UTF-8, and it
    rounds a number with many digits to a float.
    """
    left = [(value, 0)]
    while left:
        one, depth = left.pop()
        if depth > _DEEPEST:
            return f"is nested more than {_DEEPEST} levels deep"
        if isinstance(one, dict):
            left += [(inner, depth + 1) for pair in one.items() for inner in pair]
        elif isinstance(one, list):
            left += [(inner, depth + 1) for inner in one]
        elif reason := _why_lost(one):
            return reason
    return None


def _why_lost(scalar: object) -> str | None:
    if isinstance(scalar, str):
        if _REPLACEMENT in scalar:
            return "holds U+FFFD, which stands for characters that could not be read"
        return "holds half of a surrogate pair" if any("\ud800" <= char <= "\udfff" for char in scalar) else None
    if isinstance(scalar, float):
        is_exact = isfinite(scalar) and len(Decimal(repr(scalar)).as_tuple().digits) <= _EXACT_DIGITS
        return None if is_exact else "holds a number that cannot be kept exactly"
    return None


def legible(value: object) -> str:
    """A part of a document as a person sees it in a sentence: printable, and not without end."""
    text = str(value)
    cut = text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in cut)
