"""Exit codes that scripts can rely on."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """How a command ended."""

    DONE = 0
    """Done; for a command that prints a plan, there is nothing to do."""
    FAILED = 1
    """Cluster or AWS would not let it."""
    WRONG = 2
    """The configuration or the call is wrong."""
    CHANGES = 3
    """There is something to do that was not done: a plan, a call without `--approve`, a migration on its way."""
    PROBLEMS = 4
    """There is something that only a person can mend."""
    INTERRUPTED = 130
    """Ended by Ctrl-C or SIGTERM."""
