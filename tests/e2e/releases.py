"""Releases of the chart in a Space: installed by helm, with replicas of the rig in its rights."""

import base64
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import yaml

from rig.balancer import Balancer
from rig.chart import IMAGE, Helm
from rig.gate import CONFIGURATION_PATH, GATE_PATH, marked, marks_of, wait_until_marked
from rig.kubernetes import objects
from rig.kubernetes.api import ApiError
from rig.kubernetes.objects import CONTROL_PLANE_LABEL, SERVICE_ACCOUNT
from rig.kubernetes.registration import OWN_NAMESPACE
from rig.permissions import CERTIFICATE_SECRET, PROGRAM
from rig.space import Space
from rig.waiting import eventually
from rig.webhook import Webhook
from tests.e2e.scenes import create_account, create_namespace

Values = dict[str, Any]
RBAC = (
    "clusterroles",
    "clusterrolebindings",
    f"namespaces/{OWN_NAMESPACE}/roles",
    f"namespaces/{OWN_NAMESPACE}/rolebindings",
)


@dataclass(frozen=True)
class Release:
    """A release of the chart, and the balancer that its webhook configuration points at."""

    space: Space
    helm: Helm
    balancer: Balancer

    def values(self, **changed: Any) -> Values:
        """Values with the rig's addresses, and others over them."""
        expression = {"key": CONTROL_PLANE_LABEL, "operator": "Exists"}
        binding = {
            "name": "backup",
            "serviceAccount": SERVICE_ACCOUNT,
            "namespaces": {"selector": {"matchExpressions": [expression]}, "pattern": "mxp-*-system"},
            "mode": "irsa",
            "roles": self.space.roles,
        }
        ca = base64.b64encode(self.space.authority.certificate.encode()).decode()
        url = f"https://127.0.0.1:{self.balancer.port}/mutate"
        return {
            **IMAGE,
            "bindings": [{**binding, **changed.pop("binding", {})}],
            "certificates": {"source": "files", "existingSecret": "serving", "caBundle": ca},
            "server": {"drainTime": "2s"},
            **changed,
            "webhook": {"url": url, **changed.get("webhook", {})},
        }

    def start_replica(self) -> Webhook:
        """Start a replica as the release's pods would: its configuration file, ServiceAccount and rights."""
        configuration = yaml.safe_load(self._config_map()["data"]["config.yaml"])
        configuration["server"] |= {"host": "127.0.0.1"}
        del configuration["certificates"]  # no Secret is mounted here: the rig's own authority signs a certificate
        webhook = self.space.start_webhook(configuration)
        self.balancer.add(webhook.port)
        return webhook

    def stop_replica(self, webhook: Webhook) -> None:
        """End a replica as a rollout does: no new connections, then SIGTERM."""
        self.balancer.remove(webhook.port)
        assert webhook.terminate() == 0

    def wait_until_called(self) -> None:
        """Wait until the API server calls the webhook: it learns of a configuration by a watch."""
        eventually(self.space.is_called, "the API server calls the webhook")

    def marks(self) -> dict[str, str]:
        """The marks of the release's bindings, whose pods may be refused where they are set."""
        return marks_of(self._config_map())

    def marked(self) -> list[str]:
        """The bindings whose pods may be refused."""
        return sorted(marked(self.space.cluster).values())

    def close_gate(self) -> None:
        """Have a replica make its first pass and end, and wait until the API server refuses a pod."""
        replica = self.start_replica()
        wait_until_marked(self.space.cluster)
        self.stop_replica(replica)
        eventually(lambda: self.refuses(self.unannotated()), "the gate holds")

    def wait_until_in_force(self) -> None:
        """Wait until the API server has the gate's policies, which refuse nothing yet; no replica runs."""
        probe, marks = self.unannotated(), self.marks()
        self.space.cluster.api.patch(GATE_PATH, {"metadata": {"annotations": marks}})
        eventually(lambda: self.refuses(probe), "the gate holds with a mark")
        self.space.cluster.api.patch(GATE_PATH, {"metadata": {"annotations": dict.fromkeys(marks)}})
        eventually(lambda: not self.refuses(probe), "the gate is open without")

    def unannotated(self) -> str:
        """A new namespace whose ServiceAccount nothing has annotated, as long as no replica runs."""
        namespace = create_namespace(self.space)
        create_account(self.space, namespace)
        return namespace

    def refuses(self, namespace: str) -> bool:
        """Whether the gate refuses a pod in a namespace."""
        try:
            self.space.cluster.api.create(objects.pod(namespace, "probe"), dryRun="All")
        except ApiError as error:
            if "EKS gave no identity" not in error.message:
                raise
            return True
        return False

    def objects(self) -> list[str]:
        """What of the release is in the cluster, by kind and name, by the label that helm's charts have."""
        kinds = (
            "mutatingwebhookconfigurations,validatingadmissionpolicies,validatingadmissionpolicybindings,"
            "clusterroles,clusterrolebindings,roles,rolebindings,serviceaccounts,services,configmaps,deployments,"
            "replicasets,pods,poddisruptionbudgets,secrets"
        )
        label = f"app.kubernetes.io/instance={self.helm.release}"
        found = self.space.cluster.kubectl("get", kinds, "--all-namespaces", "--output=name", "--selector", label)
        assert found.returncode == 0, found.stderr
        return found.stdout.split()

    def _config_map(self) -> dict[str, Any]:
        found: dict[str, Any] = self.space.cluster.api.get(CONFIGURATION_PATH)
        return found


@contextmanager
def released(space: Space, **values: Any) -> Iterator[Release]:
    """A Space with the chart installed, in place of what the rig gives the program."""
    space.cluster.api.delete(f"/api/v1/namespaces/{OWN_NAMESPACE}/serviceaccounts/{PROGRAM}")
    space.cluster.api.delete(f"/api/v1/namespaces/{OWN_NAMESPACE}/secrets/{CERTIFICATE_SECRET}")
    space.cluster.api.delete(GATE_PATH)
    for path in RBAC:
        space.cluster.api.delete(f"/apis/rbac.authorization.k8s.io/v1/{path}/{PROGRAM}")
    with ExitStack() as stack:
        balancer = stack.enter_context(Balancer())
        release = Release(space, Helm(PROGRAM, OWN_NAMESPACE, space.cluster.kubeconfig), balancer)
        release.helm.install(release.values(**values))
        yield release
