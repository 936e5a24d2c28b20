"""Values of an answer: the SDK takes what JSON has for any type, whatever the service's model says."""

from __future__ import annotations


def text(value: object) -> str:
    """`value`, which has to be a string. Raises TypeError."""
    if not isinstance(value, str):
        raise TypeError(f"a string is expected, not {type(value).__name__}")
    return value
