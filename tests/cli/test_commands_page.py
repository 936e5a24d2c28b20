"""docs/use/commands.md tells of every command, option and exit code that there is, and of no other."""

import re
from pathlib import Path
from typing import Any

import pytest
import typer.main

from webhook.cli.app import app
from webhook.cli.exits import Exit
from webhook.cli.migrate.rules import MigrationStep
from webhook.cli.report.access import AccessFinding

PAGE = Path(__file__).parents[2] / "docs" / "use" / "commands.md"
TEXT = PAGE.read_text()
COMMANDS: dict[str, Any] = dict(vars(typer.main.get_command(app))["commands"])


def test_every_command_is_in_the_table_and_no_other() -> None:
    (table,) = re.findall(r"\| command \|.*?\n\n", TEXT, re.DOTALL)
    assert set(re.findall(r"^\| `([a-z]+)` \|", table, re.MULTILINE)) == set(COMMANDS)


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
    }
    assert name in options | others


def test_every_step_of_a_migration_is_explained() -> None:
    (table,) = re.findall(r"\| next \|.*?\n\n", TEXT, re.DOTALL)
    assert set(re.findall(r"^\| `([a-z]+)` \|", table, re.MULTILINE)) == set(MigrationStep)
