"""People with few rights, in the cluster and in the account."""

import json
from collections.abc import Iterable, Mapping
from itertools import count

from rig.kubernetes import objects
from rig.kubernetes.registration import OWN_NAMESPACE
from rig.space import Space
from rig.waiting import eventually
from tests.cli.commands import environment

Verbs = Mapping[str, tuple[str, ...]]

GROUPS = {
    "deployments": "apps",
    "leases": "coordination.k8s.io",
    "mutatingwebhookconfigurations": "admissionregistration.k8s.io",
    "validatingadmissionpolicies": "admissionregistration.k8s.io",
}
_numbers = count(1)


def person(space: Space, everywhere: Verbs, own: Verbs, actions: Iterable[str]) -> dict[str, str]:
    """The environment of one who may do these things, `own` in the program's namespace alone, and nothing else."""
    name = f"person-{next(_numbers)}"
    subject = {"kind": "ServiceAccount", "name": name, "namespace": OWN_NAMESPACE}
    items = [objects.service_account(OWN_NAMESPACE, name)]
    for kind, rights in (("ClusterRole", everywhere), ("Role", own)):
        metadata = {"name": name, **({"namespace": OWN_NAMESPACE} if kind == "Role" else {})}
        rbac = {"apiVersion": "rbac.authorization.k8s.io/v1", "metadata": metadata}
        reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name}
        rules = [
            {"apiGroups": [GROUPS.get(resource, "")], "resources": [resource], "verbs": list(verbs)}
            for resource, verbs in rights.items()
            if verbs
        ]
        items += [
            {**rbac, "kind": kind, "rules": rules},
            {**rbac, "kind": f"{kind}Binding", "roleRef": reference, "subjects": [subject]},
        ]
    space.cluster.apply(items)
    wanted = [
        (verb, resource) for rights in (everywhere, own) for resource, verbs in rights.items() for verb in verbs
    ]
    eventually(lambda: all(_may(space, name, *one) for one in wanted), "its rights")
    kubeconfig = str(space.cluster.kubeconfig_for(OWN_NAMESPACE, name))
    return {**environment(space), **_keys(space, name, list(actions)), "KUBECONFIG": kubeconfig}


def _keys(space: Space, name: str, actions: list[str]) -> dict[str, str]:
    iam = space.aws.admin_client("iam")
    iam.create_user(UserName=name)
    statement = {"Effect": "Allow", "Action": actions, "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.put_user_policy(UserName=name, PolicyName="some", PolicyDocument=policy)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}


def _may(space: Space, name: str, verb: str, resource: str) -> bool:
    attributes = {
        "group": GROUPS.get(resource, ""),
        "resource": resource,
        "verb": verb,
        "namespace": OWN_NAMESPACE,
    }
    spec = {"user": f"system:serviceaccount:{OWN_NAMESPACE}:{name}", "resourceAttributes": attributes}
    review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "metadata": {}, "spec": spec}
    path = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
    return bool(space.cluster.api.post(path, review)["status"]["allowed"])
