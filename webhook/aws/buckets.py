"""Whether a bucket is there, as far as the caller may know."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from webhook.aws.calls import text
from webhook.model.buckets import BucketState, FoundBucket

if TYPE_CHECKING:
    from webhook.aws.calls import AwsCalls
    from webhook.aws.clients import AwsClients


_STATES = {403: BucketState.HIDDEN, 404: BucketState.MISSING}
"""HeadBucket's answers have no body, so no code but the status (S3 API reference)."""


def _region(found: object) -> str | None:
    """S3 names the region whatever else it answers (S3 API reference, HeadBucket)."""
    return None if found is None else text(found)


async def read_bucket(calls: AwsCalls, name: str, region: str) -> FoundBucket:
    """Look for a bucket (s3:ListBucket). Raises AwsError."""

    def ask(clients: AwsClients) -> FoundBucket:
        try:
            answer = clients.s3(region).head_bucket(Bucket=name)
        except ClientError as error:
            metadata = error.response.get("ResponseMetadata", {})
            state = _STATES.get(metadata.get("HTTPStatusCode", 0))
            if state is None:
                raise
            return FoundBucket(state, _region(metadata.get("HTTPHeaders", {}).get("x-amz-bucket-region")))
        return FoundBucket(BucketState.THERE, _region(answer.get("BucketRegion")))

    return await calls.call("HeadBucket", ask)
