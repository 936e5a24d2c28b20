"""Whether a bucket is there, as far as the caller may know."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from webhook.aws.calls import text

if TYPE_CHECKING:
    from webhook.aws.calls import AwsCalls
    from webhook.aws.clients import AwsClients


class BucketState(StrEnum):
    """What HeadBucket answers."""

    THERE = "there"
    MISSING = "missing"
    HIDDEN = "hidden"
    """Another account's, or the caller may not look (s3:ListBucket)."""


@dataclass(frozen=True, slots=True)
class FoundBucket:
    """A bucket, and the region that it is in, where S3 says so."""

    state: BucketState
    region: str | None = None


_STATES = {403: BucketState.HIDDEN, 404: BucketState.MISSING}
"""HeadBucket's answers have no body, so no code but the status (S3 API reference)."""


async def read_bucket(calls: AwsCalls, name: str, region: str) -> FoundBucket:
    """Look for a bucket (s3:ListBucket). Raises AwsError."""

    def ask(clients: AwsClients) -> FoundBucket:
        try:
            answer = clients.s3(region).head_bucket(Bucket=name)
        except ClientError as error:
            state = _STATES.get(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
            if state is None:
                raise
            return FoundBucket(state)
        found = answer.get("BucketRegion")
        return FoundBucket(BucketState.THERE, None if found is None else text(found))

    return await calls.call("HeadBucket", ask)
