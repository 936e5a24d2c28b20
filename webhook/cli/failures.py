"""What went wrong, in lines that a person can act on: no traceback, and an exit code."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import msgspec

from webhook.cli.exits import Exit
from webhook.config.errors import ConfigurationError
from webhook.domain.errors import ClusterError, InvalidNameError, InvalidPolicyError
from webhook.trust.ports import AwsError

if TYPE_CHECKING:
    from collections.abc import Iterator


class InterruptedByPersonError(Exception):
    """Ctrl-C; what was under way has been finished, and a second run goes on from there."""


@contextmanager
def explained() -> Iterator[None]:
    """Turn the errors that are foreseen into a message on standard error and an exit code."""
    try:
        yield
    except ConfigurationError as error:
        _end("the configuration is wrong:\n" + "\n".join(f"  {problem}" for problem in error.problems), Exit.WRONG)
    except InvalidNameError as error:
        _end(f"the call is wrong: {error}", Exit.WRONG)
    except ClusterError as error:
        _end(f"the API server: {error}", Exit.FAILED)
    except msgspec.MsgspecError as error:
        _end(f"the API server answered what none does, is there another server in between? {error}", Exit.FAILED)
    except AwsError as error:
        _end(f"AWS: {error}", Exit.FAILED)
    except InvalidPolicyError as error:
        _end(f"AWS: {error}", Exit.FAILED)
    except InterruptedByPersonError:
        _end("interrupted: nothing is half done, and the same command goes on from here", Exit.INTERRUPTED)


def _end(message: str, code: Exit) -> None:
    sys.stderr.write(f"{message}\n")
    sys.exit(code)
