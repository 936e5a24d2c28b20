"""A client of the API server that costs little itself: one connection, no model, JSON bodies made beforehand."""

import http.client
import json
import ssl
import time
from types import TracebackType
from typing import Any, Self

from rig.kubernetes.cluster import Cluster

ERRORS = 400


class Caller:
    """One keep-alive connection to a cluster's API server, as admin; a context manager that closes it."""

    def __init__(self, cluster: Cluster) -> None:
        host, port = cluster.url.removeprefix("https://").split(":")
        context = ssl.create_default_context(cafile=str(cluster.ca_file))
        self._connection = http.client.HTTPSConnection(host, int(port), context=context, timeout=60)
        self._headers = {
            "Authorization": f"Bearer {cluster.server.credentials.tokens['admin']}",
            "Content-Type": "application/json",
        }

    def __enter__(self) -> Self:
        self._connection.connect()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> float:
        """Send one request and return the seconds until its answer was read; RuntimeError for an HTTP error."""
        payload = None if body is None else json.dumps(body).encode()
        began = time.perf_counter()
        self._connection.request(method, path, payload, self._headers)
        answer = self._connection.getresponse()
        content = answer.read()
        seconds = time.perf_counter() - began
        if answer.status >= ERRORS:
            raise RuntimeError(f"{method} {path}: {answer.status} {content[:300]!r}")
        return seconds
