"""Every outcome of a call to the API server is a value or a ClusterError."""

from __future__ import annotations

from contextlib import contextmanager
from http.client import HTTPException
from typing import TYPE_CHECKING

import structlog
from kubernetes.config import ConfigException
from msgspec import MsgspecError
from urllib3.exceptions import HTTPError

from webhook.kube.answers import ConflictError, NotFoundError, shown
from webhook.kube.deadlines import DeadlineError
from webhook.model.errors import ClusterError, forget_locals
from webhook.telemetry import metrics

if TYPE_CHECKING:
    from collections.abc import Iterator

log = structlog.get_logger(__name__)

_USUAL = (DeadlineError, HTTPError, HTTPException, OSError, ConfigException, MsgspecError, RecursionError)
"""What networks, servers and credentials bring about; RecursionError is JSON that is nested too deeply."""


@contextmanager
def every_outcome(what: str) -> Iterator[None]:
    """Raise a ClusterError for whatever is raised; one that is passes as it is.

    What is not usual is a bug of this program, or of a library: it is logged with its traceback, and counted.
    """
    try:
        yield
    except ClusterError:
        raise
    except _USUAL as error:
        raise ClusterError(f"{what}: {shown(str(error) or type(error).__name__)}") from error
    except Exception as error:
        log.exception("kubernetes_failed", call=what)
        metrics.unexpected_errors.labels("kubernetes").inc()
        raise ClusterError(f"{what}: {shown(repr(error))}") from error


@contextmanager
def whole_call(what: str) -> Iterator[None]:
    """The same for a thread's outermost call: the error is counted by its code, and keeps nothing that was read.

    What is not there or has changed since is an answer, and is not counted.
    """
    try:
        with every_outcome(what):
            yield
    except ClusterError as error:
        forget_locals(error)
        if not isinstance(error, NotFoundError | ConflictError):
            metrics.kubernetes_failures.labels(_code(error)).inc()
        raise


def _code(error: ClusterError) -> str:
    """The HTTP status, or the name of what was raised instead of an answer: one of a bounded number."""
    return f"HTTP_{error.status}" if error.status else type(error.__cause__ or error).__name__
