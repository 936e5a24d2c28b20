"""Releases of the chart on simulated nodes: a process of the program for each pod that kwok says runs."""

from __future__ import annotations

import base64
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self

import yaml

from rig import pods
from rig.balancer import Balancer
from rig.chart import IMAGE
from rig.kubernetes.api import ApiError
from rig.kubernetes.objects import service_account
from rig.kubernetes.registration import ENTRY, OWN_NAMESPACE
from rig.permissions import PROGRAM
from rig.pki import Authority
from rig.waiting import eventually
from rig.webhook import Webhook

if TYPE_CHECKING:
    from rig.aws.standin import AwsStandIn
    from rig.kubernetes.cluster import Cluster

NOT_FOUND = 404
TOKEN_SECONDS = 24 * 3600
CONFIGURATION = f"/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/{PROGRAM}"
SELECTOR = f"app.kubernetes.io/name={PROGRAM}"


class Released:
    """What a kubelet and a Service would do for the release of one cluster.

    A process starts with the configuration that its pod would have mounted, in the rights of the pod's
    ServiceAccount, and as the AWS role that EKS's webhook put into the pod. It ends with its pod.

    With `self_managed` the program makes its certificates, as by the chart's defaults. The chart then has the API
    server call a Service, which no node here brings to a process: `settle` has it call the balancer instead.
    """

    def __init__(self, cluster: Cluster, aws: AwsStandIn, *, self_managed: bool = False) -> None:
        self._self_managed = self_managed
        self._cluster = cluster
        self._aws = aws
        self._authority = Authority("rig-mxp-identity-webhook")
        self._balancer = Balancer()
        self._running: dict[str, Webhook] = {}
        self._down: set[str] = set()
        self._started = 0

    def __enter__(self) -> Self:
        self._balancer.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self._balancer.__exit__()

    def kill(self) -> None:
        """End all processes at once; their pods stay without, until `start_again`."""
        for uid, replica in self._running.items():
            replica.process.kill()
            self._balancer.remove(replica.port)
            self._down.add(uid)
        self._running.clear()

    def start_again(self) -> None:
        """Have processes for all pods once more, as when their node is back."""
        self._down.clear()
        self.settle()

    @property
    def replicas(self) -> list[Webhook]:
        """The processes that run now."""
        return list(self._running.values())

    @property
    def values(self) -> dict[str, Any]:
        """The chart's values for a cluster without a pod network: where the webhook is, and its certificate."""
        always = {**IMAGE, "server": {"drainTime": "2s"}}
        if self._self_managed:
            return always
        bundle = base64.b64encode(self._authority.certificate.encode()).decode()
        return {
            "certificates": {"source": "files", "existingSecret": "serving", "caBundle": bundle},
            "webhook": {"url": self._url},
            **always,
        }

    @property
    def _url(self) -> str:
        return f"https://127.0.0.1:{self._balancer.port}/mutate"

    def settle(self) -> None:
        """Wait until the release's pods are as they will stay, then have the processes follow them."""
        was_there = bool(self._running)
        if self._self_managed:
            self._redirect()
        found = {pod["metadata"]["uid"]: pod for pod in self._pods() if pod["status"].get("phase") == "Running"}
        for uid, pod in found.items():
            if uid not in self._running and uid not in self._down:
                self._running[uid] = self._start(pod)
        for uid in [*self._running]:
            if uid not in found:
                self._stop(self._running.pop(uid))
        if self._running and not was_there:
            self._wait_until_called()

    def _redirect(self) -> None:
        with suppress(ApiError):
            (entry,) = self._cluster.api.get(CONFIGURATION)["webhooks"]
            here = {**entry["clientConfig"], "url": self._url}
            here.pop("service", None)
            change = {"op": "replace", "path": "/webhooks/0/clientConfig", "value": here}
            self._cluster.api.patch(CONFIGURATION, [change], kind="json")

    def _pods(self) -> list[dict[str, Any]]:
        """The release's pods, once its rollout is done or stuck."""
        path = f"/apis/apps/v1/namespaces/{OWN_NAMESPACE}/deployments/{PROGRAM}"

        def settled() -> list[list[dict[str, Any]]]:
            listed = self._cluster.api.get(f"/api/v1/namespaces/{OWN_NAMESPACE}/pods", labelSelector=SELECTOR)
            alive = [pod for pod in listed["items"] if "deletionTimestamp" not in pod["metadata"]]
            try:
                deployment = self._cluster.api.get(path)
            except ApiError as error:
                if error.code != NOT_FOUND:
                    raise
                return [] if alive else [alive]
            return [alive] if _is_rolled_out(deployment) or any(map(_is_stuck, alive)) else []

        return eventually(settled, "the release's pods are settled", timeout=60)[0]

    def _start(self, pod: dict[str, Any]) -> Webhook:
        name, role = pod["metadata"]["name"], pods.environment_of(pod).get("AWS_ROLE_ARN")
        assert role, f"{name} has no AWS identity"
        path = f"/api/v1/namespaces/{OWN_NAMESPACE}/configmaps/{PROGRAM}"
        configuration = yaml.safe_load(self._cluster.api.get(path)["data"]["config.yaml"])
        if self._self_managed:
            configuration["certificates"]["extraNames"] = ["127.0.0.1"]
        else:
            del configuration["certificates"]  # no Secret is mounted: the rig's own authority signs one
        configuration["server"]["host"] = "127.0.0.1"
        token_file = self._cluster.workspace.path / f"{name}-token"
        token_file.write_text(pods.projected_token(self._cluster, pod))
        kubeconfig = self._cluster.kubeconfig_for(OWN_NAMESPACE, PROGRAM, expiration_seconds=TOKEN_SECONDS)
        environment = {
            **self._aws.environment(role_arn=role, token_file=token_file, base={}),
            "AWS_ROLE_SESSION_NAME": name,
            "POD_NAME": name,
            "POD_NAMESPACE": OWN_NAMESPACE,
            "KUBECONFIG": str(kubeconfig),
        }
        self._started += 1
        folder = f"{name}-{self._started}"
        replica = Webhook(self._cluster.workspace, folder, configuration, self._authority, environment)
        replica.wait_until_ready()
        self._balancer.add(replica.port)
        return replica

    def _stop(self, replica: Webhook) -> None:
        self._balancer.remove(replica.port)
        assert replica.terminate() == 0

    def _wait_until_called(self) -> None:
        """The API server learns of a webhook configuration by a watch."""
        configuration = yaml.safe_load(self.replicas[0].file.read_text())
        probe = service_account("default", configuration["bindings"][0]["serviceAccount"])
        eventually(lambda: self._cluster.calls(ENTRY, probe), "the API server calls the webhook")


def _is_rolled_out(deployment: dict[str, Any]) -> bool:
    status, wanted = deployment.get("status", {}), deployment["spec"]["replicas"]
    counts = {status.get(key, 0) for key in ("replicas", "updatedReplicas", "availableReplicas")}
    return status.get("observedGeneration") == deployment["metadata"]["generation"] and counts == {wanted}


def _is_stuck(pod: dict[str, Any]) -> bool:
    """Whether no node takes the pod."""
    return any(
        condition["type"] == "PodScheduled" and condition["status"] == "False"
        for condition in pod["status"].get("conditions", [])
    )
