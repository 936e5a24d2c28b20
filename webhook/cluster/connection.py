"""One connection to the API server, with the official client's credentials and TLS."""

from __future__ import annotations

import asyncio
import json
import os
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlencode

import urllib3
import yaml
from kubernetes import config
from kubernetes.client import ApiClient, Configuration
from kubernetes.client.exceptions import ApiException

from webhook.cluster.credential_plugin import failures_raised
from webhook.reconcile.ports import ClusterError, ExpiredError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from urllib3 import BaseHTTPResponse

T = TypeVar("T")

_THREADS = 16
_CONNECT_SECONDS = 2.0
_FIRST_ERROR = 400
_LONGEST_MESSAGE = 65536

_DENIAL = re.compile(
    r"admission webhook \S+ (denied the request|does not support dry run)"
    r"|ValidatingAdmissionPolicy \S+ (with binding \S+ )?denied request"
)
"""How the API server words a denial whose status code is not its own: a webhook and a policy choose theirs.

(k8s.io/apiserver, admission/plugin/webhook/errors/statuserror.go and plugin/policy/validating/dispatcher.go)
"""

_PERSONAL_FILE = Path.home() / ".kube" / "config"


class NotFoundError(ClusterError):
    """There is no such object (404)."""


class ConflictError(ClusterError):
    """The object is not as it was supposed to be (409, or a failed test of a JSON patch, 422)."""


class RefusedError(ClusterError):
    """A rule is against it: RBAC, Pod Security or a quota (403), or a policy or a webhook (with any code)."""


class InvalidError(ConflictError, RefusedError):
    """A failed test of a JSON patch, or an object that a rule calls invalid (422): the code says no more."""


class Connection:
    """Requests to the API server as KUBECONFIG says, or as the program's own ServiceAccount.

    For a `person` it is as with kubectl: ~/.kube/config counts too, and `context` chooses within the file.
    """

    def __init__(self, *, person: bool = False, context: str | None = None) -> None:
        configuration = Configuration()
        default = str(_PERSONAL_FILE) if person and _PERSONAL_FILE.exists() else None
        file = os.environ.get("KUBECONFIG") or default
        try:
            if file or context:
                _load_file(file, context, configuration)
            else:
                config.load_incluster_config(client_configuration=configuration)
        except (config.ConfigException, OSError, yaml.YAMLError) as error:
            raise ClusterError(
                f"no way to it: {str(error).removesuffix('.')}; set KUBECONFIG to a file that kubectl works with, "
                "or run in a pod"
            ) from error
        configuration.retries = False  # whoever asks has a deadline and decides
        configuration.connection_pool_maxsize = 2 * _THREADS
        self._configuration = configuration
        self._client = ApiClient(configuration)
        self._renewing = Lock()
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="kubernetes")

    async def in_thread(self, function: Callable[[], T]) -> T:
        """Run a blocking call in the pool. Raises ClusterError after `close`."""
        try:
            called = asyncio.get_running_loop().run_in_executor(self._threads, function)
        except RuntimeError as error:
            raise ClusterError("the connection to the cluster is closed") from error
        return await called

    def request(  # noqa: PLR0913  the parts of an HTTP request
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        content_type: str = "application/json",
        seconds: float = 10.0,
    ) -> bytes:
        """Send one request and answer its body. Blocks; raises ClusterError."""
        response = self._send(method, path, query, body, content_type, seconds)
        try:
            return bytes(response.read())
        except urllib3.exceptions.HTTPError as error:
            raise ClusterError(f"{method} {path}: {error}") from error
        finally:
            response.release_conn()

    def stream(self, path: str, query: Mapping[str, str], seconds: float) -> BaseHTTPResponse:
        """Open a watch; `seconds` is how long it may be silent. Blocks until it answers; raises ClusterError."""
        return self._send("GET", path, query, None, "application/json", seconds)

    def token(self) -> str | None:
        """The token that a request carries now, or None where it carries another credential. Blocks."""
        headers: dict[str, str] = {}
        self._authenticate(headers, "/", "GET", None)
        kind, _, token = next((v for k, v in headers.items() if k.lower() == "authorization"), "").partition(" ")
        return token if kind.lower() == "bearer" else None

    def close(self) -> None:
        """Start nothing more; calls under way end by their timeouts."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _send(  # noqa: PLR0913, PLR0917  the parts of an HTTP request
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        body: Any,
        content_type: str,
        seconds: float,
    ) -> BaseHTTPResponse:
        headers = {"Accept": "application/json", "User-Agent": "mxp-identity-webhook"}
        if body is not None:
            headers["Content-Type"] = content_type
        self._authenticate(headers, path, method, body)
        url = self._configuration.host + path + (f"?{urlencode(query)}" if query else "")
        try:
            response: BaseHTTPResponse = self._client.rest_client.request(
                method, url, headers=headers, body=body, _request_timeout=(_CONNECT_SECONDS, seconds)
            ).response
        except urllib3.exceptions.MaxRetryError as error:
            raise ClusterError(f"{method} {path}: {self._configuration.host}: {error.reason}") from error
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise ClusterError(f"{method} {path}: {error}") from error
        except ApiException as error:  # the client's word for a TLS error
            raise ClusterError(f"{method} {path}: {error.reason}") from error
        if response.status >= _FIRST_ERROR:
            message = _message(response.read(_LONGEST_MESSAGE))
            response.release_conn()
            raise _error(response.status, f"{method} {path}: {response.status} {message}")
        return response

    def _authenticate(self, headers: dict[str, str], path: str, method: str, body: Any) -> None:
        """Put credentials into `headers`. Where they have expired one thread renews them, and the others wait."""
        with self._renewing, failures_raised():
            self._client.update_params_for_auth(headers, [], ["BearerToken"], path, method, body)


def _load_file(file: str | None, context: str | None, configuration: Configuration) -> None:
    try:
        with failures_raised():
            config.load_kube_config(file, context=context, client_configuration=configuration)
    except (AttributeError, KeyError, TypeError, ValueError) as error:  # the client checks little of what it reads
        raise config.ConfigException(f"{file} is not a kubeconfig") from error


def _error(status: int, message: str) -> ClusterError:
    match status:
        case _ if _DENIAL.search(message):
            return RefusedError(message)
        case 422:
            return InvalidError(message)
        case 403:
            return RefusedError(message)
        case 404:
            return NotFoundError(message)
        case 409:
            return ConflictError(message)
        case 410:
            return ExpiredError(message)
        case _:
            return ClusterError(message)


def _message(body: bytes) -> str:
    """What a Status object says, or the start of whatever else it is."""
    try:
        return str(json.loads(body)["message"])
    except (ValueError, KeyError, TypeError):
        return body[:200].decode(errors="replace")
