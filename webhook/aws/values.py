"""Values of an answer: the SDK takes what JSON has for any type, whatever the service's model says."""

from __future__ import annotations

_LONGEST = 2048
"""Characters; no name has more, an ARN's limit (arnType in IAM's service model) among them."""


def text(value: object, longest: int = _LONGEST) -> str:
    """`value`, which has to be a string, so long at most. Raises TypeError or ValueError."""
    if not isinstance(value, str):
        raise TypeError(f"a string is expected, not {type(value).__name__}")
    if len(value) > longest:
        raise ValueError(f"more than {longest} characters")
    return value
