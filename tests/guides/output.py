"""Whether what a command printed is what a page shows, but for what differs from run to run."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

ANY_LINES = "..."

_VARYING = (
    (re.compile(r"(?<=[a-z]-)[0-9a-f]{8,10}-[a-z0-9]{5}\b"), "<pod>"),
    (re.compile(r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)?"), "<time>"),
    (re.compile(r"\b(\d+m)?\d+(\.\d+)? ?(s|seconds)\b"), "<seconds>"),
)
"""Names that Kubernetes draws, times of day, and how long something took."""


def shows(expected: Sequence[str], printed: str) -> bool:
    """Whether `printed` is what is expected, where a line `...` stands for any lines."""
    chunks: list[list[str]] = [[]]
    for line in expected:
        if line.strip() == ANY_LINES:
            chunks.append([])
        else:
            chunks[-1].append(_alike(line))
    lines = [_alike(line) for line in printed.splitlines()]
    if len(chunks) == 1:
        return lines == chunks[0]
    head, *middle, tail = chunks
    if lines[: len(head)] != head or (tail and lines[-len(tail) :] != tail):
        return False
    at, end = len(head), len(lines) - len(tail)
    for chunk in middle:
        found = next((n for n in range(at, end - len(chunk) + 1) if lines[n : n + len(chunk)] == chunk), None)
        if found is None:
            return False
        at = found + len(chunk)
    return at <= end


def _alike(line: str) -> str:
    for pattern, name in _VARYING:
        line = pattern.sub(name, line)
    return re.sub(r" {2,}", "  ", line.rstrip())  # columns are as wide as their longest entry
