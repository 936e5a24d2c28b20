"""A cluster as it was at one moment, and making it so again."""

import shutil
from itertools import count
from typing import TYPE_CHECKING

from rig.kubernetes.api import ApiError
from rig.kubernetes.objects import Object
from rig.kubernetes.store import Store
from rig.waiting import eventually

if TYPE_CHECKING:
    from rig.kubernetes.cluster import Cluster

CANARY = "canary.rig.local"
GROUP = "admissionregistration.k8s.io/v1"
RULE = {"apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"], "operations": ["CREATE"]}
LABELLED = {"matchExpressions": [{"key": CANARY, "operator": "Exists"}]}

# By the beginning of etcd's names: what refuses a labelled ConfigMap, so that it is seen to be in force.
CANARIES: dict[str, list[Object]] = {
    "validatingadmissionpolic": [
        {
            "apiVersion": GROUP,
            "kind": "ValidatingAdmissionPolicy",
            "metadata": {"name": CANARY},
            "spec": {
                "matchConstraints": {"resourceRules": [RULE], "objectSelector": LABELLED},
                "validations": [{"expression": "false", "message": CANARY}],
            },
        },
        {
            "apiVersion": GROUP,
            "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": {"name": CANARY},
            "spec": {"policyName": CANARY, "validationActions": ["Deny"]},
        },
    ],
    "mutatingwebhookconfigurations": [
        {
            "apiVersion": GROUP,
            "kind": "MutatingWebhookConfiguration",
            "metadata": {"name": CANARY},
            "webhooks": [
                {
                    "name": CANARY,
                    "clientConfig": {"url": "https://127.0.0.1:1/"},  # nothing listens there
                    "rules": [RULE],
                    "objectSelector": LABELLED,
                    "admissionReviewVersions": ["v1"],
                    "sideEffects": "None",
                }
            ],
        }
    ],
}


class Snapshot:
    """A cluster whose start is over, as it is at the time of construction."""

    def __init__(self, cluster: "Cluster") -> None:
        self._cluster = cluster
        if "kube-controller-manager" in cluster.parts:
            eventually(self._has_defaults, "each namespace has its ServiceAccount and root certificate")
        self._store = Store(cluster.server.etcd_socket)
        self._contents = self._store.read()
        self._files = {path.name for path in cluster.workspace.path.iterdir()} | {cluster.server.audit_log.name}

    def restore(self) -> bool:
        """Remove whatever came since, and put back what changed; False where that cannot be: a part has ended.

        That is: objects, processes that are no parts, files, EKS's associations and audit events. The API server's
        metrics go on.
        """
        cluster = self._cluster
        for process in [*cluster.workspace.processes]:
            if process not in cluster.parts.values():
                cluster.workspace.forget(process)
        if not all(process.running for process in cluster.parts.values()):
            return False
        if cluster.eks_webhook:
            cluster.eks_webhook.set_associations([])
        removed = self._store.restore(self._contents)
        for kind, canary in CANARIES.items():
            if any(name.startswith(f"/registry/{kind}") for name in removed):
                self._wait_until_refused_by(canary)
        eventually(lambda: not self._store.restore(self._contents), "the controllers recreate nothing")
        for path in cluster.workspace.path.iterdir():
            if path.name not in self._files:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        cluster.forget_audit_events()
        return True

    def _has_defaults(self) -> bool:
        def names(kind: str) -> set[str]:
            items = self._cluster.api.get(f"/api/v1/{kind}")["items"]
            wanted = {"serviceaccounts": "default", "configmaps": "kube-root-ca.crt"}[kind]
            return {item["metadata"]["namespace"] for item in items if item["metadata"]["name"] == wanted}

        namespaces = {item["metadata"]["name"] for item in self._cluster.api.get("/api/v1/namespaces")["items"]}
        return names("serviceaccounts") == names("configmaps") == namespaces

    def _wait_until_refused_by(self, canary: list[Object]) -> None:
        """Wait until the API server has read an admission configuration made now: it forgot the earlier by then.

        It reads policies once a second, and webhooks by a watch.
        """
        attempts = count()
        self._cluster.create(canary)

        def is_refused() -> bool:
            metadata = {"name": f"{CANARY}-{next(attempts)}", "labels": {CANARY: ""}}
            item = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}
            try:
                self._cluster.api.post("/api/v1/namespaces/default/configmaps", item, dryRun="All")
            except ApiError as error:
                return CANARY in error.message
            return False

        eventually(is_refused, "the API server reads its admission configuration")
