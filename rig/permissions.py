"""The rights that the program runs with on the rig: the least that work, in Kubernetes and in IAM."""

from collections.abc import Sequence
from typing import Any

from rig.kubernetes.objects import Object, role_binding
from rig.kubernetes.registration import OWN_NAMESPACE

PROGRAM = "mxp-identity-webhook"
"""Name of the program's ServiceAccount and of its IAM role."""

CERTIFICATE_SECRET = f"{PROGRAM}-tls"
"""Name of the Secret that the program keeps its own certificates in."""


def kubernetes_objects(service_accounts: Sequence[str]) -> list[Object]:
    """Return namespace, ServiceAccount and RBAC of the program, for bindings on these ServiceAccount names.

    A field selector on the name needs the right to list all; the right to change is for the names alone.
    """
    metadata = {"name": PROGRAM}
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": OWN_NAMESPACE}},
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {**metadata, "namespace": OWN_NAMESPACE}},
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRole",
            "metadata": metadata,
            "rules": [
                {"apiGroups": [""], "resources": ["namespaces"], "verbs": ["get", "list", "watch"]},
                {"apiGroups": [""], "resources": ["serviceaccounts"], "verbs": ["list", "watch"]},
                {
                    "apiGroups": [""],
                    "resources": ["serviceaccounts"],
                    "resourceNames": list(service_accounts),
                    "verbs": ["get", "patch"],
                },
                {"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]},
                {"apiGroups": [""], "resources": ["events"], "verbs": ["create"]},
                {
                    "apiGroups": ["admissionregistration.k8s.io"],
                    "resources": ["mutatingwebhookconfigurations"],
                    "resourceNames": [PROGRAM],
                    "verbs": ["get", "patch"],
                },
            ],
        },
        role_binding(OWN_NAMESPACE, PROGRAM, PROGRAM, PROGRAM, cluster=True),
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "Role",
            "metadata": {**metadata, "namespace": OWN_NAMESPACE},
            "rules": [
                {
                    "apiGroups": ["coordination.k8s.io"],
                    "resources": ["leases"],
                    "verbs": ["get", "create", "update"],
                },
                {"apiGroups": [""], "resources": ["secrets"], "verbs": ["create"]},
                {
                    "apiGroups": [""],
                    "resources": ["secrets"],
                    "resourceNames": [CERTIFICATE_SECRET],
                    "verbs": ["get", "update"],
                },
            ],
        },
        role_binding(OWN_NAMESPACE, PROGRAM, PROGRAM, PROGRAM, cluster=False),
    ]


def iam_policy(roles: Sequence[str], provider_arn: str, own_role: str) -> dict[str, Any]:
    """Return the identity policy of the program's own role, for bindings on these role ARNs."""
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Action": ["iam:GetRole", "iam:UpdateAssumeRolePolicy"],
                "Resource": list(roles),
            },
            {"Effect": "Allow", "Action": "iam:GetOpenIDConnectProvider", "Resource": provider_arn},
            {"Effect": "Allow", "Action": "iam:GetAccountSummary", "Resource": "*"},
            {"Effect": "Deny", "Action": "iam:*", "Resource": own_role},
        ],
    }


def irsa_trust(provider_arn: str, issuer: str, subject: str) -> dict[str, Any]:
    """Return a trust policy for one ServiceAccount, as the AWS documentation writes it."""
    key = issuer.removeprefix("https://")
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Federated": provider_arn},
                "Action": "sts:AssumeRoleWithWebIdentity",
                "Condition": {"StringEquals": {f"{key}:aud": "sts.amazonaws.com", f"{key}:sub": subject}},
            }
        ],
    }
