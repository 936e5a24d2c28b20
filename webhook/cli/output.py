"""What a command prints: lines or a table for people, JSON or YAML for programs; colours only on a terminal."""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from rich.console import Console

    from webhook.model.control_planes import ControlPlanes
    from webhook.model.names import Subject


class Output(StrEnum):
    """The forms that every command has."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"


Line = tuple[str, str]
"""Text and style."""

Cell = tuple[str, str] | str
"""The text of a cell, or its text and style."""


@dataclass(slots=True)
class Done:
    """What was done of a plan and what was not, as lines for a person."""

    written: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)


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


@contextmanager
def plan_then_done(  # noqa: PLR0913  a plan in both forms
    hide: Callable[[], None],
    output: Output,
    lines: Iterable[Line],
    document: dict[str, Any],
    done: Done,
    *,
    soft_wrap: bool = False,
) -> Iterator[None]:
    """Print a plan before anything of it is done, and in the end what was done, whatever ends it.

    `hide` takes the line away that shows progress. A document for programs is printed whole at the end.
    """
    hide()
    if output is Output.TABLE:
        write_lines(lines, soft_wrap=soft_wrap)
        sys.stdout.flush()
    try:
        yield
    finally:  # Ctrl-C too
        hide()
        write_done(done, output, document)


def write_lines(lines: Iterable[Line], *, soft_wrap: bool = False) -> None:
    """Write lines; with `soft_wrap` the terminal breaks them, so that commands can be copied."""
    from rich.text import Text

    screen = console()
    for text, style in lines:
        screen.print(Text(text, style=style), soft_wrap=soft_wrap)


def section(title: str, lines: Iterable[Line]) -> Iterator[Line]:
    """Lines below a title, and an empty one after them; nothing where there are none."""
    if found := [*lines]:
        yield from ((title, "bold"), *found, ("", ""))


def counted(counts: Mapping[str, int]) -> str:
    """Counts in one line."""
    return ", ".join(f"{name}: {count}" for name, count in counts.items())


def write_table(columns: Sequence[str], rows: Iterable[Sequence[Cell]]) -> None:
    """Write rows under their columns."""
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
