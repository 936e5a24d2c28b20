"""EKS's own pod identity webhook: the program that turns the annotation into a pod's environment.

It is AWS's binary, unmodified. It can only listen on every address of the machine; all it does there is
answer reviews.
"""

import base64
import json
import ssl
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import httpx

from rig.kubernetes.api import Api, ApiError
from rig.kubernetes.objects import pod, service_account
from rig.kubernetes.place import Place
from rig.kubernetes.server import REGION
from rig.pki import LOOPBACK, Authority
from rig.ports import free_port
from rig.processes import Workspace
from rig.serving import serve, wait_until_ready
from rig.tools import binary

ROLE_ANNOTATION = "eks.amazonaws.com/role-arn"
CANARY = "eks-webhook-canary"
CANARY_NAMESPACE = "kube-system"
CANARY_ROLE = "arn:aws:iam::000000000000:role/canary"
CONFLICT = 409


class EksWebhook:
    """The webhook's process and its registration."""

    def __init__(self, workspace: Workspace, api: Api, url: str, kubeconfig: Path, place: Place) -> None:
        folder = workspace.path / "eks-webhook"
        folder.mkdir()
        self._api = api
        self._associations = folder / "associations.json"
        self.set_associations([])
        authority = Authority("rig-eks-webhook")
        self._ca = authority.certificate
        certificate, key = authority.issue("eks-pod-identity-webhook", [*LOOPBACK, place.address]).write(
            folder, "serving"
        )
        self._http = place.http(ssl.create_default_context(cadata=self._ca))
        self._address = place.address
        self.port = 0
        self._create_canary()

        def argv(port: int) -> list[str | Path]:
            program: list[str | Path] = [
                binary("eks-pod-identity-webhook"),
                "--in-cluster=false",
                f"--kubeconfig={kubeconfig}",
                f"--kube-api={url}",
                f"--tls-cert={certificate}",
                f"--tls-key={key}",
                f"--port={port}",
                f"--metrics-port={free_port()}",
                f"--aws-default-region={REGION}",
                "--sts-regional-endpoint=true",
                f"--watch-container-credentials-config={self._associations}",
            ]
            return place.command(program)

        self.process, self.port = serve(workspace, "eks-pod-identity-webhook", argv, self._knows_canary)
        self._delete_canary()
        api.apply(self.configuration())

    def set_associations(self, subjects: Iterable[tuple[str, str]]) -> None:
        """Say which (namespace, ServiceAccount) have a Pod Identity association, replacing all before.

        EKS's control plane tells its webhook the same way, through a file. The webhook notices a change
        within moments; on EKS that takes 5 to 15 s.
        """
        identities = [{"namespace": namespace, "serviceAccount": name} for namespace, name in subjects]
        unseen = self._associations.with_suffix(".new")
        unseen.write_text(json.dumps({"identities": identities}))
        unseen.replace(self._associations)

    def wait_until_ready(self) -> None:
        """Wait until the webhook, started again, knows the cluster's ServiceAccounts."""
        self._create_canary()
        wait_until_ready(self.process, lambda: self._knows_canary(self.port))
        self._delete_canary()

    def configuration(self) -> dict[str, Any]:
        """Return the registration as EKS has it: on pods, and a failure is ignored."""
        ca_bundle = base64.b64encode(self._ca.encode()).decode()
        webhook = {
            "name": "iam-for-pods.amazonaws.com",
            "clientConfig": {"url": f"https://127.0.0.1:{self.port}/mutate", "caBundle": ca_bundle},
            "rules": [
                {
                    "apiGroups": [""],
                    "apiVersions": ["v1"],
                    "resources": ["pods"],
                    "operations": ["CREATE"],
                    "scope": "*",
                }
            ],
            "objectSelector": {
                "matchExpressions": [
                    {"key": "eks.amazonaws.com/skip-pod-identity-webhook", "operator": "DoesNotExist"}
                ]
            },
            "admissionReviewVersions": ["v1beta1"],
            "failurePolicy": "Ignore",
            "reinvocationPolicy": "IfNeeded",
            "sideEffects": "None",
            "timeoutSeconds": 10,
        }
        return {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "MutatingWebhookConfiguration",
            "metadata": {"name": "pod-identity-webhook"},
            "webhooks": [webhook],
        }

    def _knows_canary(self, port: int) -> bool:
        """Whether the webhook has seen an annotated ServiceAccount, which means that its cache is filled."""
        review = {
            "apiVersion": "admission.k8s.io/v1beta1",
            "kind": "AdmissionReview",
            "request": {
                "uid": "canary",
                "kind": {"group": "", "version": "v1", "kind": "Pod"},
                "resource": {"group": "", "version": "v1", "resource": "pods"},
                "namespace": CANARY_NAMESPACE,
                "operation": "CREATE",
                "object": pod(CANARY_NAMESPACE, CANARY, CANARY),
            },
        }
        try:
            answer = self._http.post(f"https://{self._address}:{port}/mutate", json=review)
        except httpx.TransportError:
            return False
        return answer.is_success and bool(answer.json()["response"].get("patch"))

    def _create_canary(self) -> None:
        canary = service_account(CANARY_NAMESPACE, CANARY, {ROLE_ANNOTATION: CANARY_ROLE})
        try:
            self._api.create(canary)
        except ApiError as error:
            if error.code != CONFLICT:
                raise

    def _delete_canary(self) -> None:
        self._api.delete(f"/api/v1/namespaces/{CANARY_NAMESPACE}/serviceaccounts/{CANARY}")
