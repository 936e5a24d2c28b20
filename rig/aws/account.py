"""One call on one account: who calls, may they, and then the API itself."""

import re

from botocore.model import OperationNotFoundError
from moto.core.request import Request as MotoRequest

from rig.aws import kms, rest, s3, s3_requests, vpc_endpoints
from rig.aws.authorization import Authorization
from rig.aws.callers import Caller
from rig.aws.calls import ApiCall
from rig.aws.eks import Eks
from rig.aws.eks_auth import EksAuth
from rig.aws.errors import AwsError, not_authorized
from rig.aws.faults import Deny
from rig.aws.http import Response
from rig.aws.iam import Iam
from rig.aws.state import State
from rig.aws.sts import ACTIONS, Sts
from rig.aws.switchboard import Met

NAMESPACES = {
    "iam": "https://iam.amazonaws.com/doc/2010-05-08/",
    "sts": "https://sts.amazonaws.com/doc/2011-06-15/",
}
_REQUEST_ID = re.compile(r"<RequestId>[^<]*</RequestId>")
_ANSWERS = {
    s3_requests.SERVICE: s3.answer,
    kms.SERVICE: kms.answer,
    vpc_endpoints.SERVICE: vpc_endpoints.answer,
}
_UNSIGNED = {"sts:AssumeRoleWithWebIdentity"}


class Account:
    """Executes calls on the state of one account, one at a time."""

    def __init__(self, state: State) -> None:
        self.state = state
        self._authorization = Authorization(state)

    def caller_name(self, call: ApiCall) -> str:
        """Return the caller's ARN, or "anonymous"."""
        with self.state.lock:
            return self.state.callers.name(call)

    def execute(self, call: ApiCall, met: Met) -> Response:
        """Authenticate, authorise and apply one call. Raises `AwsError`."""
        with self.state.lock:
            if call.service in rest.SERVICES:
                return self._rest(call, met)
            if call.service in _ANSWERS:
                self._authorized(call, met)
                return _ANSWERS[call.service](self.state, call)
            handler = self._handler(call, met)
            try:
                status, _, body = handler._dispatch(_moto_request(call))  # noqa: SLF001
            except (OperationNotFoundError, NotImplementedError) as error:
                raise _no_such_action(call) from error
            text = _REQUEST_ID.sub(f"<RequestId>{call.request_id}</RequestId>", str(body))
            return Response(
                int(status), text.encode(), {"Content-Type": "text/xml", "x-amzn-RequestId": call.request_id}
            )

    def _handler(self, call: ApiCall, met: Met) -> Iam | Sts:
        if call.name in _UNSIGNED:
            return Sts(self.state, call, None, met)
        caller = self._authorized(call, met)
        if call.service == "iam":
            return Iam(self.state, call, caller.arn, met)
        if call.action not in ACTIONS:
            raise _no_such_action(call)
        return Sts(self.state, call, caller, met)

    def _rest(self, call: ApiCall, met: Met) -> Response:
        self._authorized(call, met)
        rest.check(call.service, call.action, call.params)
        kind = Eks if call.service == rest.EKS else EksAuth
        return rest.answer(call.service, call.action, kind(self.state, call, met).result(), call.request_id)

    def _authorized(self, call: ApiCall, met: Met) -> Caller:
        caller = self.state.callers.identify(call)
        if deny := met.first(Deny):
            shown = self._authorization.target(call).shown
            raise not_authorized(caller.arn, call.name, shown, denied=deny.explicit)
        self._authorization.require(caller, call)
        return caller


def _no_such_action(call: ApiCall) -> AwsError:
    version = call.params["Version"]
    return AwsError("InvalidAction", f"Could not find operation {call.action} for version {version}", 400)


def _moto_request(call: ApiCall) -> MotoRequest:
    request = call.request
    return MotoRequest.from_primitives(
        request.method, f"https://{call.service}.amazonaws.com{request.target}", request.headers, request.body
    )
