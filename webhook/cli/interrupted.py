"""Ctrl-C, at any moment: one line, and no waiting for what nobody waits for any more."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Never

from webhook.cli.exits import Exit

if TYPE_CHECKING:
    from collections.abc import Iterator


class InterruptedByPersonError(Exception):
    """Ctrl-C, on its way through typer, which would end without a word."""


@contextmanager
def ended_by_ctrl_c() -> Iterator[None]:
    """End the process after Ctrl-C with a line on standard error and the exit code for it.

    By then the writes under way have ended. Reads that other threads still wait for are dropped: one that hangs
    would keep the terminal for many seconds.
    """
    try:
        yield
    except (KeyboardInterrupt, InterruptedByPersonError):
        _end()
    finally:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # while Python shuts down, a traceback would tell nothing


def _end() -> Never:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever presses it twice gets one line too
    with suppress(OSError):
        sys.stdout.flush()
    sys.stderr.write("interrupted: run the same command again, it goes on from here\n")
    sys.stderr.flush()
    os._exit(Exit.INTERRUPTED)
