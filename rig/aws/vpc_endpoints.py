"""EC2's API as far as a fix needs it: the VPC endpoints of S3, and their policies."""

from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from rig.aws.errors import AwsError
from rig.aws.http import Response

if TYPE_CHECKING:
    from rig.aws.calls import ApiCall
    from rig.aws.state import State

SERVICE = "ec2"

_XMLNS = "http://ec2.amazonaws.com/doc/2016-11-15/"


def answer(state: "State", call: "ApiCall") -> Response:
    """Apply a call. Raises `AwsError`."""
    match call.action:
        case "DescribeVpcEndpoints":
            content = f"<vpcEndpointSet>{_described(state, call)}</vpcEndpointSet>"
        case "ModifyVpcEndpoint":
            found = state.endpoints.get(call.params["VpcEndpointId"])
            if found is None:
                raise AwsError("InvalidVpcEndpointId.NotFound", f"{call.params['VpcEndpointId']} does not exist")
            found.policy = call.params["PolicyDocument"]
            content = "<return>true</return>"
        case _:
            raise AwsError("InvalidAction", f"The action {call.action} is not here")
    text = f'<{call.action}Response xmlns="{_XMLNS}"><requestId>{call.request_id}</requestId>{content}'
    return _response(200, f"{text}</{call.action}Response>", call.request_id)


def refusal(error: AwsError, request_id: str) -> Response:
    """An error, as EC2 words it."""
    code = "UnauthorizedOperation" if error.code == "AccessDenied" else error.code
    inner = f"<Error><Code>{escape(code)}</Code><Message>{escape(error.message)}</Message></Error>"
    text = f"<Response><Errors>{inner}</Errors><RequestID>{request_id}</RequestID></Response>"
    return _response(error.status, text, request_id)


def _described(state: "State", call: "ApiCall") -> str:
    """The endpoints of the service that the filter names."""
    wanted = call.params.get("Filter.1.Value.1")
    parts = (
        {"vpcEndpointId": one.id, "serviceName": one.service, "policyDocument": one.policy, "state": "available"}
        for one in state.endpoints.values()
        if wanted in {None, one.service}
    )
    items = ("".join(f"<{name}>{escape(value)}</{name}>" for name, value in each.items()) for each in parts)
    return "".join(f"<item>{item}</item>" for item in items)


def _response(status: int, text: str, request_id: str) -> Response:
    return Response(status, text.encode(), {"Content-Type": "text/xml", "x-amzn-RequestId": request_id})
