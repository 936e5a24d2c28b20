"""On a terminal: colours, a line that says what is waited for, completion, and help; in a pipe only plain text."""

import asyncio
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer.main

from rig.aws.faults import Latency
from rig.aws.standin import AwsStandIn
from tests.cli.commands import call, run, run_on_terminal, without_codes
from webhook.cli.app import app
from webhook.cli.running import Progress

PLAIN = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent"}
ISSUER = f"https://oidc.eks.us-west-2.amazonaws.com/id/{'A1' * 16}"
SETUP = ("setup", "--bucket", "my-backups", "--region", "us-west-2", "--issuer", ISSUER)
ESCAPE = "\x1b["
COLOUR = "\x1b[1"
WAITING = "reading the account"
COMMANDS: dict[str, Any] = dict(vars(typer.main.get_command(app))["commands"])


def test_help_has_colours_on_a_terminal_only_and_none_with_no_color() -> None:
    code, shown = run_on_terminal("--help", env=PLAIN)
    assert (code, COLOUR in shown) == (0, True)
    assert ESCAPE not in run("--help", env=PLAIN).out
    _, shown = run_on_terminal("--help", env={**PLAIN, "NO_COLOR": "1"})
    assert "\x1b[3" not in shown.replace("\x1b[3m", ""), "no colour; italics are none"


def test_what_is_waited_for_is_shown_after_a_second_and_removed_again() -> None:
    with AwsStandIn() as aws:
        env = aws.environment(base=PLAIN)
        with aws.fault(Latency(actions=("GetOpenIDConnectProvider",), seconds=2)):
            code, shown = run_on_terminal(*SETUP, env=env)
            piped = run(*SETUP, env=env)
        quick = run(*SETUP, env={**env, "PYTHONDONTWRITEBYTECODE": "1"})
    assert code == 3
    assert WAITING in without_codes(shown)
    assert f"{ESCAPE}2K" in shown.rpartition(WAITING)[2], "the line is wiped"
    assert piped.err == f"{WAITING}\n"
    assert piped.out == quick.out
    assert ESCAPE not in piped.out + piped.err


def test_a_closed_pipe_is_not_reported(tmp_path: Path) -> None:
    with AwsStandIn() as aws:
        given = " ".join(f"{key}={value}" for key, value in aws.environment(base={}).items())
        done = _bash(tmp_path, f"{given} mxp-identity {' '.join(SETUP)} -o json | true; echo ${{PIPESTATUS[0]}}")
    assert done.stdout == "1\n"
    assert set(done.stderr.splitlines()) <= {WAITING}


def test_a_command_runs_whose_output_is_closed_and_a_full_disk_is_named(tmp_path: Path) -> None:
    with AwsStandIn() as aws:
        given = " ".join(f"{key}={value}" for key, value in aws.environment(base={}).items())
        command = f"{given} mxp-identity {' '.join(SETUP)}"
        done = _bash(
            tmp_path, f"{command} >&-; echo $?; {command} 2>&- >/dev/null; echo $?; {command} >/dev/full; echo $?"
        )
    assert done.stdout == "3\n3\n1\n"
    said = [line for line in done.stderr.splitlines() if line != WAITING]
    assert said == ["Error: the output cannot be written: no space left on device"]


def test_a_file_that_may_not_grow_is_named_as_a_full_disk_is(tmp_path: Path) -> None:
    """Where a quota is used up too."""
    limited = "export PYTHONDONTWRITEBYTECODE=1; ulimit -f 1"  # KiB
    done = _bash(tmp_path, f"{limited}; python -m webhook --help >{tmp_path}/help; echo $?")
    assert (done.stdout, done.stderr) == ("1\n", "Error: the output cannot be written: file too large\n")


@pytest.mark.parametrize("errors", ["2>/dev/full", "2>&1 | true"])
def test_an_exit_code_does_not_depend_on_whether_the_error_can_be_written(tmp_path: Path, errors: str) -> None:
    done = _bash(tmp_path, f"python -m webhook config check {tmp_path}/none {errors}; echo ${{PIPESTATUS[0]}}")
    assert (done.stdout, done.stderr) == ("2\n", "")


def test_nor_on_whether_what_it_waits_for_can_be_written(tmp_path: Path) -> None:
    with AwsStandIn() as aws, aws.fault(Latency(actions=("GetOpenIDConnectProvider",), seconds=2)):
        given = " ".join(f"{key}={value}" for key, value in aws.environment(base={}).items())
        done = _bash(tmp_path, f"{given} python -m webhook {' '.join(SETUP)} 2>/dev/full >/dev/null; echo $?")
    assert done.stdout == "3\n"


def test_a_bar_shows_how_many_of_how_many() -> None:
    ours, theirs = os.openpty()
    with open(theirs, "w", encoding="utf-8") as stream:  # noqa: PTH123  a terminal has no path
        before, after = asyncio.run(_before_and_after_the_first(Progress(stream, quiet_seconds=0), ours))
    os.close(ours)
    assert "\u2501" not in before, "how many there are is not known yet"
    assert "5 of 20 rollouts have ended" in after
    assert "\u2501" in after


async def _before_and_after_the_first(progress: Progress, terminal: int) -> tuple[str, str]:
    with progress:
        progress.step("restarting 20 Deployments, 3 at a time")
        before = await asyncio.to_thread(_written_until, terminal, "restarting 20 Deployments")
        progress.count("5 of 20 rollouts have ended", 5, 20)
        return before, await asyncio.to_thread(_written_until, terminal, "rollouts have ended")


def _written_until(terminal: int, words: str) -> str:
    written = b""
    while words not in written.decode(errors="replace"):
        written += os.read(terminal, 65536)
    return written.decode(errors="replace")


def test_help_names_every_command_and_says_what_each_option_is() -> None:
    helped = run("--help", env={**PLAIN, "COLUMNS": "120"})
    assert helped.code == 0
    for name, command in COMMANDS.items():
        assert f" {name} " in helped.out
        assert command.help
        assert all(getattr(each, "help", None) for each in command.params), name


@pytest.mark.parametrize("words", [(), *((name,) for name in COMMANDS), ("config", "check")], ids=" ".join)
def test_help_names_a_type_only_where_it_says_something(words: tuple[str, ...]) -> None:
    helped = call(*words, "--help", env={**PLAIN, "COLUMNS": "100"})
    assert helped.code == 0
    for shown in re.findall(r"<([^<>\n]*)>", helped.out):
        assert "|" in shown, shown  # a choice
    assert "x>=" not in helped.out
    assert max(map(len, helped.out.splitlines())) <= 100


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a person who has installed completion for their bash."""
    folder = tmp_path_factory.mktemp("home")
    done = _bash(folder, "mxp-identity --install-completion")
    assert done.returncode == 0, done.stderr
    return folder


def _bash(home: Path, program: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(Path(sys.executable).parent), "/usr/bin", "/bin"])
    env = {"PATH": path, "HOME": str(home), "SHELL": "/bin/bash"}
    return subprocess.run(["/bin/bash", "-c", program], env=env, capture_output=True, text=True, check=False)


COMPLETED = {
    "mxp-identity ver": {"verify", "version"},
    "mxp-identity report -o ": {"table", "csv", "json", "yaml"},
    "mxp-identity setup --output aws": {"awscli"},
    "mxp-identity apply --retire-": {"--retire-issuer", "--retire-role"},
}


@pytest.mark.parametrize("typed", COMPLETED)
def test_bash_completes_what_is_typed(home: Path, typed: str) -> None:
    """As bash does at Tab: by the function that `complete` has registered."""
    words = typed.split(" ")
    asked = _bash(
        home,
        f"source ~/.bashrc; COMP_WORDS=({' '.join(map(repr, words))}); COMP_CWORD={len(words) - 1}; "
        "$(complete -p mxp-identity | sed 's/.*-F \\([^ ]*\\).*/\\1/') mxp-identity; "
        "printf '%s\\n' \"${COMPREPLY[@]}\"",
    )
    assert set(asked.stdout.split()) == COMPLETED[typed], asked.stderr


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_are_answered_in_their_own_protocol(tmp_path: Path, shell: str) -> None:
    asked = _bash(
        tmp_path,
        f"_MXP_IDENTITY_COMPLETE=complete_{shell} _TYPER_COMPLETE_ARGS='mxp-identity pl' "
        "_TYPER_COMPLETE_FISH_ACTION=get-args mxp-identity",
    )
    assert "plan" in asked.stdout
    assert "report" not in asked.stdout
