"""docs/proof.md: each claim with what was measured, and the command that measures it again."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from bench.figures import table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.proof.records import Figure, Measurement

HEAD = """# What is proved

Written by `make proof`, from what the tests themselves measured on real Kubernetes and the AWS stand-in of `rig/`.
Nothing is written unless every one of them passes. Counts hold everywhere; times are of the machine that ran it.
"""


def page(measurements: Sequence[Measurement], unmeasured: Sequence[str]) -> str:
    """Return the page; `unmeasured` are the ids of tests that passed and recorded nothing."""

    def place(each: Measurement) -> tuple[str, str]:
        return _function(each.test), each.claim

    groups = groupby(sorted(measurements, key=place), place)
    measured = [_section(claim, test, list(group)) for (test, claim), group in groups]
    return "\n".join([HEAD, *measured, *map(_unmeasured, sorted({_function(test) for test in unmeasured}))])


def sentence(test: str) -> str:
    """Return a test's name as the sentence that it is."""
    name = _function(test).rpartition("::")[2].removeprefix("test_").replace("_", " ")
    return f"{name} ({_case(test)})" if _case(test) else name


def _function(test: str) -> str:
    """The id without its case, which runs all cases."""
    return test.partition("[")[0]


def _case(test: str) -> str:
    return test.partition("[")[2].removesuffix("]")


def _section(claim: str, test: str, measurements: Sequence[Measurement]) -> str:
    keys = list(dict.fromkeys(key for each in measurements for key in each.measured))
    columns = ["", *(key.replace("_", " ") for key in keys)]
    rows = [[_case(each.test), *(_shown(each.measured.get(key, "")) for key in keys)] for each in measurements]
    return f"## {claim}\n\n{table(columns, rows)}\n\n{_command(test)}"


def _unmeasured(test: str) -> str:
    claim = sentence(test)
    return f"## {claim[0].upper()}{claim[1:]}\n\nPassed.\n\n{_command(test)}"


def _command(test: str) -> str:
    return f"```\n.venv/bin/python -m pytest {test}\n```\n"


def _shown(figure: Figure) -> str:
    return f"{figure:,}" if isinstance(figure, int) else str(figure)
