"""Percentiles, and figures as people read them."""

import math
from collections.abc import Sequence

KB = 1_000
MB = 1_000_000


def percentile(samples: Sequence[float], share: float) -> float:
    """The smallest sample that is not exceeded by `share` (0 to 1) of all; at least one sample is needed."""
    ordered = sorted(samples)
    return ordered[max(math.ceil(share * len(ordered)) - 1, 0)]


def milliseconds(seconds: float) -> str:
    """Seconds as milliseconds with two decimals."""
    return f"{seconds * 1000:.2f} ms"


def megabytes(size: float) -> str:
    """Bytes as MB (of a million bytes) with one decimal."""
    return f"{size / MB:.1f} MB"


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; every column but the first is right-aligned."""
    rule = ["---", *("---:" for _ in columns[1:])]
    return "\n".join("| " + " | ".join(row) + " |" for row in [columns, rule, *rows])


def verdict(target: str, *, met: bool) -> str:
    """A target with whether this run met it."""
    return f"- {target}: {'met' if met else '**not met**'} in this run."
