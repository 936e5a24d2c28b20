"""How requests of S3 look: the action by method, path and query, as botocore's model of the service has it."""

import re
from typing import Any
from urllib.parse import parse_qs, unquote

from rig.aws.errors import AwsError
from rig.aws.http import Request

SERVICE = "s3"

_SCOPE = re.compile(r"Credential=[^/]+/\d+/(?P<region>[a-z0-9-]+)/s3/")
_MOST_KEYS = 1000

_OF_BUCKETS = {
    ("HEAD", ""): "HeadBucket",
    ("GET", ""): "ListObjectsV2",
    ("GET", "policy"): "GetBucketPolicy",
    ("PUT", "policy"): "PutBucketPolicy",
    ("DELETE", "policy"): "DeleteBucketPolicy",
    ("GET", "versioning"): "GetBucketVersioning",
    ("GET", "object-lock"): "GetObjectLockConfiguration",
}
_OF_OBJECTS = {"HEAD": "HeadObject", "GET": "GetObject", "PUT": "PutObject", "DELETE": "DeleteObject"}

_RIGHTS = {
    "HeadBucket": "s3:ListBucket",
    "ListObjectsV2": "s3:ListBucket",
    "HeadObject": "s3:GetObject",
    "GetObjectLockConfiguration": "s3:GetBucketObjectLockConfiguration",
}
"""What actions need that are called otherwise (S3 user guide, "Required permissions for S3 API operations")."""


def read(request: Request) -> tuple[str, str, dict[str, Any]] | None:
    """Service, action and parameters of a request that is signed for S3; None for another."""
    if not _SCOPE.search(request.headers.get("authorization", "")):
        return None
    path, _, query = request.target.partition("?")
    bucket, _, key = unquote(path.lstrip("/")).partition("/")
    asked = parse_qs(query, keep_blank_values=True)
    if key:
        action = _OF_OBJECTS.get(request.method, "")
    else:
        kind = next((name for name in ("policy", "versioning", "object-lock") if name in asked), "")
        action = _OF_BUCKETS.get((request.method, kind), "")
    if not action:
        raise AwsError("NotImplemented", f"{request.method} {request.target} is not here", 501)
    params = {"Bucket": bucket, "Key": key, "Prefix": asked.get("prefix", [""])[0]}
    return SERVICE, action, {**params, "MaxKeys": int(asked.get("max-keys", [str(_MOST_KEYS)])[0])}


def right_of(action: str) -> str:
    """The right that an action needs on its bucket or object."""
    return _RIGHTS.get(action, f"s3:{action}")


def region_of(request: Request) -> str:
    """The region that a request is signed for."""
    found = _SCOPE.search(request.headers.get("authorization", ""))
    return found["region"] if found else ""
