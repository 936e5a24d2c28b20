"""Taking rights away from the program, in the cluster and in the account, and giving them back."""

import copy
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rig.kubernetes.objects import SERVICE_ACCOUNT
from rig.kubernetes.registration import OWN_NAMESPACE
from rig.permissions import PROGRAM, iam_policy, kubernetes_objects
from rig.space import Space
from rig.waiting import eventually

REGISTRATIONS = "mutatingwebhookconfigurations"


def cluster_role() -> dict[str, Any]:
    """The program's ClusterRole."""
    (role,) = [item for item in kubernetes_objects([SERVICE_ACCOUNT]) if item["kind"] == "ClusterRole"]
    return role


def cluster_rights() -> list[tuple[str, str]]:
    """Each right of the program in the cluster, as (resource, verb)."""
    rules = cluster_role()["rules"]
    return [(resource, verb) for rule in rules for resource in rule["resources"] for verb in rule["verbs"]]


def account_rights() -> list[str]:
    """Each action that the program may do in the account."""
    statements = iam_policy(["role"], "provider", "own")["Statement"]
    return [action for item in statements if item["Effect"] == "Allow" for action in _actions(item)]


@contextmanager
def without_cluster_right(space: Space, resource: str, verb: str) -> Iterator[None]:
    """Take one right in the cluster away for the length of a `with` block."""
    role = copy.deepcopy(cluster_role())
    for rule in role["rules"]:
        if rule["resources"] == [resource]:
            rule["verbs"] = [other for other in rule["verbs"] if other != verb]
    role["rules"] = [rule for rule in role["rules"] if rule["verbs"]]
    space.cluster.apply([role])
    eventually(lambda: not _may(space, resource, verb), f"losing the right to {verb} {resource}")
    try:
        yield
    finally:
        space.cluster.apply([cluster_role()])
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


def _actions(statement: dict[str, Any]) -> list[str]:
    given = statement["Action"]
    return [given] if isinstance(given, str) else list(given)


def _put_policy(space: Space, policy: dict[str, Any]) -> None:
    iam = space.aws.admin_client("iam")
    iam.put_role_policy(RoleName=PROGRAM, PolicyName="trust", PolicyDocument=json.dumps(policy))


def _name(resource: str) -> str:
    return PROGRAM if resource == REGISTRATIONS else SERVICE_ACCOUNT


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
                "group": "admissionregistration.k8s.io" if resource == REGISTRATIONS else "",
                "resource": resource,
                "verb": verb,
                "namespace": "default" if resource not in {"namespaces", REGISTRATIONS} else "",
                "name": _name(resource) if verb in {"get", "patch"} else "",
            },
        },
    }
    path = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
    return bool(space.cluster.api.post(path, review)["status"]["allowed"])
