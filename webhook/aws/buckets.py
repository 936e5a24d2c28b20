"""A bucket: whether it is there, and what S3 answers to List, Put, Get and Delete of one object in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from webhook.aws.calls import text
from webhook.model.buckets import BucketState, FoundBucket
from webhook.model.text import bounded

if TYPE_CHECKING:
    from collections.abc import Callable

    from webhook.aws.calls import AwsCalls
    from webhook.aws.clients import AwsClients, SessionKeys

_STATES = {403: BucketState.HIDDEN, 404: BucketState.MISSING}
"""HeadBucket's answers have no body, so no code but the status (S3 API reference)."""

_BODY = b"mxp-identity verify: written to see whether backups can be, and removed again.\n"
_LONGEST_MESSAGE = 4096
_NOT_FOUND, _DENIED = 404, 403
_FIRST_REFUSAL, _FIRST_FAILURE = 300, 500


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


def _region(found: object) -> str | None:
    """S3 names the region whatever else it answers (S3 API reference, HeadBucket)."""
    return None if found is None else text(found)


@dataclass(frozen=True, slots=True)
class S3Answer:
    """What S3 answered to one call; without a `code` it did what was asked."""

    operation: str
    code: str = ""
    message: str = ""
    status: int = 200
    region: str = ""
    """The bucket's, where S3 names it."""

    @property
    def is_denied(self) -> bool:
        """Whether a policy denies it."""
        return self.status == _DENIED

    @property
    def is_missing(self) -> bool:
        """Whether there is no such bucket or object: the call itself is allowed."""
        return self.status == _NOT_FOUND


class ProbeObjects:
    """Calls of S3 with the keys of a session, or, where they are None, the caller's own. All raise AwsError."""

    def __init__(self, calls: AwsCalls, region: str, keys: SessionKeys | None) -> None:
        self._calls, self._region, self._keys = calls, region, keys
        self._client: Any = None

    async def look(self, bucket: str) -> S3Answer:
        """HeadBucket."""
        return await self._ask("HeadBucket", lambda s3: s3.head_bucket(Bucket=bucket))

    async def list(self, bucket: str, prefix: str) -> S3Answer:
        """List one object below a prefix."""
        return await self._ask(
            "ListObjectsV2", lambda s3: s3.list_objects_v2(Bucket=bucket, Prefix=prefix, MaxKeys=1)
        )

    async def put(self, bucket: str, key: str) -> S3Answer:
        """Write the object, and never over another one."""
        return await self._ask(
            "PutObject", lambda s3: s3.put_object(Bucket=bucket, Key=key, Body=_BODY, IfNoneMatch="*")
        )

    async def get(self, bucket: str, key: str) -> S3Answer:
        """Read the object."""

        def read(s3: Any) -> Any:
            answer = s3.get_object(Bucket=bucket, Key=key)
            answer["Body"].read(len(_BODY))
            return answer

        return await self._ask("GetObject", read)

    async def delete(self, bucket: str, key: str) -> S3Answer:
        """Remove the object; it need not be there."""
        return await self._ask("DeleteObject", lambda s3: s3.delete_object(Bucket=bucket, Key=key))

    async def _ask(self, operation: str, request: Callable[[Any], Any]) -> S3Answer:
        def ask(clients: AwsClients) -> S3Answer:
            try:
                answer = request(self._opened(clients))
            except ClientError as error:
                return _refused(operation, error)
            metadata = answer["ResponseMetadata"]
            return S3Answer(operation, region=_region_in(metadata))

        return await self._calls.call(operation, ask)

    def _opened(self, clients: AwsClients) -> Any:
        if self._keys is None:
            return clients.s3(self._region)
        if self._client is None:
            self._client = clients.s3_as(self._region, self._keys)
        return self._client


def _refused(operation: str, error: ClientError) -> S3Answer:
    """S3's own refusal. Raises `error` for one of a server that is broken or busy."""
    details, metadata = error.response.get("Error", {}), error.response.get("ResponseMetadata", {})
    status = metadata.get("HTTPStatusCode", 0)
    if not metadata.get("RequestId") or not _FIRST_REFUSAL <= status < _FIRST_FAILURE:
        raise error
    return S3Answer(
        operation,
        code=bounded(str(details.get("Code", "")), 64),
        message=bounded(str(details.get("Message", "")), _LONGEST_MESSAGE),
        status=status,
        region=_region_in(metadata),
    )


def _region_in(metadata: Any) -> str:
    return bounded(str(metadata.get("HTTPHeaders", {}).get("x-amz-bucket-region", "")), 64)
