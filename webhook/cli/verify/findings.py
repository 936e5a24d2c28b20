"""One thing that was looked at, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from webhook.cli import suggested_commands as commands

if TYPE_CHECKING:
    from collections.abc import Iterable


class Level(StrEnum):
    """How bad it is."""

    BROKEN = "broken"
    """The control plane has no identity, or will lose it."""
    UNKNOWN = "unknown"
    """It could not be looked at."""
    NOTE = "note"
    OK = "ok"

    @property
    def rank(self) -> int:
        """The worst is 0."""
        return list(Level).index(self)


@dataclass(frozen=True, slots=True)
class Finding:
    """`fix` is a command that mends it, to be run as it stands, where there is one.

    `template` is one that does more, once a person has put what only they know where NAME stands.
    """

    check: str
    level: Level
    message: str
    fix: str | None = None
    template: str | None = None


def ok(check: str, message: str) -> Finding:
    """All is well."""
    return Finding(check, Level.OK, message)


def broken(check: str, message: str, fix: str | None = None) -> Finding:
    """It is not."""
    return Finding(check, Level.BROKEN, message, fix)


def unknown(check: str, message: str, fix: str | None = None) -> Finding:
    """Nobody could say."""
    return Finding(check, Level.UNKNOWN, message, fix)


def note(check: str, message: str, fix: str | None = None) -> Finding:
    """Worth knowing."""
    return Finding(check, Level.NOTE, message, fix)


def in_context(findings: Iterable[Finding], context: str | None) -> tuple[Finding, ...]:
    """The same findings, with commands that mean the cluster that was looked at; None: the current context."""
    if context is None:
        return tuple(findings)
    return tuple(
        replace(one, fix=commands.in_context(one.fix, context)) if one.fix is not None else one for one in findings
    )
