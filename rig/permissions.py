"""The rights that the program runs with on the rig: the chart's in Kubernetes, and the documented ones in IAM."""

from collections.abc import Sequence
from typing import Any

from rig.chart import IMAGE, render
from rig.kubernetes.objects import Object
from rig.kubernetes.registration import OWN_NAMESPACE

PROGRAM = "mxp-identity-webhook"
"""Name of the chart's release, so of the program's ServiceAccount, and of its IAM role."""

CERTIFICATE_SECRET = f"{PROGRAM}-tls"
"""Name of the Secret that the program keeps its own certificates in."""

GATE = f"{PROGRAM}-pod-gate"
"""Name of the ServiceAccount on which the program marks the bindings whose pods may be refused."""

REMEDIATION: dict[str, Any] = {"reconciler": {"restartPodsWithoutIdentity": True}}
"""Values of the chart with which the program also has Deployments try again and restarts them."""

READS = ("Get", "List", "Describe")
"""How the names of actions begin that change nothing."""

RIGHTS = ("ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding")
"""Kinds of object that give rights."""


def chart_values(service_accounts: Sequence[str], **values: Any) -> dict[str, Any]:
    """Return values of the chart for bindings on these ServiceAccount names, with the rig's own certificate."""
    bindings = [
        {
            "name": name,
            "serviceAccount": name,
            "namespaces": {"pattern": "mxp-*-system"},
            "mode": "irsa",
            "roles": ["arn:aws:iam::123456789012:role/mxp-backup"],
        }
        for name in service_accounts
    ]
    certificates = {"source": "files", "existingSecret": "rig", "caBundle": "Q0E="}
    return {**IMAGE, "bindings": bindings, "certificates": certificates, **values}


def kubernetes_objects(service_accounts: Sequence[str], **values: Any) -> list[Object]:
    """Return namespace, ServiceAccounts, RBAC and the empty Secret of the program, as the chart has them."""
    rendered = render(chart_values(service_accounts, certificates={}, **values), PROGRAM, OWN_NAMESPACE)
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": OWN_NAMESPACE}}
    return [namespace, *(item for item in rendered if item["kind"] in {*RIGHTS, "Secret"})]


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


def pod_identity_policy(roles: Sequence[str], cluster_arn: str) -> dict[str, Any]:
    """Return what mode pod-identity needs beside, for bindings on these role ARNs in one EKS cluster."""
    associations = cluster_arn.replace(":cluster/", ":podidentityassociation/") + "/*"
    one = ("Describe", "Update", "Delete")
    passed = {"iam:PassedToService": "pods.eks.amazonaws.com", "iam:AssociatedResourceArn": cluster_arn}
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Action": [
                    "eks:DescribeCluster",
                    "eks:ListPodIdentityAssociations",
                    "eks:CreatePodIdentityAssociation",
                ],
                "Resource": cluster_arn,
            },
            {
                "Effect": "Allow",
                "Action": [*(f"eks:{verb}PodIdentityAssociation" for verb in one), "eks:TagResource"],
                "Resource": associations,
            },
            {
                "Effect": "Allow",
                "Action": "iam:PassRole",
                "Resource": list(roles),
                "Condition": {"StringEquals": passed},
            },
        ],
    }


def reading(policy: dict[str, Any]) -> dict[str, Any]:
    """Return what is left of such a policy without the rights to change anything: enough to observe."""
    statements = [
        {**item, "Action": [action for action in actions if action.split(":")[1].startswith(READS)]}
        if item["Effect"] == "Allow"
        else item
        for item in policy["Statement"]
        for actions in [[item["Action"]] if isinstance(item["Action"], str) else item["Action"]]
    ]
    return {**policy, "Statement": [item for item in statements if item["Action"]]}


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
