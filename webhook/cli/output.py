"""What a command prints: a table for people, JSON or YAML for programs; colours only on a terminal."""

from __future__ import annotations

import json
import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rich.console import Console

    from webhook.cli.apply.engine import Done
    from webhook.model.control_planes import ControlPlanes
    from webhook.model.names import Subject


class Output(StrEnum):
    """The forms that every command has."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"


_WIDE = 1000
"""Characters of a line that goes to a file or a pipe: long enough that nothing is cut."""


def console(in_pipe: int = _WIDE) -> Console:
    """Where people read; a pipe gets plain text, whose lines are broken after `in_pipe` characters only."""
    from rich.console import Console

    width = None if sys.stdout.isatty() else in_pipe
    return Console(file=sys.stdout, width=width, highlight=False, soft_wrap=False, markup=False)


def write_document(document: Any, output: Output) -> None:
    """Write a document of plain values as JSON or YAML."""
    if output is Output.JSON:
        sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=False) + "\n")
        return
    import yaml

    yaml.safe_dump(document, sys.stdout, sort_keys=False, allow_unicode=True, width=_WIDE)


def write_done(done: Done, output: Output, document: dict[str, Any]) -> None:
    """Write what was done and what was not: as lines, or in `document`."""
    if output is Output.TABLE:
        sys.stdout.writelines(f"done: {line}\n" for line in done.written)
    else:
        write_document({**document, "done": done.written, "notDone": done.failed}, output)
    sys.stderr.writelines(f"not done: {line}\n" for line in done.failed)


def write_table(columns: Sequence[str], rows: Iterable[Sequence[tuple[str, str] | str]]) -> None:
    """Write rows under their columns; a cell is its text, or the text and its style."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(column.upper(), overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) if isinstance(cell, str) else Text(*cell) for cell in row))
    console().print(table)


def subject_fields(subject: Subject, planes: ControlPlanes) -> dict[str, str | None]:
    """A ServiceAccount in a document, with the names of its control plane."""
    return {
        **planes.at(subject.namespace).fields,
        "namespace": subject.namespace,
        "serviceAccount": subject.service_account,
    }


def short(subject: Subject) -> str:
    """A ServiceAccount in a line for people."""
    return f"{subject.namespace}/{subject.service_account}"


def titled(subject: Subject, planes: ControlPlanes) -> str:
    """The same after the name of its control plane, where it has one."""
    return "  ".join(filter(None, (planes.at(subject.namespace).title, short(subject))))
