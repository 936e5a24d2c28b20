"""docs/use/commands.md tells of every command, option and exit code that there is, and of no other."""

import re
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest
import typer.main

from webhook.cli.app import app
from webhook.cli.conformance.observation import Verdict
from webhook.cli.exits import Exit
from webhook.cli.migrate.command import Way
from webhook.cli.migrate.rules import MigrationStep
from webhook.cli.report.access import AccessFinding, AssociationOwner
from webhook.cli.restart.restart_plan import RestartOutcome
from webhook.cli.verify.findings import Check, Level
from webhook.cli.withdraw.plan import ObstacleKind
from webhook.planning.binding_matches import ProblemKind

PAGE = Path(__file__).parents[2] / "docs" / "use" / "commands.md"
TEXT = PAGE.read_text()
COMMANDS: dict[str, Any] = dict(vars(typer.main.get_command(app))["commands"])


def test_every_command_is_in_the_table_and_no_other() -> None:
    (table,) = re.findall(r"\| command \|.*?\n\n", TEXT, re.DOTALL)
    assert set(re.findall(r"^\| `([a-z]+)(?: check)?` \|", table, re.MULTILINE)) == set(COMMANDS)


def test_the_programs_help_has_for_every_command_with_approve_what_it_does_without() -> None:
    told = typer.main.get_command(app).help or ""
    approved = {
        name for name, command in COMMANDS.items() if any("--approve" in one.opts for one in command.params)
    }
    assert approved <= set(re.findall(r"`([a-z]+)`", told))


def test_every_exit_code_is_explained() -> None:
    (table,) = re.findall(r"\| exit code \|.*?\n\n", TEXT, re.DOTALL)
    assert set(map(int, re.findall(r"^\| (\d+) \|", table, re.MULTILINE))) == set(Exit)


def test_every_finding_of_the_report_is_explained() -> None:
    (table,) = re.findall(r"\| finding \|.*?\n\n", TEXT, re.DOTALL)
    assert set(re.findall(r"`([^`]+)`[, ]", table)) - {"mode: annotate"} == set(AccessFinding)


@pytest.mark.parametrize("name", sorted(set(re.findall(r"--[a-z][a-z-]+", TEXT))))
def test_every_option_that_it_names_is_there(name: str) -> None:
    options = {option for command in COMMANDS.values() for each in command.params for option in each.opts}
    others = {
        "--help",
        "--install",
        "--create-namespace",
        "--install-completion",
        "--overwrite",
        "--reset-then-reuse-values",
        "--retire-",
        "--set",
    }
    assert name in options | others


def test_every_step_of_a_migration_is_explained() -> None:
    (table,) = re.findall(r"\| next \|.*?\n\n", TEXT, re.DOTALL)
    assert set(re.findall(r"^\| `([a-z]+)` \|", table, re.MULTILINE)) == set(MigrationStep)


VALUES: dict[str, type[StrEnum]] = {
    "check": Check,
    "level": Level,
    "kind": ProblemKind,
    "finding": AccessFinding,
    "owner": AssociationOwner,
    "obstacle": ObstacleKind,
    "what": RestartOutcome,
    "next": MigrationStep,
    "to": Way,
    "verdict": Verdict,
}


@pytest.mark.parametrize("key", VALUES)
def test_every_value_that_programs_read_is_a_word_and_is_listed(key: str) -> None:
    assert all(re.fullmatch("[a-z]+(-[a-z]+)*", value) for value in VALUES[key])
    (section,) = re.findall(r"^## Values\n(.*?)(?=^## |\Z)", TEXT, re.DOTALL | re.MULTILINE)
    (row,) = re.findall(rf"^\| `{key}`.*$", section, re.MULTILINE)
    if "its table" in row:
        page = re.search(r"\(#([a-z]+)\)", row)
        assert page
        (row,) = re.findall(rf"^## {page[1]}\n(.*?)(?=^## |\Z)", TEXT, re.DOTALL | re.MULTILINE)
    assert set(VALUES[key]) <= set(re.findall(r"`([a-z-]+)`", row))


def test_each_symbol_has_one_meaning() -> None:
    (line,) = re.findall(r"^- \*\*Symbols\*\*.*?(?=^- )", TEXT, re.DOTALL | re.MULTILINE)
    symbols = re.findall(r"`([^`]+)`", line)
    assert len(symbols) == len(set(symbols)) == 8
    shown = [mark for _, mark in re.findall(r"^(  )(\S{1,2}) +[a-z-]+: ", TEXT, re.MULTILINE)]
    assert set(shown) <= set(symbols) - {"+", "-", "~"}
