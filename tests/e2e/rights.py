"""Taking rights away from the program, in the cluster and in the account, and giving them back."""

import copy
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rig.kubernetes.objects import SERVICE_ACCOUNT
from rig.kubernetes.registration import OWN_NAMESPACE
from rig.permissions import CERTIFICATE_SECRET, GATE, PROGRAM, REMEDIATION, iam_policy, kubernetes_objects
from rig.space import Space
from rig.waiting import eventually

REGISTRATIONS = "mutatingwebhookconfigurations"
OWN_ACCOUNTS = "own serviceaccounts"
"""What the Role in the program's own namespace says of ServiceAccounts: the ClusterRole is about others."""
GROUPS = {"leases": "coordination.k8s.io", "deployments": "apps", REGISTRATIONS: "admissionregistration.k8s.io"}
"""API groups of the resources that are not in the core."""
NAMES = {
    REGISTRATIONS: PROGRAM,
    "serviceaccounts": SERVICE_ACCOUNT,
    "deployments": SERVICE_ACCOUNT,
    "secrets": CERTIFICATE_SECRET,
    OWN_ACCOUNTS: GATE,
}
"""What is asked for by name, of the resources that are restricted to names."""


def roles() -> list[dict[str, Any]]:
    """The program's ClusterRole, and the Role in its own namespace, as the chart has them with all switched on."""
    items = kubernetes_objects([SERVICE_ACCOUNT], **REMEDIATION)
    return [item for item in items if item["kind"] in {"ClusterRole", "Role"}]


def cluster_rights() -> list[tuple[str, str]]:
    """Each right of the program in the cluster, as (resource, verb)."""
    return [(_resource(role, rule), verb) for role in roles() for rule in role["rules"] for verb in rule["verbs"]]


def account_rights() -> list[str]:
    """Each action that the program may do in the account."""
    statements = iam_policy(["role"], "provider", "own")["Statement"]
    return [action for item in statements if item["Effect"] == "Allow" for action in _actions(item)]


@contextmanager
def without_cluster_right(space: Space, resource: str, verb: str) -> Iterator[None]:
    """Take one right in the cluster away for the length of a `with` block."""
    less = copy.deepcopy(roles())
    rules = [rule for role in less for rule in role["rules"] if _resource(role, rule) == resource]
    for rule in rules:
        rule["verbs"] = [other for other in rule["verbs"] if other != verb]
    for role in less:
        role["rules"] = [rule for rule in role["rules"] if rule["verbs"]]
    space.cluster.apply(less)
    eventually(lambda: not _may(space, resource, verb), f"losing the right to {verb} {resource}")
    try:
        yield
    finally:
        space.cluster.apply(roles())
        eventually(lambda: _may(space, resource, verb), f"the right to {verb} {resource} again")


@contextmanager
def without_account_right(space: Space, action: str) -> Iterator[None]:
    """Take one IAM action away for the length of a `with` block."""
    whole = iam_policy(space.roles, space.provider_arn, space.role_arn(PROGRAM))
    less = copy.deepcopy(whole)
    for statement in less["Statement"]:
        if statement["Effect"] == "Allow":
            statement["Action"] = [other for other in _actions(statement) if other != action]
    less["Statement"] = [statement for statement in less["Statement"] if statement["Action"]]
    _put_policy(space, less)
    try:
        yield
    finally:
        _put_policy(space, whole)


def _resource(role: dict[str, Any], rule: dict[str, Any]) -> str:
    """The one resource of a rule, told from another role's."""
    (resource,) = rule["resources"]
    return OWN_ACCOUNTS if (role["kind"], resource) == ("Role", "serviceaccounts") else str(resource)


def _actions(statement: dict[str, Any]) -> list[str]:
    given = statement["Action"]
    return [given] if isinstance(given, str) else list(given)


def _put_policy(space: Space, policy: dict[str, Any]) -> None:
    iam = space.aws.admin_client("iam")
    iam.put_role_policy(RoleName=PROGRAM, PolicyName="trust", PolicyDocument=json.dumps(policy))


def _may(space: Space, resource: str, verb: str) -> bool:
    """Whether the API server would let the program; it learns of a changed ClusterRole by a watch."""
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "metadata": {},
        "spec": {
            "user": f"system:serviceaccount:{OWN_NAMESPACE}:{PROGRAM}",
            "groups": ["system:serviceaccounts", "system:authenticated"],
            "resourceAttributes": {
                "group": GROUPS.get(resource, ""),
                "resource": resource.removeprefix("own "),
                "verb": verb,
                "namespace": "" if resource in {"namespaces", REGISTRATIONS} else OWN_NAMESPACE,
                "name": NAMES.get(resource, "") if _is_by_name(resource, verb) else "",
            },
        },
    }
    path = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
    return bool(space.cluster.api.post(path, review)["status"]["allowed"])


def _is_by_name(resource: str, verb: str) -> bool:
    """ServiceAccounts and Deployments are listed and watched by name too."""
    return verb in {"get", "patch", "update"} or resource in {"serviceaccounts", "deployments"}
