"""Our program as a process of the rig: started with a configuration file, found by its ports, stopped for good."""

import json
import os
import signal
import ssl
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import yaml

from rig.kubernetes.metrics import Metrics
from rig.pki import Authority
from rig.processes import Process, Workspace
from rig.serving import wait_until_ready

Configuration = dict[str, Any]

START_TIMEOUT_S = 30.0


class Webhook:
    """One replica. `configuration` lacks `server` ports; without `certificates` the rig's own authority signs one.

    It takes free ports itself and says in its log which; `wait_until_serving` learns them. Attributes: `process`,
    `file` (its configuration), and from then on `url` (to register) and `plain_url` (metrics and health).
    """

    def __init__(  # noqa: PLR0913, PLR0917  what a process has
        self,
        workspace: Workspace,
        name: str,
        configuration: Configuration,
        authority: Authority,
        environment: Mapping[str, str],
        module: str = "webhook",
    ) -> None:
        folder = workspace.path / name
        folder.mkdir()
        certificate, key = authority.issue(name).write(folder, "serving")
        files = {"source": "files", "certFile": str(certificate), "keyFile": str(key)}
        server = {"host": "127.0.0.1", "drainTime": "2s", **configuration.get("server", {})}
        self.name = name
        self.url = self.plain_url = ""
        self.file = folder / "configuration.yaml"
        self.file.write_text(
            yaml.safe_dump(
                {
                    "certificates": files,
                    **configuration,
                    "server": {**server, "port": 0, "metricsPort": 0},
                }
            )
        )
        self._ca = authority.certificate
        of_the_machine = {key for key in os.environ if key.startswith("AWS_")}
        self.process: Process = workspace.spawn(
            name, command(self.file, module), env=environment, unset=of_the_machine
        )

    @property
    def port(self) -> int:
        """The port of reviews."""
        return int(self.url.split(":")[2].split("/")[0])

    def wait_until_serving(self) -> None:
        """Wait until its ports are open, and learn them."""
        wait_until_ready(self.process, self.learn_ports, timeout=START_TIMEOUT_S)

    def learn_ports(self) -> bool:
        """Learn its ports from its log; whether they are open by now."""
        serving = [event for event in self.log() if event.get("event") == "serving"]
        if serving:
            self.url = f"https://127.0.0.1:{serving[-1]['port']}/mutate"
            self.plain_url = f"http://127.0.0.1:{serving[-1]['metrics_port']}"
        return bool(serving)

    def client(self, **options: Any) -> httpx.Client:
        """Return an HTTPS client that trusts the replica's certificate."""
        return httpx.Client(verify=ssl.create_default_context(cadata=self._ca), trust_env=False, **options)

    def wait_until_ready(self) -> None:
        """Wait until it says that reviews may come."""
        self.wait_until_serving()
        wait_until_ready(self.process, self.is_ready, timeout=START_TIMEOUT_S)

    def is_ready(self) -> bool:
        """Whether /readyz says so now."""
        try:
            return httpx.get(f"{self.plain_url}/readyz", trust_env=False).is_success
        except httpx.TransportError:
            return False

    def metrics(self) -> Metrics:
        """Return its metrics by a real scrape."""
        return Metrics(httpx.get(f"{self.plain_url}/metrics", trust_env=False).raise_for_status().text)

    def log(self) -> list[dict[str, Any]]:
        """Return its log so far, one dict a line; lines of other programs in the process are left out."""
        lines = self.process.log.read_text(errors="replace").splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    def terminate(self, timeout: float = 30.0) -> int:
        """Send SIGTERM and return the exit code once it has ended; raises TimeoutExpired after `timeout` s."""
        self.process.signal(signal.SIGTERM)
        return self.process.wait(timeout)


def command(configuration: Path, module: str = "webhook") -> list[str]:
    """Return the command line of `serve`, of the program or of a module that is used like it."""
    return [sys.executable, "-m", module, "serve", "--config", str(configuration)]


def run_serve(configuration: Path, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run `serve` in the foreground, for configurations that it refuses; raises TimeoutExpired if it does not."""
    return subprocess.run(
        command(configuration), env=dict(environment), capture_output=True, text=True, check=False, timeout=30
    )
