"""Running the real helm on the chart, to render it or against a cluster, away from the user's own helm."""

import copy
import functools
import json
import os
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from rig.kubernetes.place import Place
from rig.tools import binary

CHART = Path(__file__).parents[2] / "charts" / "mxp-identity-webhook"
TIMEOUT_S = 120.0

Values = Mapping[str, Any]
Object = dict[str, Any]

IMAGE: Values = {"image": {"registry": "registry.example.com"}}
"""Values of the chart that name an image, where no node pulls it."""


class HelmError(Exception):
    """Helm refused; the message is what it said."""


class Helm:
    """One release of the chart in one namespace. `kubeconfig` may be left out where no cluster is asked.

    `place` is where the cluster runs, by default on this machine's loopback; `chart` may name another place of the
    chart, such as a registry.
    """

    def __init__(
        self,
        release: str,
        namespace: str,
        kubeconfig: Path | None = None,
        place: Place | None = None,
        *,
        chart: str = str(CHART),
    ) -> None:
        self.release = release
        self.namespace = namespace
        self._chart = chart
        self._kubeconfig = kubeconfig
        self._place = place or Place()

    def template(self, values: Values, *flags: str) -> list[Object]:
        """Return the objects that the chart makes of these values; raises HelmError."""
        printed = self._run("template", self.release, self._chart, *flags, values=values)
        return [item for item in yaml.safe_load_all(printed) if item]

    def install(self, values: Values, *flags: str) -> str:
        """Install the release and return what helm printed; raises HelmError."""
        return self._run("install", self.release, self._chart, "--create-namespace", *flags, values=values)

    def upgrade(self, values: Values, *flags: str) -> str:
        """Upgrade the release to these values and return what helm printed; raises HelmError."""
        return self._run("upgrade", self.release, self._chart, *flags, values=values)

    def test(self) -> str:
        """Run the release's own test and return what helm printed; raises HelmError where it fails."""
        return self._run("test", self.release)

    def uninstall(self) -> str:
        """Uninstall the release, wait until it is gone, and return what helm printed; raises HelmError."""
        return self._run("uninstall", self.release, "--wait")

    def _run(self, *arguments: str, values: Values | None = None) -> str:
        given: Sequence[str] = () if values is None else ("--values", "-")
        with tempfile.TemporaryDirectory(prefix="rig-helm-") as home:
            done = subprocess.run(
                self._place.command([binary("helm"), *arguments, "--namespace", self.namespace, *given]),
                input=None if values is None else json.dumps(values),
                capture_output=True,
                text=True,
                check=False,
                timeout=TIMEOUT_S,
                env=self._environment(home),
            )
        if done.returncode:
            raise HelmError(done.stderr.strip())
        return done.stdout

    def _environment(self, home: str) -> dict[str, str]:
        own = {key: value for key, value in os.environ.items() if not key.startswith(("HELM_", "KUBE"))}
        folders = {f"HELM_{name}_HOME": f"{home}/{name}" for name in ("CACHE", "CONFIG", "DATA")}
        return {**own, **folders, "KUBECONFIG": str(self._kubeconfig or os.devnull)}


def render(values: Values, release: str, namespace: str) -> list[Object]:
    """Return the objects that a release of the chart would make; raises HelmError.

    Helm is asked once for the same values, so a chart that changes while this process runs is not seen.
    """
    return copy.deepcopy(_rendered(json.dumps(values), release, namespace))


@functools.cache
def _rendered(values: str, release: str, namespace: str) -> list[Object]:
    return Helm(release, namespace).template(json.loads(values))
