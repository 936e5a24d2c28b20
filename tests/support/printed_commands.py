"""Commands that are printed to mend something, by their words, and the cluster that they ask."""

from __future__ import annotations

import shlex
from itertools import groupby
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from webhook.cli.verify.findings import Finding

_AND = "&&"
_CONTEXT_OPTIONS = {"kubectl": "--context", "helm": "--kube-context", "mxp-identity": "--context"}


def each_command(fixes: Iterable[str | None]) -> list[list[str]]:
    """The words of each command of the fixes that are there, in their order."""
    return [
        list(words)
        for fix in fixes
        for is_and, words in groupby(shlex.split(fix or ""), lambda word: word == _AND)
        if not is_and
    ]


def commands_of(findings: Iterable[Finding]) -> list[list[str]]:
    """The words of each command of the findings, in their order."""
    return each_command(text for finding in findings for text in (finding.fix, finding.template))


def without_context(command: list[str], context: str) -> list[str]:
    """The command without the option that names `context`. AssertionError where it asks a cluster and lacks it."""
    option = _CONTEXT_OPTIONS.get(command[0])
    if option is None:
        assert command[0] == "aws", f"whether this asks a cluster is not known: {command}"
        return command
    assert command.count(option) == 1, command
    place = command.index(option)
    assert command[place + 1] == context, command
    return command[:place] + command[place + 2 :]
