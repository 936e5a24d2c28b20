"""A thin client of the Kubernetes API for tests and demo: JSON in, JSON out, errors in the server's words."""

import json
import re
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import httpx

from rig.kubernetes.place import Place

PatchKind = Literal["merge", "strategic", "json", "apply"]
Object = Mapping[str, Any]

PATCH_TYPES: dict[PatchKind, str] = {
    "merge": "application/merge-patch+json",
    "strategic": "application/strategic-merge-patch+json",
    "json": "application/json-patch+json",
    "apply": "application/apply-patch+yaml",
}
TIMEOUT_S = 30.0
FIELD_MANAGER = "rig"
_WARNING = re.compile(r'299 \S+ "((?:[^"\\]|\\.)*)"')


class ApiError(Exception):
    """The API server refused a request.

    `code` is the HTTP status, `reason` the Status's reason ("NotFound"), `status` the whole Status object.
    """

    def __init__(self, request: httpx.Request, code: int, status: Mapping[str, Any]) -> None:
        self.code = code
        self.status = dict(status)
        self.reason = str(status.get("reason", ""))
        self.message = str(status.get("message", ""))
        super().__init__(f"{request.method} {request.url.path}: {code} {self.reason}: {self.message}")


class Reply(dict[str, Any]):
    """The JSON object of an answer, with the warnings that came with it and its HTTP status."""

    def __init__(self, body: Mapping[str, Any], code: int, warnings: list[str]) -> None:
        super().__init__(body)
        self.code = code
        self.warnings = warnings


class Api:
    """A caller of one API server with one token; thread-safe.

    Paths are those of the API, such as "/api/v1/namespaces"; further keywords become query parameters, such
    as `dryRun="All"`. Each call raises `ApiError` when refused and `httpx.TransportError` when there is no
    answer. A proxy of the environment is not used.
    """

    def __init__(
        self, url: str, ca_file: Path, token: str, *, place: Place | None = None, timeout: float = TIMEOUT_S
    ) -> None:
        self._http = (place or Place()).http(
            ssl.create_default_context(cafile=str(ca_file)),
            base_url=url,
            headers={"Authorization": f"Bearer {token}"},
            timeout=timeout,
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=256),
        )
        self._kinds: dict[str, dict[str, tuple[str, bool]]] = {}

    def get(self, path: str, **query: str | int | bool) -> Reply:
        """Read an object or a list."""
        return self._call("GET", path, query)

    def post(self, path: str, body: Object, **query: str | int | bool) -> Reply:
        """Create an object."""
        return self._call("POST", path, query, body)

    def put(self, path: str, body: Object, **query: str | int | bool) -> Reply:
        """Replace an object."""
        return self._call("PUT", path, query, body)

    def patch(
        self, path: str, body: Object | list[Any], *, kind: PatchKind = "merge", **query: str | int | bool
    ) -> Reply:
        """Change an object; `kind` "apply" is server-side apply."""
        return self._call("PATCH", path, query, body, PATCH_TYPES[kind])

    def delete(self, path: str, **query: str | int | bool) -> Reply:
        """Delete an object, or a collection."""
        return self._call("DELETE", path, query)

    def text(self, path: str) -> str:
        """Read what is not JSON, such as "/metrics" or "/readyz"."""
        answer = self._http.get(path)
        if answer.is_error:
            raise ApiError(answer.request, answer.status_code, {"message": answer.text})
        return answer.text

    def create(self, item: Object, **query: str | int | bool) -> Reply:
        """Create an object at the place its kind and namespace say."""
        return self.post(self.collection_of(item), item, **query)

    def create_as_written(self, item: Object, content: bytes) -> int:
        """Create it from JSON that no parser here has to read, and answer the status code."""
        headers = {"Content-Type": "application/json"}
        return self._http.post(self.collection_of(item), content=content, headers=headers).status_code

    def apply(self, item: Object, **query: str | int | bool) -> Reply:
        """Create an object or make it what is given, with server-side apply."""
        path = f"{self.collection_of(item)}/{item['metadata']['name']}"
        return self.patch(path, item, kind="apply", fieldManager=FIELD_MANAGER, force=True, **query)

    def collection_of(self, item: Object) -> str:
        """Return the path of the collection that an object belongs to, as the server's discovery has it."""
        version = item["apiVersion"]
        root = f"/apis/{version}" if "/" in version else f"/api/{version}"
        if item["kind"] not in self._kinds.get(root, {}):
            self._kinds[root] = {
                kind["kind"]: (kind["name"], kind["namespaced"])
                for kind in self.get(root)["resources"]
                if "/" not in kind["name"]
            }
        plural, namespaced = self._kinds[root][item["kind"]]
        place = f"/namespaces/{item['metadata'].get('namespace', 'default')}" if namespaced else ""
        return f"{root}{place}/{plural}"

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _call(
        self,
        method: str,
        path: str,
        query: Mapping[str, str | int | bool],
        body: Object | list[Any] | None = None,
        content_type: str = "application/json",
    ) -> Reply:
        answer = self._http.request(
            method,
            path,
            params=query,
            content=None if body is None else json.dumps(body),
            headers=None if body is None else {"Content-Type": content_type},
        )
        try:
            parsed = answer.json()
        except ValueError:
            parsed = {"message": answer.text}
        if answer.is_error:
            raise ApiError(answer.request, answer.status_code, parsed)
        return Reply(parsed, answer.status_code, _warnings(answer))


def _warnings(answer: httpx.Response) -> list[str]:
    texts = _WARNING.findall(", ".join(answer.headers.get_list("Warning")))
    return [re.sub(r"\\(.)", r"\1", text) for text in texts]
