"""A real Prometheus that scrapes the program and the API server of a Space, with the rules of the chart."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import yaml

from rig.kubernetes.cluster import Cluster
from rig.serving import serve
from rig.tools import binary
from rig.webhook import Webhook

SCRAPE_INTERVAL = "1s"
API_SERVER_INTERVAL = "2s"

Samples = list[tuple[dict[str, str], float]]


class Prometheus:
    """Started at once, and ended with the cluster's workspace; replicas that come later are not scraped."""

    def __init__(self, cluster: Cluster, webhooks: Sequence[Webhook], rules: Path) -> None:
        folder = cluster.workspace.path / "prometheus"
        folder.mkdir()
        self._file = folder / "prometheus.yaml"
        self._file.write_text(yaml.safe_dump(_configuration(cluster, webhooks, rules)))

        def argv(port: int) -> list[str | Path]:
            return [
                binary("prometheus"),
                f"--config.file={self._file}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
                "--log.level=warn",
            ]

        self.process, self._port = serve(cluster.workspace, "prometheus", argv, _is_ready)

    def query(self, expression: str) -> Samples:
        """Evaluate an expression now: labels and value of each sample. Raises ValueError where it is none."""
        answer = self._get("query", query=expression)
        return [(sample["metric"], float(sample["value"][1])) for sample in answer["result"]]

    def rules(self) -> list[dict[str, Any]]:
        """The alerts as Prometheus has loaded them, with the health of the last evaluation."""
        return [rule for group in self._get("rules")["groups"] for rule in group["rules"]]

    def _get(self, path: str, **query: str) -> dict[str, Any]:
        url = f"http://127.0.0.1:{self._port}/api/v1/{path}"
        answer = httpx.get(url, params=query, trust_env=False, timeout=10).json()
        if answer["status"] != "success":
            raise ValueError(f"{path}: {answer['error']}")
        data: dict[str, Any] = answer["data"]
        return data


def _configuration(cluster: Cluster, webhooks: Sequence[Webhook], rules: Path) -> dict[str, Any]:
    credentials = cluster.server.credentials
    token_file = cluster.workspace.path / "prometheus" / "token"
    token_file.write_text(credentials.tokens["admin"])
    return {
        "global": {"scrape_interval": SCRAPE_INTERVAL, "evaluation_interval": SCRAPE_INTERVAL},
        "rule_files": [str(rules)],
        "scrape_configs": [
            {
                "job_name": "mxp-identity-webhook",
                "static_configs": [{"targets": [_address(webhook.plain_url) for webhook in webhooks]}],
            },
            {
                "job_name": "apiserver",
                "scrape_interval": API_SERVER_INTERVAL,
                "scheme": "https",
                "authorization": {"credentials_file": str(token_file)},
                "tls_config": {"ca_file": str(cluster.ca_file)},
                "static_configs": [{"targets": [_address(cluster.url)]}],
            },
        ],
    }


def _address(url: str) -> str:
    return url.split("//", 1)[1]


def _is_ready(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/-/ready", trust_env=False).is_success
    except httpx.TransportError:
        return False
