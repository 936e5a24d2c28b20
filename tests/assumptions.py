"""`python -m tests.assumptions` writes docs/evidence/assumptions.md from the program's list of assumptions."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from webhook.cli.conformance.assumptions import ASSUMPTIONS

if TYPE_CHECKING:
    from collections.abc import Sequence

PAGE = Path(__file__).parents[1] / "docs" / "evidence" / "assumptions.md"

_HEAD = """# What is assumed of AWS

The {count} rows are what the program, and its documentation, assume of AWS. AWS documents some of it, much of it
in other words or not at all: each row has its source. None was tried on a real account here.
`mxp-identity conformance` [tries them on yours](../run/conformance.md).

The tests run the program against a stand-in that behaves as expected. For each row the stand-in has a switch of
the same name (`rig/aws/violations.py`) that makes it behave otherwise. `tests/cli/conformance` shows that the
command then reports exactly that row. `python -m tests.assumptions` writes this page from
`webhook/cli/conformance/assumptions.py`.
"""


def current() -> str:
    """The page as it should be."""
    expected = [
        [f"`{one.id}`", one.service.value, one.expected, one.source, f"`{one.module}`"] for one in ASSUMPTIONS
    ]
    otherwise = [[f"`{one.id}`", one.otherwise] for one in ASSUMPTIONS]
    return "\n".join(
        [
            _HEAD.format(count=len(ASSUMPTIONS)),
            "## What is expected",
            table(["row", "service", "expected", "source", "relied on by"], expected),
            "",
            "## What the program does otherwise",
            table(["row", "where AWS behaves otherwise"], otherwise),
            "",
        ]
    )


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table of texts."""
    return "\n".join(f"| {' | '.join(row)} |" for row in [columns, ["---"] * len(columns), *rows])


if __name__ == "__main__":
    PAGE.write_text(current())
