"""HTTPS_PROXY is for the API server too, but for the hosts of NO_PROXY: docs/run/private-clusters.md."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest

from tests.support.unreachable import proxy, refusing
from webhook.kube.connection import Connection
from webhook.model.errors import ClusterError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("no_proxy", "words"),
    [("", "403 Said"), ("169.254.170.23,127.0.0.1", "refused"), ("10.0.0.1", "403 Said")],
)
def test_the_api_server_is_called_directly_where_no_proxy_has_its_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_proxy: str, words: str
) -> None:
    for name in ("http_proxy", "https_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    with proxy(403) as url, refusing() as server:
        file = tmp_path / "kubeconfig"
        file.write_text(
            json.dumps(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "clusters": [{"name": "a", "cluster": {"server": server}}],
                    "users": [{"name": "a", "user": {"token": "t"}}],
                    "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
                    "current-context": "a",
                }
            )
        )
        for name, value in {"KUBECONFIG": str(file), "HTTPS_PROXY": url, "NO_PROXY": no_proxy}.items():
            monkeypatch.setenv(name, value)
        connection = Connection()
        with pytest.raises(ClusterError, match=words):
            asyncio.run(connection.in_thread(lambda: connection.request("GET", "/version")))
        connection.close()
