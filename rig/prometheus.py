"""A real Prometheus that scrapes the program and the API servers of Spaces, with the rules of the chart."""

import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import yaml

from rig.kubernetes.cluster import Cluster
from rig.kubernetes.registration import OWN_NAMESPACE
from rig.processes import Workspace
from rig.serving import serve
from rig.tools import binary
from rig.waiting import eventually
from rig.webhook import Webhook

Samples = list[tuple[dict[str, str], float]]


@dataclass(frozen=True)
class Scraped:
    """A cluster that is scraped: its API server, and replicas of the program.

    With a `name` their series have it as the label `cluster`, and the program's its namespace.
    """

    cluster: Cluster
    webhooks: Sequence[Webhook]
    name: str = ""


class Prometheus:
    """Started at once, and ended with the workspace. Scrapes and evaluates every `interval` seconds."""

    def __init__(self, workspace: Workspace, rules: Path, *scraped: Scraped, interval: int = 1) -> None:
        self._folder = workspace.path / "prometheus"
        self._folder.mkdir()
        self._file = self._folder / "prometheus.yaml"
        self._rules = rules
        self._interval = interval
        self._configure(scraped)

        def argv(port: int) -> list[str | Path]:
            return [
                binary("prometheus"),
                f"--config.file={self._file}",
                f"--storage.tsdb.path={self._folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
                "--log.level=warn",
            ]

        self.process, self._port = serve(workspace, "prometheus", argv, _is_ready)

    def scrape(self, *scraped: Scraped) -> None:
        """Scrape these from now on, and nothing else."""
        wanted = self._configure(scraped)
        self.process.signal(signal.SIGHUP)

        def is_done() -> bool:
            found = self._get("targets", state="active")["activeTargets"]
            return {target["labels"]["instance"] for target in found} == wanted

        eventually(is_done, "Prometheus scrapes the new replicas")

    def query(self, expression: str) -> Samples:
        """Evaluate an expression now: labels and value of each sample. Raises ValueError where it is none."""
        answer = self._get("query", query=expression)
        return [(sample["metric"], float(sample["value"][1])) for sample in answer["result"]]

    def rules(self) -> list[dict[str, Any]]:
        """The alerts as Prometheus has loaded them, with the health of the last evaluation."""
        return [rule for group in self._get("rules")["groups"] for rule in group["rules"]]

    def firing(self) -> list[dict[str, Any]]:
        """The alerts that fire now, each with its labels and annotations."""
        return [alert for alert in self._get("alerts")["alerts"] if alert["state"] == "firing"]

    def _configure(self, scraped: Sequence[Scraped]) -> set[str]:
        """Write the configuration; answers the addresses that are scraped."""
        jobs = [job for number, one in enumerate(scraped) for job in self._jobs(number, one)]
        every = f"{self._interval}s"
        configuration = {
            "global": {"scrape_interval": every, "evaluation_interval": every},
            "rule_files": [str(self._rules)],
            "scrape_configs": jobs,
        }
        self._file.write_text(yaml.safe_dump(configuration))
        return {target for job in jobs for one in job["static_configs"] for target in one["targets"]}

    def _jobs(self, number: int, scraped: Scraped) -> Iterator[dict[str, Any]]:
        """Names of jobs are unique in a file; the label is the same in each cluster."""
        token_file = self._folder / f"token-{number}"
        token_file.write_text(scraped.cluster.server.credentials.tokens["admin"])
        of_cluster = {"cluster": scraped.name} if scraped.name else {}
        own = {"namespace": OWN_NAMESPACE} if scraped.name else {}
        yield {
            "job_name": f"mxp-identity-webhook-{number}",
            "static_configs": [
                {
                    "targets": [_address(webhook.plain_url) for webhook in scraped.webhooks],
                    "labels": {"job": "mxp-identity-webhook", **of_cluster, **own},
                }
            ],
        }
        yield {
            "job_name": f"apiserver-{number}",
            "scrape_interval": f"{2 * self._interval}s",
            "scheme": "https",
            "authorization": {"credentials_file": str(token_file)},
            "tls_config": {"ca_file": str(scraped.cluster.ca_file)},
            "static_configs": [
                {"targets": [_address(scraped.cluster.url)], "labels": {"job": "apiserver", **of_cluster}}
            ],
        }

    def _get(self, path: str, **query: str) -> dict[str, Any]:
        url = f"http://127.0.0.1:{self._port}/api/v1/{path}"
        answer = httpx.get(url, params=query, trust_env=False, timeout=10).json()
        if answer["status"] != "success":
            raise ValueError(f"{path}: {answer['error']}")
        data: dict[str, Any] = answer["data"]
        return data


def _address(url: str) -> str:
    return url.split("//", 1)[1]


def _is_ready(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/-/ready", trust_env=False).is_success
    except httpx.TransportError:
        return False
