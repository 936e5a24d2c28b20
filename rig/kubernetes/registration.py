"""Registering our webhook with the API server, reached by URL as the rig has no pod network."""

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from rig.kubernetes.objects import SERVICE_ACCOUNT

OWN_NAMESPACE = "mxp-identity"
ENTRY = "serviceaccounts.mxp-identity.local"
"""Name of the one entry in the configuration, by which the API server counts its calls."""


@dataclass(frozen=True)
class Registration:
    """A webhook on CREATE and UPDATE of ServiceAccounts with the given names.

    `ca_pem` verifies the webhook's certificate. ServiceAccounts of kube-system and of `own_namespace` never
    reach it. `timeout_s` is what the API server waits for an answer.
    """

    url: str
    ca_pem: str
    service_accounts: Sequence[str] = (SERVICE_ACCOUNT,)
    failure_policy: Literal["Fail", "Ignore"] = "Fail"
    own_namespace: str = OWN_NAMESPACE
    timeout_s: int = 10

    def configuration(self, name: str) -> dict[str, Any]:
        """Return the MutatingWebhookConfiguration."""
        excluded = ["kube-system", self.own_namespace]
        selector = {"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": excluded}
        names = json.dumps(list(self.service_accounts))
        webhook = {
            "name": ENTRY,
            "clientConfig": {"url": self.url, "caBundle": base64.b64encode(self.ca_pem.encode()).decode()},
            "rules": [
                {
                    "apiGroups": [""],
                    "apiVersions": ["v1"],
                    "resources": ["serviceaccounts"],
                    "operations": ["CREATE", "UPDATE"],
                    "scope": "Namespaced",
                }
            ],
            "matchConditions": [
                {
                    "name": "bound-service-accounts",
                    "expression": f"has(object.metadata.name) && object.metadata.name in {names}",
                }
            ],
            "namespaceSelector": {"matchExpressions": [selector]},
            "admissionReviewVersions": ["v1"],
            "failurePolicy": self.failure_policy,
            "reinvocationPolicy": "IfNeeded",
            "sideEffects": "NoneOnDryRun",
            "timeoutSeconds": self.timeout_s,
        }
        return {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "MutatingWebhookConfiguration",
            "metadata": {"name": name},
            "webhooks": [webhook],
        }
