"""Commands of a person without rights, in the cluster or in the account: which right, in one line."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from rig.aws import Refuse
from rig.kubernetes import objects
from rig.kubernetes.objects import SERVICE_ACCOUNT
from rig.kubernetes.registration import OWN_NAMESPACE
from rig.permissions import PROGRAM
from rig.space import EKS_CLUSTER, Space
from tests.cli.commands import Person, environment, run
from tests.e2e.observe import annotation, is_trusted
from tests.e2e.scenes import create_account, create_namespace, whole_space

pytestmark = pytest.mark.rig

LOOK = [
    {"apiGroups": [""], "resources": ["namespaces", "serviceaccounts", "pods"], "verbs": ["get", "list", "watch"]},
    {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get", "list"]},
]
LOCK = {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["get", "create", "update"]}
READ_ROLES = ("iam:GetRole", "iam:GetAccountSummary", "iam:GetOpenIDConnectProvider")


@pytest.fixture(scope="module")
def space() -> Iterator[Space]:
    with whole_space(eks_lag=0, quota=8192) as running:
        yield running


@pytest.fixture
def plane(space: Space) -> Iterator[str]:
    """A control plane that is annotated and not trusted yet; afterwards it is none any more."""
    namespace = create_namespace(space)
    create_account(space, namespace, space.roles[0])
    yield namespace
    space.cluster.api.delete(f"/api/v1/namespaces/{namespace}/serviceaccounts/{SERVICE_ACCOUNT}")
    space.cluster.api.delete(f"/api/v1/namespaces/{namespace}")


def _kubernetes(space: Space, name: str, rules: Sequence[dict[str, Any]]) -> dict[str, str]:
    """Who may do these things in the cluster, and everything in the account."""
    rbac = {"apiVersion": "rbac.authorization.k8s.io/v1", "metadata": {"name": name}}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name}
    subject = {"kind": "ServiceAccount", "name": name, "namespace": OWN_NAMESPACE}
    space.cluster.apply(
        [
            objects.service_account(OWN_NAMESPACE, name),
            {**rbac, "kind": "ClusterRole", "rules": list(rules)},
            {**rbac, "kind": "ClusterRoleBinding", "roleRef": role, "subjects": [subject]},
        ]
    )
    kubeconfig = space.cluster.kubeconfig_for(OWN_NAMESPACE, name)
    return {**environment(space), "KUBECONFIG": str(kubeconfig)}


def _aws(space: Space, name: str, *actions: str) -> dict[str, str]:
    """Who may do everything in the cluster, and these things in the account."""
    iam = space.aws.admin_client("iam")
    iam.create_user(UserName=name)
    if actions:
        statement = {"Effect": "Allow", "Action": list(actions), "Resource": "*"}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        iam.put_user_policy(UserName=name, PolicyName="some", PolicyDocument=policy)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return {
        **environment(space),
        "AWS_ACCESS_KEY_ID": key["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"],
    }


def _one_line(printed: str) -> str:
    assert "Traceback" not in printed
    return printed.splitlines()[-1]


def test_without_any_right_in_the_cluster_verb_and_resource_are_named(space: Space) -> None:
    person = Person(space, cluster={"name": EKS_CLUSTER})
    person.environment = _kubernetes(space, "nobody", [])
    for call in (
        ["plan"],
        ["apply"],
        ["verify"],
        ["report"],
        ["restart"],
        ["migrate", "backup", "--to", "pod-identity"],
    ):
        answer = person(*call)
        assert (answer.code, answer.out) == (1, ""), call
        assert 'cannot list resource "namespaces"' in _one_line(answer.err)


def test_the_missing_right_to_list_config_maps_is_reported_without_a_file(space: Space) -> None:
    """The program's own ServiceAccount may not list them."""
    kubeconfig = str(space.cluster.kubeconfig_for(OWN_NAMESPACE, PROGRAM))
    answer = run("plan", env={**environment(space), "KUBECONFIG": kubeconfig})
    assert answer.code == 1
    assert 'cannot list resource "configmaps"' in _one_line(answer.err)


def test_without_a_right_that_only_some_findings_need_the_others_are_made(space: Space, plane: str) -> None:
    person = Person(space)
    namespaces = {**LOOK[0], "resources": ["namespaces", "serviceaccounts"]}
    person.environment = _kubernetes(space, "no-pods", [namespaces])
    answer = person("verify", plane, "--assume", "-o", "json")
    assert answer.code == 4
    (found,) = answer.document["controlPlanes"]
    levels = {one["check"]: (one["level"], one["message"]) for one in found["findings"]}
    assert levels["pods"][0] == "unknown"
    assert levels["sts"][0] == "unknown"
    assert "403" in levels["sts"][1]
    assert levels["trust"][0] == "broken"
    webhook = [(one["level"], one["message"]) for one in answer.document["webhook"]]
    assert [level for level, _ in webhook] == ["unknown", "note"]
    assert "403" in webhook[0][1]


def test_sts_that_cannot_be_asked_is_not_reported_to_refuse(space: Space, plane: str) -> None:
    with space.aws.fault(Refuse(code="a page", status=403, actions=("AssumeRoleWithWebIdentity",))):
        answer = Person(space)("verify", plane, "--assume", "-o", "json")
    (found,) = answer.document["controlPlanes"]
    levels = {one["check"]: (one["level"], one["message"]) for one in found["findings"]}
    assert levels["sts"][0] == "unknown"
    assert levels["sts"][1].startswith("could not be asked: AssumeRoleWithWebIdentity: HTTP 403, ")


def test_apply_names_what_it_may_not_write_and_a_second_run_does_the_rest(space: Space, plane: str) -> None:
    bare = create_namespace(space)
    create_account(space, bare)
    person = Person(space)
    person.environment = _kubernetes(space, "no-patch", [*LOOK, LOCK])
    answer = person("apply")
    assert answer.code == 1
    assert f"{bare}/{SERVICE_ACCOUNT}: not annotated: " in _one_line(answer.err)
    assert 'cannot patch resource "serviceaccounts"' in _one_line(answer.err)
    assert is_trusted(space, bare), "the rest is done"
    assert is_trusted(space, plane)

    assert Person(space)("apply").code == 0
    assert annotation(space, bare) == space.roles[0]


def test_apply_without_the_right_to_lock_reports_it_and_does_not_wait(space: Space, plane: str) -> None:
    person = Person(space)
    person.environment = _kubernetes(space, "no-lease", LOOK)
    answer = person("apply")
    assert answer.code == 1
    assert 'cannot create resource "leases"' in _one_line(answer.err)
    answer = Person(space)("apply", "--release-namespace", "nowhere")
    assert (answer.code, answer.err) == (2, 'Error: no namespace "nowhere"\n')
    assert not is_trusted(space, plane)


@pytest.mark.usefixtures("plane")
def test_without_a_right_in_the_account_the_call_is_named(space: Space) -> None:
    person = Person(space)
    person.environment = _aws(space, "stranger")
    for command, code in {"plan": 4, "apply": 4, "verify": 4, "report": 0, "restart": 0}.items():
        answer = person(command)
        assert answer.code == code, (command, answer.out, answer.err)
        assert "Traceback" not in answer.err
        if command != "restart":  # which has nothing to restart here
            assert "GetRole: AccessDenied" in answer.out
    answer = person("apply", "--retire-role", space.role_arn("of-old"), "--approve")
    assert answer.code == 4
    assert "GetRole: AccessDenied" in answer.out


def test_apply_without_the_right_to_write_reports_it_and_a_second_run_does_it(space: Space, plane: str) -> None:
    person = Person(space)
    person.environment = _aws(space, "reader", *READ_ROLES)
    answer = person("apply")
    assert answer.code == 1
    assert "UpdateAssumeRolePolicy: AccessDenied" in _one_line(answer.err)
    assert not is_trusted(space, plane)

    assert Person(space)("apply").code == 0
    assert is_trusted(space, plane)


def test_restart_without_the_right_to_patch_reports_it_and_a_second_run_does_it(space: Space) -> None:
    namespace = create_namespace(space)
    create_account(space, namespace)
    space.cluster.create([objects.deployment(namespace)])
    space.cluster.wait_for_deployment(namespace, SERVICE_ACCOUNT)
    assert Person(space)("apply").code == 0
    person = Person(space)
    person.environment = _kubernetes(space, "no-restart", LOOK)
    answer = person("restart", namespace, "--approve")
    assert answer.code == 1
    assert 'cannot patch resource "deployments"' in answer.out
    assert "Traceback" not in answer.err

    assert Person(space)("restart", namespace, "--approve").code == 0
    answer = person("restart", "mxp-nowhere-system")
    assert (answer.code, answer.err) == (2, 'Error: no control plane or namespace "mxp-nowhere-system"\n')
