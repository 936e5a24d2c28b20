"""What went wrong, in lines that a person can act on: no traceback, and an exit code."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Never

from webhook.cli.exits import Exit
from webhook.config.errors import ConfigurationError
from webhook.model.aws_errors import AwsError
from webhook.model.errors import ClusterError, InvalidNameError, InvalidPolicyError

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def explained() -> Iterator[None]:
    """Turn the errors that are foreseen into a message on standard error and an exit code."""
    try:
        yield
    except ConfigurationError as error:
        _end("the configuration is wrong:\n" + "\n".join(f"  {problem}" for problem in error.problems), Exit.WRONG)
    except InvalidNameError as error:
        _end_with("the call is wrong", error, Exit.WRONG)
    except ClusterError as error:
        _end_with("the API server", error, Exit.FAILED)
    except (AwsError, InvalidPolicyError) as error:
        _end_with("AWS", error, Exit.FAILED)


@contextmanager
def read_to_the_end() -> Iterator[None]:
    """End without a word where whoever reads the output has gone, as `head` does."""
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())  # Python flushes once more at its end
        sys.exit(Exit.FAILED)


def _end_with(who: str, error: Exception, code: Exit) -> Never:
    """End with one line, however many lines of a proxy's page are in it."""
    _end(f"{who}: {' '.join(str(error).split())}", code)


def _end(message: str, code: Exit) -> Never:
    sys.stderr.write(f"{message}\n")
    sys.exit(code)
