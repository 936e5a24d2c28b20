"""Broken set-ups of mode pod-identity: `verify` names each, and what it prints to correct it corrects it."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from rig import pods
from rig.aws.pod_client import FULL_URI
from rig.kubernetes import objects
from rig.kubernetes.objects import CONTROL_PLANE_LABEL
from rig.pods import environment_of
from rig.space import EKS_CLUSTER, Space
from rig.waiting import eventually
from tests.cli.commands import Person, Ran, run, run_as_printed
from tests.e2e.pod_identity import associated, association, credentials, has_pod_identity, make_by_hand
from tests.e2e.scenes import ROLE_ANNOTATION, account_path, whole_space
from tests.support.variants import variants

pytestmark = pytest.mark.rig

Statement = dict[str, Any]

MOST_FIXES = 5
"""Some things only show once others are corrected, and EKS's webhook hears of an association a moment later."""

ADDON = "arn:aws:eks:us-west-2:123456789012:addon/spaces-prod/velero/1"
PODS_TRUST = {
    "Effect": "Allow",
    "Principal": {"Service": "pods.eks.amazonaws.com"},
    "Action": ["sts:AssumeRole", "sts:TagSession"],
}


@dataclass(frozen=True)
class Plane:
    """A control plane with a role of its own."""

    space: Space
    namespace: str
    role: str

    @property
    def theirs(self) -> str:
        """A role that EKS may assume, of no binding."""
        return self.space.role_arn("theirs")

    @property
    def eks(self) -> Any:
        return self.space.aws.admin_client("eks")

    @property
    def iam(self) -> Any:
        return self.space.aws.admin_client("iam")

    @property
    def ours(self) -> dict[str, str]:
        """What names its association in calls of EKS."""
        return {"clusterName": EKS_CLUSTER, "associationId": associated(self.space, self.namespace).id}

    @property
    def statements(self) -> list[Statement]:
        return list(self.space.policy(self.role)["Statement"])

    def put(self, *statements: Statement) -> None:
        document = json.dumps({**self.space.policy(self.role), "Statement": list(statements)})
        self.iam.update_assume_role_policy(RoleName=self.role, PolicyDocument=document)

    def annotate(self, value: str | None) -> None:
        patch = {"metadata": {"annotations": {ROLE_ANNOTATION: value}}}
        self.space.cluster.api.patch(account_path(self.namespace), patch)

    def dissociate(self) -> None:
        """Delete its association, and wait until that is propagated."""
        self.eks.delete_pod_identity_association(**self.ours)
        probe = objects.pod(self.namespace, "probe")

        def is_propagated() -> bool:
            return FULL_URI not in environment_of(dict(self.space.cluster.api.create(probe, dryRun="All")))

        eventually(is_propagated, "it is propagated")

    def start_pod(self) -> None:
        self.space.cluster.create([objects.deployment(self.namespace)])
        eventually(lambda: self.space.cluster.pods(self.namespace), "its pod is there")


def _replace(plane: Plane, **more: Any) -> None:
    plane.eks.delete_pod_identity_association(**plane.ours)
    make_by_hand(plane.space, plane.namespace, plane.theirs, **more)


def _of_another_installation(plane: Plane) -> None:
    arn = plane.eks.describe_cluster(name=EKS_CLUSTER)["cluster"]["arn"]
    _replace(plane, tags={"mxp-identity/cluster": arn, "mxp-identity/installation": "canary"})


def _loosened(plane: Plane) -> None:
    *others, ours = plane.statements
    ours.pop("Condition")
    plane.put(*others, ours)


def _deny(plane: Plane) -> None:
    tag = {"StringEquals": {"aws:RequestTag/kubernetes-namespace": plane.namespace}}
    plane.put(*plane.statements, {**PODS_TRUST, "Sid": "Quarantine", "Effect": "Deny", "Condition": tag})


def _deleted_principal(plane: Plane) -> None:
    user = plane.iam.create_user(UserName=f"operator-{plane.role}")["User"]["Arn"]
    operators = {"Sid": "Operators", "Effect": "Allow", "Principal": {"AWS": user}, "Action": "sts:AssumeRole"}
    plane.put(*plane.statements[:-1], operators)
    plane.space.aws.delete_principal(user)


def _pod_too_early(plane: Plane) -> None:
    plane.dissociate()
    plane.start_pod()


def _pod_of_the_other_mode(plane: Plane) -> None:
    plane.dissociate()
    plane.annotate(plane.space.role_arn(plane.role))
    plane.start_pod()
    plane.annotate(None)


@dataclass(frozen=True)
class Case:
    """How a control plane is broken, and the finding that says so."""

    spoil: Callable[[Plane], object]
    check: str
    words: str


CASES: dict[str, Case] = {
    "no association": Case(Plane.dissociate, "association", "EKS has none for it"),
    "an association of another role": Case(
        lambda plane: plane.eks.update_pod_identity_association(**plane.ours, roleArn=plane.theirs),
        "association",
        "is managed, and it was given",
    ),
    "session tags disabled": Case(
        lambda plane: plane.eks.update_pod_identity_association(**plane.ours, disableSessionTags=True),
        "association",
        "its session tags were disabled",
    ),
    "a target role": Case(
        lambda plane: plane.eks.update_pod_identity_association(**plane.ours, targetRoleArn=plane.theirs),
        "association",
        "passes on to",
    ),
    "an external association": Case(_replace, "association", "created externally names"),
    "another installation's association": Case(
        _of_another_installation, "association", "of installation canary in cluster"
    ),
    "our statement for pods removed": Case(
        lambda plane: plane.put(*plane.statements[:-1]), "trust", "so that EKS may not assume it for its pods"
    ),
    "our statement for pods loosened": Case(_loosened, "trust", "was changed externally"),
    "a Deny": Case(_deny, "trust", "denies EKS, whatever other statements allow"),
    "a deleted principal": Case(_deleted_principal, "trust", "which was deleted"),
    "role gone": Case(lambda plane: plane.iam.delete_role(RoleName=plane.role), "role", "there is no role"),
    "an annotation of another role": Case(
        lambda plane: plane.annotate(plane.theirs), "annotation", "so its review associates it with none"
    ),
    "no ServiceAccount": Case(
        lambda plane: plane.space.cluster.api.delete(account_path(plane.namespace)),
        "service-account",
        "has no ServiceAccount",
    ),
    "a pod without the variable": Case(_pod_too_early, "pods", f"carries no {FULL_URI}"),
    "a pod with the other mode's variables": Case(_pod_of_the_other_mode, "pods", "carries AWS_ROLE_ARN"),
}
ROLES = {name: f"mxp-{number}" for number, name in enumerate(CASES)}


@pytest.fixture(scope="module")
def space() -> Iterator[Space]:
    roles = list(ROLES.values())
    with whole_space(roles=roles, eks_lag=0) as running:
        trust = json.dumps({"Version": "2012-10-17", "Statement": [PODS_TRUST]})
        running.aws.admin_client("iam").create_role(RoleName="theirs", AssumeRolePolicyDocument=trust)
        yield running


@pytest.fixture(scope="module")
def person(space: Space) -> Person:
    (binding,) = space.in_mode("pod-identity")["bindings"]
    bindings = [
        {
            **binding,
            "name": role,
            "namespaces": {"selector": {"matchLabels": {"role": role}}, "pattern": "mxp-*-system"},
            "roles": [space.role_arn(role)],
        }
        for role in ROLES.values()
    ]
    return Person(space, bindings=bindings, cluster={"name": EKS_CLUSTER})


@pytest.fixture(scope="module")
def planes(space: Space, person: Person) -> dict[str, Plane]:
    """A control plane for each case, whole: associated, and its role trusting EKS."""
    made = {}
    for name, role in ROLES.items():
        namespace = objects.host_namespace_name()
        labels = {"role": role, CONTROL_PLANE_LABEL: "plane"}
        space.cluster.create([objects.namespace(namespace, labels), objects.service_account(namespace)])
        made[name] = Plane(space, namespace, role)
    applied = person("apply")
    assert applied.code == 0, applied.err
    return made


FEW = {
    "an external association",
    "our statement for pods removed",
    "a pod without the variable",
}
"""One of each kind for `make test`; `make proof` tries all."""


@pytest.mark.parametrize("name", variants(CASES, *FEW))
def test_a_broken_control_plane_is_named_and_corrected_by_what_is_printed(
    planes: dict[str, Plane], person: Person, name: str, tmp_path: Path
) -> None:
    plane, case = planes[name], CASES[name]
    assert _broken(person, plane) == []
    case.spoil(plane)
    spoilt = pods.uids(plane.space.cluster, plane.namespace)

    found = _broken(person, plane)
    assert any(one["check"] == case.check and case.words in one["message"] for one in found), found

    for _ in range(MOST_FIXES):
        for finding in found:
            run_as_printed(finding["fix"], person.environment, tmp_path)
        found = _broken(person, plane)
        if not found:
            assert associated(plane.space, plane.namespace).role_arn == plane.space.role_arn(plane.role)
            if case.check == "pods":
                _has_the_role(plane, pods.made_anew(plane.space.cluster, plane.namespace, spoilt))
            return
    pytest.fail(f"not corrected: {found}")


def _has_the_role(plane: Plane, pod: dict[str, Any]) -> None:
    """Hold a pod's own variables and its own token against the role, whatever `verify` says."""
    assert has_pod_identity(pod)
    assert f":assumed-role/{plane.role}/" in credentials(plane.space, pod).arn


def test_what_an_add_on_owns_is_named_and_no_command_touches_it(
    space: Space, planes: dict[str, Plane], person: Person
) -> None:
    plane = planes["no association"]
    if association(space, plane.namespace):
        plane.eks.delete_pod_identity_association(**plane.ours)
    made = make_by_hand(space, plane.namespace, plane.theirs)
    space.aws.give_to_addon(EKS_CLUSTER, made, ADDON)
    (found,) = _broken(person, plane)
    assert (found["check"], found["fix"]) == ("association", None)
    assert f"of add-on {ADDON} names {plane.theirs}" in found["message"]
    plane.eks.delete_pod_identity_association(**plane.ours)


def test_the_missing_right_to_ask_eks_is_reported_and_nothing_is_called_broken(
    planes: dict[str, Plane], person: Person
) -> None:
    plane = planes["a Deny"]
    plane.iam.create_user(UserName="stranger")
    key = plane.iam.create_access_key(UserName="stranger")["AccessKey"]
    stranger = {
        **person.environment,
        "AWS_ACCESS_KEY_ID": key["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"],
    }
    answer = run("verify", plane.namespace, "--config", str(person.file), "-o", "json", env=stranger)
    unknown = [one for one in _findings(answer, plane) if one["level"] == "unknown"]
    assert {one["check"] for one in unknown} == {"association", "role"}
    assert all("AccessDenied" in one["message"] for one in unknown)


def test_sts_is_not_asked_with_assume_and_the_reason_is_given(planes: dict[str, Plane], person: Person) -> None:
    plane = planes["a Deny"]
    answer = person("verify", plane.namespace, "--assume", "-o", "json")
    (found,) = [one for one in _findings(answer, plane) if one["check"] == "sts"]
    assert (found["level"], "not asked" in found["message"]) == ("note", True)


def test_under_another_clusters_name_nothing_is_made_and_the_name_is_called_wrong(
    space: Space, planes: dict[str, Plane], person: Person, tmp_path: Path
) -> None:
    plane = planes["a Deny"]
    space.aws.add_cluster("other", "https://oidc.eks.us-west-2.amazonaws.com/id/" + "0123456789ABCDEF" * 2)
    file = tmp_path / "other.yaml"
    file.write_text(person.file.read_text().replace(f"name: {EKS_CLUSTER}", "name: other"))
    before = space.aws.associations(EKS_CLUSTER)
    answer = run("verify", plane.namespace, "--config", str(file), "-o", "json", env=person.environment)
    (found,) = [one for one in _findings(answer, plane) if one["check"] == "association"]
    assert (found["level"], "cluster.name names another cluster" in found["message"]) == ("broken", True), found
    applied = run("apply", "--config", str(file), env=person.environment)
    assert applied.code != 0
    assert space.aws.associations("other") == []
    assert space.aws.associations(EKS_CLUSTER) == before


def _findings(answer: Ran, plane: Plane) -> list[dict[str, Any]]:
    assert answer.out, answer.err
    (found,) = [one for one in answer.document["controlPlanes"] if one["namespace"] == plane.namespace]
    findings: list[dict[str, Any]] = found["findings"]
    return findings


def _broken(person: Person, plane: Plane) -> list[dict[str, Any]]:
    answer = person("verify", plane.namespace, "-o", "json")
    return [one for one in _findings(answer, plane) if one["level"] == "broken"]
