"""Walking a page: its commands in their order, each checked against what the page says of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from tests.guides.output import shows
from tests.guides.page import commands

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import TracebackType

    from tests.guides.page import Command
    from tests.guides.shell import Ran, Shell


class Walk:
    """A reader of one page. Leaving the `with` block fails if a command of the page was not run.

    `settle` is called after each command, for the rig to do what real clusters do by themselves.
    """

    def __init__(self, page: Path, shell: Shell, settle: Callable[[], None] = lambda: None) -> None:
        self._page = page
        self._shell = shell
        self._settle = settle
        self._left = commands(page)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            assert not self._left, f"{self._at(self._left[0])}: was not run: {self._left[0].text}"

    def section(self, heading: str, *, as_shown: bool = True) -> list[Ran]:
        """Run the commands below a heading, which is the next that has any; answer what each printed.

        Without `as_shown` the caller looks at the output itself, and only exit codes are held against the page.
        """
        assert self._left, f"{self._page.name} has no command left for {heading!r}"
        assert self._left[0].section == heading, f"{self._at(self._left[0])}: is below {self._left[0].section!r}"
        ran = []
        while self._left and self._left[0].section == heading:
            ran += self.step(as_shown=as_shown)
        return ran

    def step(self, *, as_shown: bool = True) -> list[Ran]:
        """Run the next command alone; answer what it printed, and nothing for one that cannot be run here."""
        command = self._left.pop(0)
        return [] if command.not_run else [self._run(command, as_shown=as_shown)]

    def _run(self, command: Command, *, as_shown: bool) -> Ran:
        ran = self._shell.run(command.text)
        said = f"{self._at(command)}: {command.text}\n--- out\n{ran.out}--- err\n{ran.err}"
        assert ran.code == command.code, f"{said}--- exit code {ran.code}, and the page says {command.code}"
        if command.expected and as_shown:
            shown = "\n".join(command.expected)
            printed = (ran.out, ran.err, ran.out + ran.err)
            assert any(shows(command.expected, text) for text in printed), f"{said}--- the page shows\n{shown}"
        self._settle()
        return ran

    def _at(self, command: Command) -> str:
        return f"{self._page.name}:{command.line}"
