"""The commands of a documentation page, as a reader would type them, with what the page says they print.

Blocks fenced as `console` hold commands after `$ ` and the output of each, blocks fenced as `sh` commands only. A
line `...` in an output stands for any lines. No other block may show a prompt: what follows it would not be run. A
command that is meant to end otherwise than well says so itself, as in `# exit code 3`. A block whose first line is
`# Not run by the tests: REASON` is read, but not for running.
"""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

PROMPT = "$ "
NOT_RUN = "# Not run by the tests: "
OTHER_LANGUAGES = frozenset({"hcl", "json", "text", "yaml"})
"""Languages of blocks that hold no commands."""

_EXIT_CODE = re.compile(r"# exit code (\d+)")
_FENCE = re.compile(r"```(\S*)\s*$")
_HEADING = re.compile(r"#+ (.+)")


class PageError(Exception):
    """A page that cannot be read as commands; the message names page and line."""


@dataclass(frozen=True)
class Command:
    """One command. `expected` are the lines that the page shows as its output; empty where it shows none."""

    text: str
    line: int
    section: str
    expected: tuple[str, ...] = ()
    not_run: str = ""

    @property
    def code(self) -> int:
        """The exit code that the page promises."""
        found = _EXIT_CODE.search(self.text)
        return int(found[1]) if found else 0


@dataclass(frozen=True)
class Block:
    """One fenced block: its language, its lines, and the number of the first of them."""

    language: str
    lines: tuple[str, ...]
    first: int
    section: str


def blocks(page: Path) -> Iterator[Block]:
    """The fenced blocks of a page; raises PageError for one without an end."""
    section, language, start = "", None, 0
    held: list[str] = []
    for number, line in enumerate(page.read_text().splitlines(), 1):
        fence = _FENCE.match(line)
        if language is None:
            if fence:
                language, start, held = fence[1], number + 1, []
            elif heading := _HEADING.match(line):
                section = heading[1]
        elif fence:
            yield Block(language, tuple(held), start, section)
            language = None
        else:
            held.append(line)
    if language is not None:
        raise PageError(f"{page.name}:{start}: a block without an end")


def commands(page: Path) -> list[Command]:
    """Every command of a page, in its order; raises PageError for a block that could hide one."""
    found: list[Command] = []
    for block in blocks(page):
        if block.language not in {"sh", "console", *OTHER_LANGUAGES}:
            raise PageError(
                f"{page.name}:{block.first}: a block is fenced as {block.language!r}; "
                f"commands are sh or console, others {', '.join(sorted(OTHER_LANGUAGES))}"
            )
        if block.language in OTHER_LANGUAGES:
            _refuse_prompts(block, page.name)
        else:
            found.extend(_commands_of(block, page.name))
    return found


def _refuse_prompts(block: Block, page: str) -> None:
    for number, line in enumerate(block.lines, block.first):
        if line.startswith(PROMPT):
            raise PageError(
                f"{page}:{number}: {line!r} is fenced as {block.language!r} and never run: use console"
            )


def _commands_of(block: Block, page: str) -> Iterator[Command]:
    lines, first, reason = block.lines, block.first, ""
    if lines and lines[0].startswith(NOT_RUN):
        reason = lines[0].removeprefix(NOT_RUN)
        lines, first = lines[1:], first + 1
    at = 0
    while at < len(lines):
        end = at + 1
        line = lines[at]
        if block.language == "console" and not line.startswith(PROMPT):
            raise PageError(
                f"{page}:{first + at}: {line!r} comes before a command; commands begin with {PROMPT!r}"
            )
        text = line.removeprefix(PROMPT) if block.language == "console" else line
        while not _is_complete(text):
            if end == len(lines):
                raise PageError(f"{page}:{first + at}: {text!r} does not end within its block")
            text, end = f"{text}\n{lines[end]}", end + 1
        shown = _output(lines, end) if block.language == "console" else ()
        if text.strip() and not text.startswith("#"):
            yield Command(text, first + at, block.section, shown, reason)
        at = end + len(shown)


def _output(lines: Sequence[str], start: int) -> tuple[str, ...]:
    end = start
    while end < len(lines) and not lines[end].startswith(PROMPT):
        end += 1
    return tuple(lines[start:end])


def _is_complete(text: str) -> bool:
    """Whether bash would run this without waiting for another line."""
    if text.endswith("\\"):
        return False
    tried = subprocess.run(["bash", "-n"], input=text + "\n", capture_output=True, text=True, check=False)
    # An open here-document is a warning, an open quote or brace an error at the end of the file.
    return not re.search(r"here-document|unexpected EOF|unexpected end of file", tried.stderr)
