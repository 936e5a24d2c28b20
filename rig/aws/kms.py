"""KMS's API as far as a fix needs it: a grant, by which a role may use a key that no policy allows it."""

import json
import uuid
from typing import TYPE_CHECKING, Any

from rig.aws.errors import AwsError
from rig.aws.http import Request, Response

if TYPE_CHECKING:
    from rig.aws.calls import ApiCall
    from rig.aws.state import State

SERVICE = "kms"

_TARGET = "TrentService."
_JSON = {"Content-Type": "application/x-amz-json-1.1"}


def read(request: Request) -> tuple[str, str, dict[str, Any]] | None:
    """Service, action and parameters of a request for KMS; None for another."""
    target = request.headers.get("x-amz-target", "")
    if not target.startswith(_TARGET):
        return None
    return SERVICE, target.removeprefix(_TARGET), json.loads(request.body)


def answer(state: "State", call: "ApiCall") -> Response:
    """Apply a call. Raises `AwsError`."""
    if call.action != "CreateGrant":
        raise AwsError("UnknownOperationException", f"{call.action} is not here")
    params = call.params
    key = state.keys.get(params["KeyId"])
    if key is None:
        raise AwsError("NotFoundException", f"Key '{params['KeyId']}' does not exist")
    key.grants.append((params["GranteePrincipal"], tuple(params["Operations"])))
    content = {"GrantId": uuid.uuid4().hex, "GrantToken": uuid.uuid4().hex}
    return Response(200, json.dumps(content).encode(), {**_JSON, "x-amzn-RequestId": call.request_id})


def refusal(error: AwsError, request_id: str) -> Response:
    """An error, as KMS words it."""
    code = "AccessDeniedException" if error.code == "AccessDenied" else error.code
    body = json.dumps({"__type": code, "message": error.message}).encode()
    return Response(400, body, {**_JSON, "x-amzn-RequestId": request_id})
