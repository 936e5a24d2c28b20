"""The REST protocol of EKS and EKS Auth: requests read, checked and answered by botocore's own service models.

A request is found by method and path, so that an unmodified client needs no more than this server's address.
"""

import datetime as dt
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote

import botocore.session
from botocore.model import OperationModel, Shape, StructureShape
from botocore.validate import ParamValidator

from rig.aws.errors import AwsError
from rig.aws.http import Request, Response

EKS, EKS_AUTH = "eks", "eks-auth"
SERVICES = {EKS, EKS_AUTH}

_ACTIONS = {
    EKS: (
        "CreatePodIdentityAssociation",
        "DescribePodIdentityAssociation",
        "ListPodIdentityAssociations",
        "UpdatePodIdentityAssociation",
        "DeletePodIdentityAssociation",
        "DescribeCluster",
        "ListClusters",
        "CreateAddon",
        "DescribeAddon",
        "TagResource",
        "UntagResource",
    ),
    EKS_AUTH: ("AssumeRoleForPodIdentity",),
}
_LABEL = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, slots=True)
class Route:
    """One action: how a request for it looks, and its model."""

    service: str
    method: str
    path: re.Pattern[str]
    model: OperationModel


def read(request: Request) -> tuple[str, str, dict[str, Any]] | None:
    """Return service, action and parameters of a request, or None where it is for no action here.

    Raises `SerializationException` for a body that is not a JSON object.
    """
    path, _, query = request.target.partition("?")
    for route in _routes():
        found = route.path.fullmatch(path)
        if found and route.method == request.method:
            return (
                route.service,
                route.model.name,
                _parameters(route.model, found.groupdict(), query, request.body),
            )
    return None


def check(service: str, action: str, params: Mapping[str, Any]) -> None:
    """Raise the service's `InvalidParameterException` unless the parameters are as the model has them."""
    shape = _input(_model(service, action))
    report = ParamValidator().validate(dict(params), shape)
    unknown = [name for name in params if name not in shape.members]
    if report.has_errors() or unknown:
        reason = report.generate_report() or f"Unknown parameter: {unknown[0]}"
        raise AwsError("InvalidParameterException", reason)
    for name, value in params.items():
        pattern = shape.members[name].metadata.get("pattern")
        if pattern and not re.fullmatch(pattern, str(value)):
            raise AwsError("InvalidParameterException", f"{name} does not match {pattern}")


def answer(service: str, action: str, result: Mapping[str, Any], request_id: str) -> Response:
    """Return an answer with this content. Raises `ValueError` where it is not as the model has it."""
    model = _model(service, action)
    if model.output_shape is not None:
        _check_answer(result, model.output_shape, action)
    return _response(int(model.http.get("responseCode", 200)), result, request_id)


def refusal(error: AwsError, request_id: str) -> Response:
    """Return an error; its code goes into a header, as botocore reads it."""
    response = _response(error.status, {"message": error.message}, request_id)
    return Response(response.status, response.body, {**response.headers, "x-amzn-ErrorType": error.code})


_WORDS = {
    "AccessDenied": ("AccessDeniedException", 403),
    "MissingAuthenticationToken": ("MissingAuthenticationTokenException", 403),
    "InvalidClientTokenId": ("UnrecognizedClientException", 403),
    "ExpiredToken": ("ExpiredTokenException", 403),
}
_WORDS_OF = {
    EKS: {
        **_WORDS,
        "Throttling": ("ThrottlingException", 400),
        "ServiceFailure": ("ServerException", 500),
        "InternalFailure": ("ServerException", 500),
    },
    EKS_AUTH: {
        **_WORDS,
        "Throttling": ("ThrottlingException", 429),
        "ServiceFailure": ("InternalServerException", 500),
        "InternalFailure": ("InternalServerException", 500),
    },
}


def worded(service: str, error: AwsError) -> AwsError:
    """Return an error in the words of a service: these two say `...Exception` where IAM and STS do not."""
    code, status = _WORDS_OF.get(service, {}).get(error.code, (error.code, error.status))
    return AwsError(code, error.message, status)


def _routes() -> list[Route]:
    if not _loaded:
        session = botocore.session.Session()
        for service, actions in _ACTIONS.items():
            models = session.get_service_model(service)
            for action in actions:
                model = models.operation_model(action)
                pattern = _LABEL.sub(r"(?P<\1>[^/?]+)", model.http["requestUri"])
                _loaded.append(Route(service, model.http["method"], re.compile(pattern), model))
    return _loaded


_loaded: list[Route] = []


def _model(service: str, action: str) -> OperationModel:
    return next(route.model for route in _routes() if (route.service, route.model.name) == (service, action))


def _input(model: OperationModel) -> StructureShape:
    if model.input_shape is None:
        raise ValueError(f"{model.name} takes no parameters")
    return model.input_shape


def _parameters(model: OperationModel, labels: Mapping[str, str], query: str, body: bytes) -> dict[str, Any]:
    asked: dict[str, list[str]] = {}
    for key, value in parse_qsl(query, keep_blank_values=True):
        asked.setdefault(key, []).append(value)
    try:
        found = json.loads(body) if body else {}
    except ValueError as error:
        raise AwsError("SerializationException", "the body is not JSON") from error
    if not isinstance(found, dict):
        raise AwsError("SerializationException", "the body is not a JSON object")
    for name, shape in _input(model).members.items():
        where, key = shape.serialization.get("location"), shape.serialization.get("name", name)
        if where == "uri" and key in labels:
            found[name] = unquote(labels[key])
        elif where == "querystring" and key in asked:
            texts = asked[key]
            found[name] = texts if shape.type_name == "list" else _read_text(shape, texts[-1])
    return found


def _read_text(shape: Shape, text: str) -> Any:
    return int(text) if shape.type_name == "integer" and text.lstrip("-").isdigit() else text


def _check_answer(value: Mapping[str, Any], shape: StructureShape, action: str) -> None:
    report = ParamValidator().validate(dict(value), shape)
    unknown = value.keys() - shape.members.keys()
    for name, inner in shape.members.items():
        if isinstance(inner, StructureShape) and name in value:
            _check_answer(value[name], inner, action)
    if report.has_errors() or unknown:
        raise ValueError(
            f"the answer to {action} is not as its model has it: {report.generate_report()} {unknown}"
        )


def _response(status: int, content: Mapping[str, Any], request_id: str) -> Response:
    body = json.dumps(content, default=_seconds).encode()
    return Response(status, body, {"Content-Type": "application/json", "x-amzn-RequestId": request_id})


def _seconds(value: dt.datetime) -> float:
    """Times go over the wire as seconds since 1970."""
    return value.timestamp()
