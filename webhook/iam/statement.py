"""Our own statements in a role's trust policy, found by their Sids.

One statement per issuer and installation names the ServiceAccounts that the role trusts. Beside it there is a
fixed statement for each binding in mode pod-identity.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Self

from webhook.iam.evaluation import as_list
from webhook.model.names import AUDIENCE, Subject

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from webhook.model.bindings import Binding
    from webhook.model.names import ClusterArn, IssuerUrl, RoleArn
    from webhook.model.selectors import NamePattern

ASSUME_WITH_TOKEN = "sts:AssumeRoleWithWebIdentity"  # noqa: S105  the name of an action
NOBODY = "nobody"
"""A subject that no token has: each begins with `system:serviceaccount:` (Kubernetes)."""

SERVICE = "pods.eks.amazonaws.com"
"""The service that assumes the role on a pod's behalf (EKS User Guide, "Create IAM role with trust policy")."""

ACTIONS = ("sts:AssumeRole", "sts:TagSession")
"""Both are needed: EKS always tags the session, and the tags are what narrows the trust."""

_TAG = "aws:RequestTag/"
_NAMESPACE, _SERVICE_ACCOUNT, _CLUSTER = (
    f"{_TAG}{name}" for name in ("kubernetes-namespace", "kubernetes-service-account", "eks-cluster-arn")
)
TAGS_ASKED_FOR = (_NAMESPACE, _SERVICE_ACCOUNT, _CLUSTER)
"""The condition keys of the session tags that each managed statement for pods asks for."""

_SID_PREFIX = "MxpIdentity"
_SID_HEX_DIGITS = 8


@dataclass(frozen=True, slots=True)
class PodStatement:
    """The statement that allows EKS to assume a role for the pods of one binding, in one cluster.

    It names no subject. What it allows follows from the session tags that EKS sets and no pod can choose: the
    ServiceAccount and the cluster exactly, the namespace by the binding's pattern, in which `*` is the only
    wildcard.
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
                    _SERVICE_ACCOUNT: self.service_account,
                    _CLUSTER: str(self.cluster),
                },
                "StringLike": {_NAMESPACE: self.pattern.value},
            },
        }

    def claims(self) -> dict[str, str]:
        """What every session of this binding's pods claims, by lower-case condition key."""
        return {
            _SERVICE_ACCOUNT.lower(): self.service_account,
            _CLUSTER.lower(): str(self.cluster),
            f"{_TAG}eks-cluster-name".lower(): self.cluster.name,
        }

    def claims_in(self, namespace: str) -> dict[str, str]:
        """The same of its pods in one namespace."""
        return {**self.claims(), _NAMESPACE.lower(): namespace}


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


@dataclass(frozen=True)
class OwnStatement:
    """What is fixed about our statements in one role.

    The first names subjects, which are all that varies. `pods` are the others, which name none.
    """

    sid: str
    provider_arn: str
    issuer: IssuerUrl
    pods: tuple[PodStatement, ...] = ()
    former: frozenset[str] = frozenset()
    """Sids of statements of ours that the next write removes: a command names them, `serve` has none."""

    @classmethod
    def for_role(
        cls, role: RoleArn, issuer: IssuerUrl, installation: str, pods: tuple[PodStatement, ...] = ()
    ) -> Self:
        """Our statement in `role`. Sids are alphanumeric (IAM grammar), so it carries a hash.

        The OIDC provider is the role's account's: IAM refuses one of another account.
        """
        digest = sha256(f"{issuer}\n{installation}".encode()).hexdigest()[:_SID_HEX_DIGITS]
        return cls(_SID_PREFIX + digest, issuer.provider_arn(role.partition, role.account), issuer, pods)

    @property
    def without_pods(self) -> Self:
        """The same with only the statement that names subjects."""
        return replace(self, pods=())

    def for_pods_of(self, binding: str) -> PodStatement | None:
        """The statement for the pods of one binding, where it has one in this role."""
        return next((one for one in self.pods if one.binding == binding), None)

    @cached_property
    def sids(self) -> frozenset[str]:
        """The Sids of all statements that are ours."""
        return frozenset({self.sid, *(one.sid for one in self.pods), *self.former})

    @cached_property
    def audience_key(self) -> str:
        """The condition key of the token's audience."""
        return f"{self._key}:aud"

    @cached_property
    def subject_key(self) -> str:
        """The condition key of the token's subject."""
        return f"{self._key}:sub"

    @cached_property
    def _key(self) -> str:
        return self.issuer.key

    def claims(self, subject: Subject) -> dict[str, str]:
        """What a token of `subject` claims, by lower-case condition key: IAM ignores the case of keys."""
        return {**self.claims_of_all(), self.subject_key.lower(): str(subject)}

    def claims_of_all(self) -> dict[str, str]:
        """What every token of the cluster for AWS claims, by lower-case condition key."""
        return {self.audience_key.lower(): AUDIENCE}

    def render(self, subjects: Iterable[Subject]) -> dict[str, Any]:
        """The statement that trusts exactly `subjects`, of which there is at least one.

        Audience and subject are always both there: without the subject, every ServiceAccount of the cluster
        would be trusted.
        """
        names = sorted({str(subject) for subject in subjects})
        if not names:
            raise ValueError("a statement without subjects trusts none: remove it instead")
        return self._render(names)

    def render_placeholder(self) -> dict[str, Any]:
        """Our statement for a policy that would otherwise have none, which IAM refuses.

        It allows no token and denies nothing, so other statements may allow EKS and other clusters beside it.
        """
        return self._render([NOBODY])

    def _render(self, names: list[str]) -> dict[str, Any]:
        return {
            "Sid": self.sid,
            "Effect": "Allow",
            "Principal": {"Federated": self.provider_arn},
            "Action": ASSUME_WITH_TOKEN,
            "Condition": {"StringEquals": {self.audience_key: AUDIENCE, self.subject_key: names}},
        }

    def rendered(self, subjects: Collection[Subject]) -> dict[str, dict[str, Any]]:
        """All our statements by Sid. The one that names `subjects` is there only if there are any."""
        named = {self.sid: self.render(subjects)} if subjects else {}
        return named | {one.sid: one.render() for one in self.pods}

    def owns(self, statement: dict[str, Any]) -> bool:
        """Whether a statement of a trust policy is ours."""
        return statement.get("Sid") in self.sids

    def is_former(self, statement: dict[str, Any]) -> bool:
        """Whether it is a statement of ours that is to be removed."""
        return statement.get("Sid") in self.former

    def subjects_in(self, statement: dict[str, Any]) -> frozenset[Subject]:
        """The ServiceAccounts that our statement names, however it was stored or edited by hand.

        Only names under `StringEquals` of an Allow count. Anything else in our place (patterns, other
        operators, other keys) is an external edit: a repair drops it.
        """
        if statement.get("Effect") != "Allow":
            return frozenset()
        if statement.get("Sid") != self.sid:
            return frozenset()
        condition = statement.get("Condition")
        block = condition.get("StringEquals") if isinstance(condition, dict) else None
        if not isinstance(block, dict):
            return frozenset()
        names = [
            name
            for key, values in block.items()
            if key.lower() == self.subject_key.lower()
            for name in as_list(values)
            if isinstance(name, str)
        ]
        return frozenset(subject for name in names if (subject := Subject.parse(name)) is not None)
