"""`python -m tests.figures` prints how large the program is, and how far one review goes through its files."""

from __future__ import annotations

import ast
import asyncio
import logging
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from bench.figures import table
from tests.support.locks import MemoryLeases
from tests.support.reviews import review, reviewing
from tests.support.sites import subject
from tests.support.virtual_time import in_virtual_time
from tests.support.worlds import World
from webhook.coordination.lock import LeaseLock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType
    from typing import Any

ROOT = Path(__file__).parents[1]
PROGRAM = ROOT / "webhook"
ENTRY = PROGRAM / "server" / "assembly.py"
SUBJECT = subject(1)


def lines_of(files: set[Path]) -> int:
    """All lines of these files."""
    return sum(len(file.read_text().splitlines()) for file in files)


def reachable(entry: Path) -> set[Path]:
    """The program's files that importing `entry` loads, imports for type checking left out."""
    found, waiting = set[Path](), [entry]
    while waiting:
        file = waiting.pop()
        if file in found:
            continue
        found.add(file)
        waiting += [file.parent / "__init__.py"]
        for module in _imported(ast.parse(file.read_text())):
            path = ROOT / module.replace(".", "/")
            waiting += [one for one in (path.with_suffix(".py"), path / "__init__.py") if one.exists()]
    return found


def _imported(node: ast.AST) -> Iterator[str]:
    """The modules of `webhook` that a module's source imports when it is loaded or when it runs."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            continue
        if isinstance(child, ast.Import):
            yield from (name.name for name in child.names if name.name.startswith("webhook"))
        elif isinstance(child, ast.ImportFrom) and (child.module or "").startswith("webhook"):
            yield child.module or ""
            yield from (f"{child.module}.{name.name}" for name in child.names)
        else:
            yield from _imported(child)


@dataclass
class MigrationSession:
    """Where one review goes: the functions of the program that are called, until the write has been sent."""

    is_over: Callable[[], bool]
    files: list[str] = field(default_factory=list)
    """In the order in which they are entered, each as often as it is."""
    functions: set[tuple[str, str]] = field(default_factory=set)

    def note(self, frame: FrameType, event: str, _: Any) -> None:
        """As sys.setprofile calls it."""
        file = frame.f_code.co_filename
        if event != "call" or not file.startswith(str(PROGRAM)) or self.is_over():
            return
        name = str(Path(file).relative_to(PROGRAM))
        self.functions.add((name, frame.f_code.co_qualname))
        if not self.files or self.files[-1] != name:
            self.files.append(name)

    @property
    def moves(self) -> int:
        """How often it goes from one file to another."""
        return len(self.files) - 1

    @property
    def moves_back(self) -> int:
        """How many of them lead into a file that was left before."""
        return len(self.files) - len(set(self.files))


@in_virtual_time
async def follow_a_review(journeys: list[MigrationSession]) -> None:
    """Follow one review in mode irsa of a ServiceAccount that no role trusts yet, from the route to the IAM write.

    IAM and the Leases are simulated. Nothing else of the program runs meanwhile.
    """
    world = World(lock=LeaseLock(MemoryLeases(), "a"))
    mirror = asyncio.create_task(world.cache.run())
    await world.cache.wait_until_synced()
    world.cluster.add_namespace(SUBJECT.namespace)
    await asyncio.sleep(1)
    journeys.append(found := MigrationSession(lambda: bool(world.iam.made("write"))))
    async with reviewing(world) as reviewer:
        sys.setprofile(found.note)
        try:
            answer = await reviewer.send(review(SUBJECT))
        finally:
            sys.setprofile(None)
    mirror.cancel()
    assert answer.annotation, "the review was not answered with the annotation"
    assert world.homes(SUBJECT), "the role does not trust it"


def main() -> None:
    """Print the figures."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    everything, served = set(PROGRAM.rglob("*.py")), reachable(ENTRY)
    commands = {file for file in served if file.is_relative_to(PROGRAM / "cli")}
    follow_a_review(journeys := list[MigrationSession]())
    (found,) = journeys
    sizes = [
        ("webhook/", str(lines_of(everything)), str(len(everything))),
        ("loaded by serve", str(lines_of(served)), str(len(served))),
        ("of them, of commands", str(lines_of(commands)), str(len(commands))),
    ]
    review_row = [len(set(found.files)), len(found.functions), found.moves, found.moves_back]
    print(table(("", "lines", "files"), sizes))  # noqa: T201
    print()  # noqa: T201
    columns = ("one review", "files", "functions", "moves between files", "of them back into a file")
    print(table(columns, [["cold, mode irsa", *map(str, review_row)]]))  # noqa: T201


if __name__ == "__main__":
    main()
