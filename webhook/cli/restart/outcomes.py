"""What `restart` does about the pods of a Deployment, and what came of it."""

from __future__ import annotations

from enum import StrEnum


class RestartOutcome(StrEnum):
    """`what` in documents and tables."""

    RESTART = "restart"
    """It is to be restarted."""
    SKIP = "skip"
    """A restart would not help, or is under way."""
    ROLLED_OUT = "rolled-out"
    TIMED_OUT = "timed-out"
    DID_NOT_HELP = "did-not-help"
    """Its new pods have no identity either."""
    FAILED = "failed"
