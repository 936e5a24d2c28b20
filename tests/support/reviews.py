"""AdmissionReviews as an API server sends them, and the answers as it reads them."""

from __future__ import annotations

import json
from base64 import b64decode
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx

from webhook.admission.routes import admission_router
from webhook.model.names import ROLE_ARN_ANNOTATION

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.worlds import World
    from webhook.model.names import Subject

JSON = {"content-type": "application/json"}
UID = "705ab4f5-6393-11e8-b7cc-42010a800002"


def review(
    subject: Subject,
    *,
    operation: str = "CREATE",
    annotations: dict[str, str] | None = None,
    dry_run: bool = False,
    **changes: Any,
) -> dict[str, Any]:
    """A review of a ServiceAccount; `changes` replace members of its request."""
    metadata: dict[str, Any] = {"name": subject.service_account, "namespace": subject.namespace}
    if annotations is not None:
        metadata["annotations"] = annotations
    request = {
        "uid": UID,
        "kind": {"group": "", "version": "v1", "kind": "ServiceAccount"},
        "resource": {"group": "", "version": "v1", "resource": "serviceaccounts"},
        "requestKind": {"group": "", "version": "v1", "kind": "ServiceAccount"},
        "name": subject.service_account,
        "namespace": subject.namespace,
        "operation": operation,
        "userInfo": {
            "username": "system:serviceaccount:upbound-system:mxp-host",
            "groups": ["system:authenticated"],
        },
        "object": {"kind": "ServiceAccount", "apiVersion": "v1", "metadata": metadata},
        "oldObject": None,
        "dryRun": dry_run,
        "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1"},
    }
    return {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {**request, **changes}}


def annotated(role: str) -> dict[str, str]:
    """Annotations that name a role."""
    return {ROLE_ARN_ANNOTATION: role}


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP answer to a review; what it says is checked as an API server checks it."""

    status: int
    text: str

    @property
    def response(self) -> dict[str, Any]:
        """The AdmissionReview's response."""
        body = json.loads(self.text)
        assert (body["apiVersion"], body["kind"]) == ("admission.k8s.io/v1", "AdmissionReview")
        response: dict[str, Any] = body["response"]
        assert ("patch" in response) == ("patchType" in response)
        assert all(len(warning) <= 256 for warning in self.warnings_of(response))
        assert all(warning.startswith("mxp-identity: ") for warning in self.warnings_of(response))
        return response

    @property
    def allowed(self) -> bool:
        """Whether the API server goes on."""
        allowed: bool = self.response["allowed"]
        return allowed

    @property
    def patch(self) -> list[dict[str, Any]]:
        """The JSON patch; empty where there is none."""
        patch: list[dict[str, Any]] = json.loads(b64decode(self.response.get("patch", ""), validate=True) or "[]")
        return patch

    @property
    def annotation(self) -> str | None:
        """The role that the patch sets, or None."""
        for operation in self.patch:
            if operation["path"].endswith("/eks.amazonaws.com~1role-arn"):
                return str(operation["value"])
            if operation["path"] == "/metadata/annotations":
                return str(operation["value"][ROLE_ARN_ANNOTATION])
        return None

    @property
    def warnings(self) -> list[str]:
        """What the person who typed the command sees."""
        return self.warnings_of(self.response)

    @staticmethod
    def warnings_of(response: dict[str, Any]) -> list[str]:
        """The warnings of a response."""
        warnings: list[str] = response.get("warnings", [])
        return warnings


class Reviewer:
    """An API server as far as it sends reviews."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def send(
        self, body: Any, *, path: str = "/mutate?timeout=10s", headers: dict[str, str] | None = None
    ) -> Reply:
        """Send a review, or any bytes."""
        content = body if isinstance(body, bytes) or hasattr(body, "__aiter__") else json.dumps(body).encode()
        answer = await self._client.post(path, content=content, headers={**JSON, **(headers or {})})
        return Reply(answer.status_code, answer.text)


@asynccontextmanager
async def reviewing(world: World) -> AsyncIterator[Reviewer]:
    """The program's own HTTP application, without a socket. What it does not catch is raised here."""
    application = admission_router(world.service)
    transport = httpx.ASGITransport(application)
    async with httpx.AsyncClient(transport=transport, base_url="https://webhook") as client:
        yield Reviewer(client)
