"""S3's API as far as backups need it: objects and their list, a bucket's region, policy, versions and lock."""

from collections.abc import Callable, Mapping
from xml.sax.saxutils import escape

from rig.aws.buckets import Bucket
from rig.aws.calls import ApiCall
from rig.aws.errors import AwsError
from rig.aws.http import Response
from rig.aws.s3_requests import region_of
from rig.aws.state import State

_XMLNS = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'


def bucket_of(state: State, call: ApiCall) -> Bucket:
    """The bucket that a call is about, in the region that it is signed for. Raises `AwsError`."""
    bucket = state.buckets.get(str(call.params["Bucket"]))
    if bucket is None:
        raise AwsError("NoSuchBucket", "The specified bucket does not exist", 404)
    if region_of(call.request) != bucket.region:
        message = (
            f"The authorization header is malformed; the region '{region_of(call.request)}' is wrong; "
            f"expecting '{bucket.region}'"
        )
        raise AwsError("AuthorizationHeaderMalformed", message, 301 if call.request.method == "HEAD" else 400)
    return bucket


def answer(state: State, call: ApiCall) -> Response:
    """Apply a call. Raises `AwsError`."""
    bucket = bucket_of(state, call)
    status, body, more = _ACTIONS[call.action](bucket, call)
    return Response(status, body, {**heads(state, call), **more})


def refusal(state: State, call: ApiCall, error: AwsError) -> Response:
    """An error, with the bucket's region where there is one; without a body for a HEAD."""
    parts = {"Code": error.code, "Message": error.message, "RequestId": call.request_id}
    text = "".join(f"<{name}>{escape(value)}</{name}>" for name, value in parts.items())
    body = b"" if call.request.method == "HEAD" else f"<Error>{text}</Error>".encode()
    return Response(error.status, body, {"Content-Type": "application/xml", **heads(state, call)})


def heads(state: State, call: ApiCall) -> dict[str, str]:
    """The headers that each answer has."""
    bucket = state.buckets.get(str(call.params["Bucket"]))
    region = {"x-amz-bucket-region": bucket.region} if bucket else {}
    return {"x-amz-request-id": call.request_id, **region}


Answered = tuple[int, bytes, Mapping[str, str]]


def _xml(root: str, content: str) -> Answered:
    return 200, f"<{root} {_XMLNS}>{content}</{root}>".encode(), {"Content-Type": "application/xml"}


def _list(bucket: Bucket, call: ApiCall) -> Answered:
    keys = [*bucket.keys(call.params["Prefix"], call.params["MaxKeys"])]
    contents = "".join(
        f"<Contents><Key>{escape(key)}</Key><Size>{len(bucket.objects[key])}</Size></Contents>" for key in keys
    )
    return _xml("ListBucketResult", f"<Name>{bucket.name}</Name><KeyCount>{len(keys)}</KeyCount>{contents}")


def _put(bucket: Bucket, call: ApiCall) -> Answered:
    if call.request.headers.get("if-none-match") == "*" and call.params["Key"] in bucket.objects:
        raise AwsError("PreconditionFailed", "At least one of the pre-conditions you specified did not hold", 412)
    bucket.put(call.params["Key"], call.request.body)
    return 200, b"", {"ETag": '"0"'}


def _get(bucket: Bucket, call: ApiCall) -> Answered:
    body = bucket.objects.get(call.params["Key"])
    if body is None:
        raise AwsError("NoSuchKey", "The specified key does not exist.", 404)
    return 200, b"" if call.action == "HeadObject" else body, {"ETag": '"0"'}


def _delete(bucket: Bucket, call: ApiCall) -> Answered:
    bucket.delete(call.params["Key"])
    return 204, b"", {}


def _policy(bucket: Bucket, _: ApiCall) -> Answered:
    if not bucket.policy:
        raise AwsError("NoSuchBucketPolicy", "The bucket policy does not exist", 404)
    return 200, bucket.policy.encode(), {"Content-Type": "application/json"}


def _put_policy(bucket: Bucket, call: ApiCall) -> Answered:
    bucket.policy = call.request.body.decode()
    return 204, b"", {}


def _delete_policy(bucket: Bucket, _: ApiCall) -> Answered:
    bucket.policy = ""
    return 204, b"", {}


def _versioning(bucket: Bucket, _: ApiCall) -> Answered:
    return _xml("VersioningConfiguration", "<Status>Enabled</Status>" if bucket.versioned else "")


def _lock(bucket: Bucket, _: ApiCall) -> Answered:
    if not bucket.lock:
        message = "Object Lock configuration does not exist for this bucket"
        raise AwsError("ObjectLockConfigurationNotFoundError", message, 404)
    retention = f"<DefaultRetention><Mode>GOVERNANCE</Mode><Days>{bucket.lock}</Days></DefaultRetention>"
    enabled = "<ObjectLockEnabled>Enabled</ObjectLockEnabled>"
    return _xml("ObjectLockConfiguration", f"{enabled}<Rule>{retention}</Rule>")


_ACTIONS: Mapping[str, Callable[[Bucket, ApiCall], Answered]] = {
    "HeadBucket": lambda _, __: (200, b"", {}),
    "ListObjectsV2": _list,
    "HeadObject": _get,
    "GetObject": _get,
    "PutObject": _put,
    "DeleteObject": _delete,
    "GetBucketPolicy": _policy,
    "PutBucketPolicy": _put_policy,
    "DeleteBucketPolicy": _delete_policy,
    "GetBucketVersioning": _versioning,
    "GetObjectLockConfiguration": _lock,
}
