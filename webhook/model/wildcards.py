"""Patterns with wildcards, judged in a time that no pattern can make long."""

from __future__ import annotations

import re
from functools import lru_cache


def matches_wildcard(pattern: str, text: str) -> bool:
    """Whether the whole of `text` fits `pattern`: `*` is any run of characters, `?` is any one."""
    return as_expression((pattern,)).fullmatch(text) is not None


@lru_cache(maxsize=256)
def as_expression(patterns: tuple[str, ...]) -> re.Pattern[str]:
    """The regular expression of the texts that fit one of `patterns` as a whole (`fullmatch`)."""
    if not patterns:
        return re.compile("(?!)")
    return re.compile("|".join(_expression(pattern) for pattern in patterns), re.DOTALL)


def _expression(pattern: str) -> str:
    """One of them.

    Each part between stars is matched where it comes first and never tried elsewhere. That loses no match, and a
    pattern of many stars does not backtrack without end.
    """
    first, *others = (
        "".join("." if char == "?" else re.escape(char) for char in part) for part in pattern.split("*")
    )
    if not others:
        return first
    *inner, last = others
    found = "".join(f"(?>.*?{part})" for part in inner if part)
    return f"{first}{found}.*{last}"
