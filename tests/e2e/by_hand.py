"""A Space made by the published guide alone: statements, annotations and associations that people made by hand."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from rig.kubernetes import objects
from rig.kubernetes.objects import CONTROL_PLANE_LABEL, SERVICE_ACCOUNT
from rig.permissions import irsa_trust
from rig.space import EKS_CLUSTER, Space, external_statements
from tests.cli.commands import Person
from tests.e2e.scenes import ROLE_ANNOTATION

WAY = "example.com/way"
"""A label of namespaces: which of the guide's ways was followed."""

PODS, WILD = "mxp-pods", "mxp-wild"
"""The roles of associations, and of a wildcard."""

PATTERN = f"system:serviceaccount:mxp-*-system:{SERVICE_ACCOUNT}"
FOR_PODS: dict[str, Any] = {
    "Sid": "AllowEksAuthToAssumeRoleForPodIdentity",
    "Effect": "Allow",
    "Principal": {"Service": "pods.eks.amazonaws.com"},
    "Action": ["sts:AssumeRole", "sts:TagSession"],
}
EACH_TAKES = 4
"""Statements of the guide that fill a policy of 2,048 characters."""


def irsa_roles(count: int) -> list[str]:
    """The names of so many roles for IRSA."""
    return [f"mxp-irsa-{number}" for number in range(count)]


@dataclass
class ByHand:
    """The Space, and its control planes by their roles."""

    space: Space
    roles: Sequence[str]
    """The names of those for IRSA."""
    planes: dict[str, list[str]] = field(default_factory=dict)

    def make(self, irsa: int, associated: int, wild: int, *, deployments: bool) -> None:
        """Make control planes of each way, spread over their roles."""
        spread = [(self.roles[number % len(self.roles)], "irsa") for number in range(irsa)]
        for role, way in [*spread, *[(PODS, "pods")] * associated, *[(WILD, "wild")] * wild]:
            self.planes.setdefault(role, []).append(self._make_plane(role, way))
        self.follow_the_guide()
        for namespaces in self.planes.values() if deployments else ():
            self.space.cluster.create([objects.deployment(namespace) for namespace in namespaces])

    def follow_the_guide(self) -> None:
        """Have statements and associations as the guide has them, whatever was there."""
        for role in self.roles:
            self.write(role, [self.statement(one) for one in self.planes.get(role, [])])
        self.write(WILD, [self.wildcard()])
        self.write(PODS, [FOR_PODS])
        eks = self.space.aws.admin_client("eks")
        for one in self.space.aws.associations(EKS_CLUSTER):
            eks.delete_pod_identity_association(clusterName=EKS_CLUSTER, associationId=one.id)
        for namespace in self.planes.get(PODS, []):
            eks.create_pod_identity_association(
                clusterName=EKS_CLUSTER,
                namespace=namespace,
                serviceAccount=SERVICE_ACCOUNT,
                roleArn=self.space.role_arn(PODS),
            )

    def statement(self, namespace: str, account: str = SERVICE_ACCOUNT) -> dict[str, Any]:
        """The guide's statement for one control plane."""
        subject = f"system:serviceaccount:{namespace}:{account}"
        (statement,) = irsa_trust(self.space.provider_arn, self.space.cluster.issuer, subject)["Statement"]
        return dict(statement)

    def wildcard(self) -> dict[str, Any]:
        """Another guide's statement for all of them."""
        statement = self.statement("any")
        equals = statement["Condition"]["StringEquals"]
        (key,) = [name for name in equals if name.endswith(":sub")]
        audience = {name: value for name, value in equals.items() if name != key}
        return {**statement, "Condition": {"StringEquals": audience, "StringLike": {key: PATTERN}}}

    def write(self, role: str, statements: list[dict[str, Any]]) -> None:
        """Have a role trust by these, beside an administrator's statement where there is room."""
        beside = external_statements(self.space.aws.account)[:1] if len(statements) < EACH_TAKES else []
        document = json.dumps({"Version": "2012-10-17", "Statement": [*beside, *statements]})
        iam = self.space.aws.admin_client("iam")
        iam.update_assume_role_policy(RoleName=role, PolicyDocument=document)

    def sections(self) -> dict[str, Any]:
        """The configuration with which the program comes: a binding for each way."""

        def binding(way: str, mode: str, *roles: str) -> dict[str, Any]:
            return {
                "name": way,
                "serviceAccount": SERVICE_ACCOUNT,
                "namespaces": {"selector": {"matchLabels": {WAY: way}}, "pattern": "mxp-*-system"},
                "mode": mode,
                "roles": [self.space.role_arn(role) for role in roles],
            }

        return {
            "cluster": {"name": EKS_CLUSTER},
            "bindings": [
                binding("irsa", "irsa", *self.roles),
                binding("pods", "pod-identity", PODS),
                binding("wild", "irsa", WILD),
            ],
        }

    def person(self) -> Person:
        """An administrator with the program's configuration."""
        return Person(self.space, **self.sections())

    def subjects_of_managed(self, role: str) -> list[str]:
        """The subjects of the managed statement of a role; raises ValueError unless there is exactly one."""
        (managed,) = [one for one in self.statements(role) if str(one.get("Sid", "")).startswith("MxpIdentity")]
        (named,) = [value for key, value in managed["Condition"]["StringEquals"].items() if key.endswith(":sub")]
        return [named] if isinstance(named, str) else sorted(named)

    def statements(self, role: str) -> list[dict[str, Any]]:
        """The statements of a role."""
        found = self.space.policy(role)["Statement"]
        return [found] if isinstance(found, dict) else found

    def others(self, document: str) -> list[str]:
        """The statements of a document that are not about this cluster's ServiceAccounts, nor managed."""
        found = json.loads(document)["Statement"]
        return sorted(
            json.dumps(one, sort_keys=True)
            for one in ([found] if isinstance(found, dict) else found)
            if one["Principal"] != {"Federated": self.space.provider_arn}
            and not str(one.get("Sid", "")).startswith("MxpIdentity")
        )

    def _make_plane(self, role: str, way: str) -> str:
        name = objects.host_namespace_name()
        labels = {WAY: way, CONTROL_PLANE_LABEL: f"{way}-{len(self.planes.get(role, []))}"}
        annotations = {} if way == "pods" else {ROLE_ANNOTATION: self.space.role_arn(role)}
        self.space.cluster.create(
            [objects.namespace(name, labels), objects.service_account(name, annotations=annotations)]
        )
        return name
