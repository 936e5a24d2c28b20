"""What holds of whatever is wrong with a control plane: said once, with commands that ask the right cluster."""

from __future__ import annotations

import shlex
from dataclasses import replace
from typing import TYPE_CHECKING

from tests.support.printed_commands import commands_of, without_context
from webhook.cli.verify.diagnosis import diagnose
from webhook.cli.verify.findings import Level, in_context

if TYPE_CHECKING:
    from webhook.cli.verify.findings import ControlPlane, Shared


def assert_found_once(plane: ControlPlane, shared: Shared, check: str, words: str, fix: list[str] | None) -> None:
    """One finding of `check` is not well, says `words`, and has the words of `fix` as its command."""
    (found,) = [one for one in diagnose(plane, shared).findings if one.level is not Level.OK]
    assert (found.check, words in found.message) == (check, True), found
    assert (None if found.fix is None else shlex.split(found.fix)) == fix


def assert_another_context_is_asked(plane: ControlPlane, shared: Shared) -> None:
    """Looked at in another context, all commands are the same, and each that asks a cluster asks that one."""
    context = ("--context", "new one")
    elsewhere = replace(
        shared, options=(*shared.options, *context), setup_options=(*shared.setup_options, *context)
    )
    commands = commands_of(in_context(diagnose(plane, elsewhere).findings, "new one"))
    given = commands_of(diagnose(plane, shared).findings)
    assert [without_context(command, "new one") for command in commands] == given
