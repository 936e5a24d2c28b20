"""A release of the chart with the names that a user chose, and one replica as its pod would be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from rig.chart import IMAGE, Helm
from rig.waiting import eventually
from rig.webhook import Webhook

if TYPE_CHECKING:
    from pathlib import Path

    from rig.space import Space

RELEASE, NAMESPACE = "mxp", "platform"
FULLNAME = "mxp-mxp-identity-webhook"
REGISTRATION = f"/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/{FULLNAME}"


@dataclass(frozen=True)
class OwnRelease:
    """The release `mxp` in the namespace `platform` of a Space, which has to exist."""

    space: Space

    @property
    def helm(self) -> Helm:
        """Helm for the release."""
        return Helm(RELEASE, NAMESPACE, self.space.cluster.kubeconfig)

    def values(self, **changed: Any) -> dict[str, Any]:
        """The chart's defaults, so certificates of its own, the Space's binding, and `changed`."""
        return {**IMAGE, "bindings": self.space.configuration()["bindings"], **changed}

    def start_replica(self, service_account: str, kubeconfig: Path | None = None) -> Webhook:
        """Start the program with the release's configuration, in the rights of a ServiceAccount."""
        path = f"/api/v1/namespaces/{NAMESPACE}/configmaps/{FULLNAME}"
        configuration = yaml.safe_load(self.space.cluster.api.get(path)["data"]["config.yaml"])
        configuration["certificates"]["extraNames"] = ["127.0.0.1"]
        own = kubeconfig or self.space.cluster.kubeconfig_for(NAMESPACE, service_account)
        environment = {
            **self.space.environment(f"{FULLNAME}-1"),
            "KUBECONFIG": str(own),
            "POD_NAMESPACE": NAMESPACE,
        }
        webhook = Webhook(self.space.cluster.workspace, FULLNAME, configuration, self.space.authority, environment)
        self.space.webhooks.append(webhook)
        webhook.wait_until_ready()
        return webhook

    def wait_until_announced(self) -> dict[str, Any]:
        """Wait until the replica has written its authority into the release's registration; answer that entry."""

        def announced() -> dict[str, Any] | None:
            (entry,) = self.space.cluster.api.get(REGISTRATION)["webhooks"]
            return entry if entry["clientConfig"].get("caBundle") else None

        return eventually(announced, "the caBundle is written")
