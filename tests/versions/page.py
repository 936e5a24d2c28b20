"""docs/run/versions.md: each version with what passed on it, and the reason for all that did not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.figures import table
from rig.tools.catalogue import KUBERNETES_VARIABLE, USUAL_KUBERNETES
from tests.versions.areas import AREAS, UNIT_TESTS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.versions.results import Result, Results

HEAD = """# Versions

Written by `make matrix`. It builds API server, controller manager, scheduler and kubectl of each version from
source, runs tests of [the rig](../understand/rig.md) on them, and the unit tests on each Python. Cells count
tests. etcd, EKS's webhook and the simulated kubelets are the same for all versions.

## Kubernetes
{floor}

{kubernetes}

{legend}

The chart's limit allows versions with a suffix, as EKS has them (`v{exact}-eks-0123abc`). A real node is of
{usual} alone. `python -m tests.versions 1.34` runs one version; `{variable}=1.34` has any test of the rig
use it.

## Python
The locked packages are the same for all.

{python}
"""


def page(results: Results) -> str:
    """Return the page."""
    columns = ["Kubernetes", *(area.name for area in AREAS)]
    rows = [
        [result.exact or version, *(result.areas[area.name].shown for area in AREAS)]
        for version, result in results.kubernetes.items()
    ]
    pythons = [
        [result.exact or version, result.source, result.areas[UNIT_TESTS].shown]
        for version, result in results.python.items()
    ]
    text = HEAD.format(
        floor=_floor(results),
        kubernetes=table(columns, rows),
        legend="\n".join(f"- **{area.name}**: {area.shows}" for area in AREAS),
        exact=next((result.exact for result in results.kubernetes.values() if result.is_good), "1.34.4"),
        usual=USUAL_KUBERNETES,
        variable=KUBERNETES_VARIABLE,
        python=table(["Python", "from", UNIT_TESTS], pythons),
    )
    exceptions = [*_exceptions("Kubernetes", results.kubernetes), *_exceptions("Python", results.python)]
    return text + ("\n## What did not pass\n" + "\n".join(exceptions) + "\n" if exceptions else "")


def _floor(results: Results) -> str:
    if results.floor is None:
        return "No version passed."
    return f"The chart refuses versions before {results.floor}, the oldest that passed."


def _exceptions(kind: str, results: dict[str, Result]) -> Iterator[str]:
    for version, result in results.items():
        for name, outcome in result.areas.items():
            for how, reasons in (("failed", outcome.failed), ("not run", outcome.not_run)):
                yield from (f"- {kind} {version}, {name}, {how}: {reason}" for reason in reasons)
