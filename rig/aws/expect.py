"""What tests expect of AWS calls."""

from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import ClientError


@contextmanager
def refused(code: str, status: int, message: str | None = None) -> Iterator[None]:
    """Expect the block to end in an AWS error of this code and HTTP status, and, if given, of this message."""
    try:
        yield
    except ClientError as error:
        found = error.response
        seen = (found["Error"]["Code"], found["ResponseMetadata"]["HTTPStatusCode"], found["Error"]["Message"])
        if seen[:2] != (code, status) or message not in {None, seen[2]}:
            raise AssertionError(f"expected {(code, status, message)}, got {seen}") from error
    else:
        raise AssertionError(f"expected {code}, but the call succeeded")
