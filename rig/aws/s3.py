"""S3's API as far as it tells whether a bucket is there: HeadBucket, whose answers have no body."""

import re

from rig.aws.calls import ApiCall
from rig.aws.errors import AwsError
from rig.aws.http import Response
from rig.aws.state import State

SERVICE, ACTION = "s3", "HeadBucket"
RIGHT = "s3:ListBucket"
"""What HeadBucket needs (API reference)."""

_SCOPE = re.compile(r"Credential=[^/]+/\d+/(?P<region>[a-z0-9-]+)/s3/")


def head_bucket(state: State, call: ApiCall) -> Response:
    """Answer where a bucket is; one of another region redirects, as S3 does. Raises `AwsError` (404)."""
    region = state.buckets.get(str(call.params["Bucket"]))
    if region is None:
        raise AwsError("NoSuchBucket", "The specified bucket does not exist", 404)
    signed = _SCOPE.search(call.request.headers.get("authorization", ""))
    status = 200 if signed is None or signed["region"] == region else 301
    return Response(status, b"", {"x-amz-bucket-region": region, "x-amz-request-id": call.request_id})
