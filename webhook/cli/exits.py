"""How a command ends: an exit code that scripts can rely on, and at most one message, never a traceback."""

from __future__ import annotations

import errno
import os
import signal
import sys
from contextlib import contextmanager, suppress
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Never, TextIO

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


class Exit(IntEnum):
    """Exit codes."""

    DONE = 0
    """Done; for a command that prints a plan, there is nothing to do."""
    FAILED = 1
    """Cluster or AWS refused or failed."""
    WRONG = 2
    """The configuration or the call is wrong."""
    CHANGES = 3
    """Something is left to do: a plan, a call without `--approve`, an unfinished migration."""
    PROBLEMS = 4
    """Something is left that only a person can correct."""
    INTERRUPTED = 130
    """Ended by Ctrl-C or SIGTERM."""

    @classmethod
    def of(cls, *, failed: bool = False, changes: bool = False, problems: bool = False) -> Exit:
        """The code for the first of these that is so."""
        if failed:
            return cls.FAILED
        if changes:
            return cls.CHANGES
        return cls.PROBLEMS if problems else cls.DONE


_SIGNALS = (signal.SIGINT, signal.SIGTERM)

_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""The disk is full, the quota used up, the file as large as it may be."""

_CONTINUED = frozenset({"setup", "adopt", "apply", "migrate", "restart", "withdraw"})
"""Commands whose next run finds what is done, and does the rest."""


@contextmanager
def explained() -> Iterator[None]:
    """Turn expected errors into `Error: ...` on standard error, a line for each, and an exit code."""
    from typer import TyperException

    from webhook.model.aws_errors import AwsError
    from webhook.model.errors import ClusterError, ConfigurationError, InvalidNameError, InvalidPolicyError

    try:
        yield
    except TyperException as error:  # the call itself; without a message its help was printed
        _end(Exit.WRONG, *filter(None, [error.format_message()]))
    except ConfigurationError as error:
        _end(Exit.WRONG, *error.problems)
    except InvalidNameError as error:
        _end(Exit.WRONG, str(error))
    except (ClusterError, AwsError, InvalidPolicyError) as error:
        _end(Exit.FAILED, str(error))


@contextmanager
def read_to_the_end() -> Iterator[None]:
    """End silently where the reader of the output has closed it, as `head` does; name a disk that is full."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # as Python has it where the shell closed it, as with `>&-`
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115  until the process ends
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        _drop(sys.stdout)
        sys.exit(Exit.FAILED)
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        _drop(sys.stdout)
        _end(Exit.FAILED, f"the output cannot be written: {str(error.strerror).lower()}")
    finally:
        try:
            sys.stderr.flush()
        except OSError:
            _drop(sys.stderr)


def _drop(stream: TextIO) -> None:
    """Python flushes it once more at its end, and would end with 120 where that fails."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())


class InterruptedByPersonError(Exception):
    """Ctrl-C on its way through typer, which would end silently."""


def next_run(typed: Sequence[str]) -> str:
    """What the same command does after Ctrl-C, by the words that were typed."""
    command = next((word for word in typed if not word.startswith("-")), "")
    if command in _CONTINUED:
        return "it continues from here"
    return "it removes what is left and begins anew" if command == "conformance" else "it begins anew"


@contextmanager
def ended_by_ctrl_c() -> Iterator[None]:
    """End the process after Ctrl-C or SIGTERM with a line on standard error and the exit code for it.

    It ends at once: Python would raise KeyboardInterrupt within a module that is loading, and a class of it
    can make another error of that, or drop it. Where a coroutine runs, `running.run` lets the writes under way end
    before. Reads that other threads still wait for are dropped: a hanging one would keep the terminal for many
    seconds. Python waits for them at its end, so that the signals are handled after the block too.
    """
    handle_signals(_interrupted)
    try:
        yield
    except InterruptedByPersonError:
        _interrupted()


def handle_signals(handler: Any) -> None:
    """Have `handler` called by Ctrl-C and SIGTERM. One that is ignored stays so.

    A script's shell has Ctrl-C ignored by its background jobs: it is meant for the script.
    """
    for number in _SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, handler)


def _interrupted(*_: object) -> Never:
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)  # pressing it twice gives one line too
    with suppress(OSError, RuntimeError):  # RuntimeError: it came in the middle of a write there
        sys.stdout.flush()
    line = f"interrupted: run the same command again, {next_run(sys.argv[1:])}\n"
    with suppress(OSError):
        os.write(sys.stderr.fileno(), line.encode())
    os._exit(Exit.INTERRUPTED)


def _end(code: Exit, *messages: str) -> Never:
    """End with a line for each message, however many lines of a proxy's page are in it."""
    with suppress(OSError):  # the code says it too
        sys.stderr.writelines(f"Error: {' '.join(message.split())}\n" for message in messages)
    sys.exit(code)
