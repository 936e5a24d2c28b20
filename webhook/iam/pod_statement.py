"""Our own statement for EKS Pod Identity: one per binding and cluster, however many namespaces there are."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from webhook.model.bindings import Binding
    from webhook.model.names import ClusterArn, RoleArn
    from webhook.model.selectors import NamePattern

SERVICE = "pods.eks.amazonaws.com"
"""Who assumes the role on a pod's behalf (EKS User Guide, "Create IAM role with trust policy")."""

ACTIONS = ("sts:AssumeRole", "sts:TagSession")
"""Both are needed: EKS always tags the session, and the tags are what narrows the trust."""

_TAG = "aws:RequestTag/"
_SID_PREFIX = "MxpIdentity"
_SID_HEX_DIGITS = 8


@dataclass(frozen=True, slots=True)
class PodStatement:
    """The statement that lets EKS assume a role for the pods of one binding, in one cluster.

    It names no subject. Who is let in follows from the session tags that EKS sets and no pod can choose: the
    ServiceAccount and the cluster exactly, the namespace by the binding's pattern, whose `*` is the only wildcard.
    """

    installation: str
    binding: str
    cluster: ClusterArn
    service_account: str
    pattern: NamePattern

    @property
    def sid(self) -> str:
        """Its name in the policy."""
        return sid_for_pods(self.installation, self.binding, self.cluster)

    def render(self) -> dict[str, Any]:
        """The statement; all three conditions are always there."""
        return {
            "Sid": self.sid,
            "Effect": "Allow",
            "Principal": {"Service": SERVICE},
            "Action": list(ACTIONS),
            "Condition": {
                "StringEquals": {
                    f"{_TAG}kubernetes-service-account": self.service_account,
                    f"{_TAG}eks-cluster-arn": str(self.cluster),
                },
                "StringLike": {f"{_TAG}kubernetes-namespace": self.pattern.value},
            },
        }

    def claims(self) -> dict[str, str]:
        """What every session of this binding's pods says, by lower-case condition key."""
        return {
            f"{_TAG}kubernetes-service-account".lower(): self.service_account,
            f"{_TAG}eks-cluster-arn".lower(): str(self.cluster),
            f"{_TAG}eks-cluster-name".lower(): self.cluster.name,
        }

    def claims_in(self, namespace: str) -> dict[str, str]:
        """The same of its pods in one namespace."""
        return {**self.claims(), f"{_TAG}kubernetes-namespace".lower(): namespace}


def sid_for_pods(installation: str, binding: str, cluster: ClusterArn) -> str:
    """The Sid of the statement for a binding's pods; Sids are alphanumeric (IAM grammar), so it carries a hash."""
    named = f"{SERVICE}\n{cluster}\n{installation}\n{binding}"
    return _SID_PREFIX + sha256(named.encode()).hexdigest()[:_SID_HEX_DIGITS]


def pod_statements(
    role: RoleArn, bindings: Iterable[Binding], cluster: ClusterArn, installation: str
) -> tuple[PodStatement, ...]:
    """The statements of the bindings in mode pod-identity that list `role`."""
    return tuple(
        PodStatement(installation, binding.name, cluster, binding.service_account, binding.namespaces.pattern)
        for binding in bindings
        if binding.associates and role in binding.roles and binding.namespaces.pattern is not None
    )
