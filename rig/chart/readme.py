"""The table of values in the chart's README, made of `values.yaml` and the descriptions in `values.schema.json`.

`python -m rig.chart` (`make chart`) writes it.
"""

import json
from collections.abc import Iterator
from typing import Any

import yaml

from rig.chart.helm import CHART

README = CHART / "README.md"
BEGIN, END = "<!-- values -->\n", "<!-- end of values -->\n"
UNSET = object()


def current() -> str:
    """Return the README as it is to be: as it is, with a new table."""
    before, _, rest = README.read_text().partition(BEGIN)
    return before + BEGIN + table() + END + rest.partition(END)[2]


def table() -> str:
    """Return the table in Markdown: each value with its default and what it means."""
    schema = json.loads((CHART / "values.schema.json").read_text())
    defaults = yaml.safe_load((CHART / "values.yaml").read_text())
    lines = [f"| `{key}` | {default} | {meaning} |" for key, default, meaning in _rows(schema, defaults, "")]
    return "\n".join(["| value | default | meaning |", "|---|---|---|", *lines, ""])


def _rows(schema: dict[str, Any], defaults: Any, prefix: str) -> Iterator[tuple[str, str, str]]:
    for name, part in schema["properties"].items():
        value = defaults.get(name, UNSET)
        if "properties" in part and "description" not in part:
            yield from _rows(part, value, f"{prefix}{name}.")
        else:
            choices = [f"`{choice}`" for choice in part.get("enum", ()) if isinstance(choice, str)]
            meaning = part["description"] + (f" One of {', '.join(choices)}." if choices else "")
            yield prefix + name, _shown(value), meaning


def _shown(value: Any) -> str:
    return "" if value is UNSET or value in ("", [], {}) else f"`{json.dumps(value)}`"
