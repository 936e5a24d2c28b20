"""People who have just some rights, in the cluster and in the account."""

import json
from pathlib import Path
from typing import Any

from rig.kubernetes import objects
from rig.kubernetes.registration import OWN_NAMESPACE
from rig.space import Space
from rig.waiting import eventually

Verbs = dict[str, tuple[str, ...]]
"""What may be done with each resource."""

GROUPS = {"deployments": "apps", "leases": "coordination.k8s.io"}
REVIEWS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"


def rights_of(cluster: Verbs, own: Verbs) -> list[str]:
    """Each right by itself, as `verb resource`."""
    return [f"{verb} {resource}" for resource, verbs in {**cluster, **own}.items() for verb in verbs]


def kubeconfig_with(space: Space, name: str, cluster: Verbs, own: Verbs, without: str = "") -> Path:
    """The kubeconfig of a person with these rights but one; those of `own` are in the program's namespace."""
    subject = {"kind": "ServiceAccount", "name": name, "namespace": OWN_NAMESPACE}
    items = [objects.service_account(OWN_NAMESPACE, name)]
    for kind, rights in (("ClusterRole", cluster), ("Role", own)):
        rbac = {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "metadata": {"name": name, **({"namespace": OWN_NAMESPACE} if kind == "Role" else {})},
        }
        reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name}
        items += [
            {**rbac, "kind": kind, "rules": _rules(rights, without)},
            {**rbac, "kind": f"{kind}Binding", "roleRef": reference, "subjects": [subject]},
        ]
    space.cluster.apply(items)
    kept = [one for one in rights_of(cluster, own) if one != without]
    eventually(lambda: all(_may(space, name, one, own) for one in kept), "its rights")
    return space.cluster.kubeconfig_for(OWN_NAMESPACE, name)


def user_with(space: Space, name: str, statements: list[dict[str, Any]], without: str = "") -> dict[str, str]:
    """The credentials of a new user with the rights of these statements but one action."""
    iam = space.aws.admin_client("iam")
    iam.create_user(UserName=name)
    kept = []
    for statement in statements:
        given = statement["Action"]
        actions = [one for one in ([given] if isinstance(given, str) else given) if one != without]
        kept += [{**statement, "Action": actions}] if actions else []
    policy = json.dumps({"Version": "2012-10-17", "Statement": kept})
    iam.put_user_policy(UserName=name, PolicyName="some", PolicyDocument=policy)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}


def lack(right: str) -> str:
    """How people are told which right is missing."""
    if ":" in right:
        return f"not authorized to perform: {right} "
    return 'cannot {} resource "{}"'.format(*right.split())


def _rules(rights: Verbs, without: str) -> list[dict[str, Any]]:
    given = {
        resource: [verb for verb in verbs if f"{verb} {resource}" != without] for resource, verbs in rights.items()
    }
    return [
        {"apiGroups": [GROUPS.get(resource, "")], "resources": [resource], "verbs": verbs}
        for resource, verbs in given.items()
    ]


def _may(space: Space, name: str, right: str, own: Verbs) -> bool:
    verb, resource = right.split()
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "metadata": {},
        "spec": {
            "user": f"system:serviceaccount:{OWN_NAMESPACE}:{name}",
            "resourceAttributes": {
                "group": GROUPS.get(resource, ""),
                "resource": resource,
                "verb": verb,
                "namespace": OWN_NAMESPACE if resource in own else "",
            },
        },
    }
    return bool(space.cluster.api.post(REVIEWS, review)["status"]["allowed"])
