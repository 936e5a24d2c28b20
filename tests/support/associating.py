"""Control planes in mode pod-identity, as snapshots show them: what plans, reports and findings look at."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tests.iam.policies import ISSUER, ROLE
from tests.support.pods import CLUSTER, OWNER, pods_of
from webhook.iam.trust_policy import TrustPolicy
from webhook.model.bindings import Binding, Mode
from webhook.model.decisions import Account, LiveNamespace
from webhook.model.names import Subject
from webhook.model.selectors import NamePattern, NamespaceSelector
from webhook.planning.snapshot import AccountSnapshot, ClusterSnapshot, Installation
from webhook.podidentity.association import Association, FoundAssociations

if TYPE_CHECKING:
    from collections.abc import Iterable

NAME = "mxp-controller"
A, B, GONE = (Subject(f"mxp-{name}-system", NAME) for name in ("a", "b", "gone"))
OTHER_ROLE = "arn:aws:iam::123456789012:role/other"
ADDON = "arn:aws:eks:us-west-2:123456789012:addon/spaces-prod/velero/1"
BINDING = Binding(
    "backup", NAME, NamespaceSelector(pattern=NamePattern("mxp-*-system")), Mode.POD_IDENTITY, (ROLE,)
)
PODS = pods_of(BINDING)
INSTALLATION = Installation("mxp-identity", ISSUER, (BINDING,), eks=CLUSTER)
DENY_PODS: dict[str, Any] = {
    "Sid": "Quarantine",
    "Effect": "Deny",
    "Principal": {"Service": "pods.eks.amazonaws.com"},
    "Action": "sts:*",
}
DANGLING: dict[str, Any] = {
    "Sid": "Gone",
    "Effect": "Allow",
    "Principal": {"AWS": "AIDAEXAMPLEEXAMPLE123"},
    "Action": "sts:AssumeRole",
}
LOOSE = {**PODS.render(), "Condition": {}}


def association(subject: Subject = A, role: str = ROLE.value, *, managed: bool = True, **more: Any) -> Association:
    """One that EKS described, as we make it unless `more` says otherwise."""
    return replace(Association(f"a-{subject.namespace}", subject, role, OWNER.tags() if managed else {}), **more)


def cluster(*subjects: Subject, age: float = 3600.0, annotation: str | None = None) -> ClusterSnapshot:
    """Namespaces of that age in seconds, each with its ServiceAccount."""
    namespaces = {one.namespace: LiveNamespace(one.namespace, "uid", {}, created=0.0) for one in subjects}
    accounts = {(one.namespace, NAME): Account(one.namespace, NAME, annotation) for one in subjects}
    return ClusterSnapshot(namespaces, accounts, at=age)


def found(*associations: Association, **more: Any) -> FoundAssociations:
    """A look that has shown these."""
    return replace(FoundAssociations({one.subject: one for one in associations}, len(associations)), **more)


def account(
    *associations: Association, statements: Iterable[dict[str, Any]] | None = None, quota: int = 2048, **more: Any
) -> AccountSnapshot:
    """The role with our statement for pods, or with `statements`, and these associations."""
    kept = [PODS.render()] if statements is None else list(statements)
    policies = {ROLE: TrustPolicy({"Version": "2012-10-17", "Statement": kept})}
    return AccountSnapshot(policies, quota=quota, associations=found(*associations, **more))
