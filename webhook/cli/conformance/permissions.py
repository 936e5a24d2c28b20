"""What a run needs: rights in AWS as a policy, each for a row or for removing what was made; and in Kubernetes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from webhook.cli.account_calls import policy_of
from webhook.cli.conformance.assumptions import ASSUMPTIONS
from webhook.iam.statement import SERVICE

if TYPE_CHECKING:
    from webhook.cli.account_calls import Document
    from webhook.model.names import ClusterArn

NAME = "mxp-identity-conformance"
"""How all that is made is named, and the path of the roles."""

_ALWAYS = ("iam:CreateRole", "iam:DeleteRole", "iam:ListRoles")
_WITH_CLUSTER = (
    "eks:DeletePodIdentityAssociation",
    "eks:DescribeCluster",
    "eks:ListPodIdentityAssociations",
    "iam:DeleteRolePolicy",
)
"""What finds and removes what a run has made, and names the cluster."""

_ON_CLUSTER = frozenset(
    [
        "eks-auth:AssumeRoleForPodIdentity",
        "eks:CreatePodIdentityAssociation",
        "eks:DescribeCluster",
        "eks:ListPodIdentityAssociations",
    ]
)
_WITHOUT_RESOURCE = frozenset(["iam:GetAccountSummary", "iam:ListRoles"])

IN_KUBERNETES = (
    ("serviceaccounts", ("create", "delete", "list")),
    ("serviceaccounts/token", ("create",)),
    ("pods", ("create", "delete", "list")),
)
"""What a run needs in its namespace, where a cluster is named: verbs by resource."""


@dataclass(frozen=True, slots=True)
class Scope:
    """Where a run works; `cluster` is None where none was named."""

    partition: str
    account: str
    cluster: ClusterArn | None

    @property
    def roles(self) -> str:
        """The throw-away roles, as a policy names them."""
        return f"arn:{self.partition}:iam::{self.account}:role/{NAME}/*"


def actions(scope: Scope) -> frozenset[str]:
    """Every action in AWS that the run sends and that needs a right."""
    asked = [one for one in ASSUMPTIONS if scope.cluster is not None or not one.service.needs_cluster]
    needed = {action for one in asked for action in one.rights} | set(_ALWAYS)
    return frozenset(needed | set(_WITH_CLUSTER) if scope.cluster else needed)


def policy(scope: Scope) -> Document:
    """The policy that a person needs for the run, and nothing beyond it."""
    wanted = actions(scope)
    # IAM looks a role that is not there up by its name, of which it knows no path.
    by_name = scope.roles.replace(f"{NAME}/*", f"{NAME}-*")
    on_roles = {one for one in wanted if one.startswith("iam:")} - _WITHOUT_RESOURCE - {"iam:PassRole"}
    statements = [
        _allow(on_roles, scope.roles),
        _allow({"iam:GetRole"}, by_name),
        _allow(wanted & _WITHOUT_RESOURCE, "*"),
    ]
    if scope.cluster is not None:
        on_associations = {one for one in wanted if one.startswith("eks:")} - _ON_CLUSTER
        associations = scope.cluster.value.replace(":cluster/", ":podidentityassociation/") + "/*"
        passed = {"iam:PassedToService": SERVICE}
        statements += [
            _allow({"iam:PassRole"}, scope.roles) | {"Condition": {"StringEquals": passed}},
            _allow(wanted & _ON_CLUSTER, scope.cluster.value),
            _allow(on_associations, associations),
        ]
    return policy_of(*statements)


def _allow(named: set[str] | frozenset[str], resource: str) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": sorted(named), "Resource": resource}
