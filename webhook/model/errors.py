"""What the rules refuse, what is wrong with a configuration, and what the API server did not do."""

from __future__ import annotations

from traceback import clear_frames


class InvalidNameError(ValueError):
    """A string is not the name it is used as; the message says which rule it breaks and shows a right one."""


class InvalidPolicyError(ValueError):
    """A trust policy document has a shape that IAM does not store; it is left alone."""


class ConfigurationError(Exception):
    """The program cannot start with this configuration; the message names each key and its fix, one a line."""

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class ClusterError(Exception):
    """The API server did not do what was asked; the message says what and why."""

    status: int | None = None
    """The HTTP status that said so, where one did."""


class ExpiredError(ClusterError):
    """The version to watch from is too old (410 Gone): list again."""


class ObservingError(RuntimeError):
    """A write was tried though the program only observes, and was not sent: a bug of this program."""

    def __init__(self) -> None:
        super().__init__("not sent: the program only observes (observe: true)")


def forget_locals(error: BaseException) -> None:
    """Free the local variables of all calls that `error` and its causes have ended.

    A traceback keeps them, and all that had been read, for as long as the error is kept. That is while a loop
    backs off, or, in a cycle of references, until the garbage collector finds it.
    """
    found: BaseException | None = error
    while found is not None:
        clear_frames(found.__traceback__)
        found = found.__cause__ or found.__context__
