"""docs/evidence/proof.md: each claim with its figures, the code it was measured with, and the command."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from bench.figures import table

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tests.proof.ledger import Proof
    from tests.proof.records import Figure

HEAD = """# What is proved

Each claim is a test that passed, most of them on a real Kubernetes with the AWS stand-in of `rig/`. With it are
the figures that it measured, the day, and a hash of the code (program, chart, rig and tests). A test that fails
removes its claim.
Counts hold everywhere; times are of the machine that ran it. `make proof` wrote this page with the code `{code}`.
"""


def page(proofs: Sequence[Proof], code: str) -> str:
    """Return the page."""
    measured = [
        (_function(proof.test), claim, proof, figures) for proof in proofs for claim, figures in proof.measured
    ]
    groups = groupby(sorted(measured, key=lambda each: each[:2]), lambda each: each[:2])
    sections = [
        _section(claim, test, [(proof, figures) for _, _, proof, figures in group])
        for (test, claim), group in groups
    ]
    bare = [proof for proof in proofs if not proof.measured]
    sections += [
        _unmeasured(test, list(group)) for test, group in groupby(bare, lambda proof: _function(proof.test))
    ]
    return "\n".join([HEAD.format(code=code), *sections])


def sentence(test: str) -> str:
    """Return a test's name as the sentence that it is."""
    name = _function(test).rpartition("::")[2].removeprefix("test_").replace("_", " ")
    return f"{name} ({_case(test)})" if _case(test) else name


def _function(test: str) -> str:
    """The id without its case, which runs all cases."""
    return test.partition("[")[0]


def _case(test: str) -> str:
    return test.partition("[")[2].removesuffix("]")


def _section(claim: str, test: str, cases: Sequence[tuple[Proof, dict[str, Figure]]]) -> str:
    keys = list(dict.fromkeys(key for _, figures in cases for key in figures))
    columns = ["", *(key.replace("_", " ") for key in keys)]
    rows = [[_case(proof.test), *(_shown(figures.get(key, "")) for key in keys)] for proof, figures in cases]
    return f"## {claim}\n\n{table(columns, rows)}\n\n{_passed(proof for proof, _ in cases)}\n\n{_command(test)}"


def _unmeasured(test: str, cases: Sequence[Proof]) -> str:
    claim = sentence(_function(test))
    return f"## {claim[0].upper()}{claim[1:]}\n\n{_passed(cases)}\n\n{_command(test)}"


def _passed(cases: Iterable[Proof]) -> str:
    times = sorted({(proof.on, proof.code) for proof in cases})
    return "Passed " + ", ".join(f"on {on} with `{code}`" for on, code in times) + "."


def _command(test: str) -> str:
    return f"```\n.venv/bin/python -m pytest {test}\n```\n"


def _shown(figure: Figure) -> str:
    return f"{figure:,}" if isinstance(figure, int) else str(figure)
