"""Broken set-ups: `verify` names each, and what it prints to correct it corrects it."""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from rig import pods
from rig.aws.identity import assume
from rig.kubernetes import objects
from rig.kubernetes.objects import CONTROL_PLANE_LABEL, SERVICE_ACCOUNT
from rig.kubernetes.registration import OWN_NAMESPACE
from rig.permissions import PROGRAM
from rig.space import Space
from rig.waiting import eventually
from tests.cli.commands import Person, Ran, run, run_as_printed
from tests.e2e.scenes import ROLE_ANNOTATION, account_path, serving, whole_space
from tests.support.printed_commands import each_command, without_context
from tests.support.variants import variants
from webhook.coordination.leases import Lease
from webhook.coordination.lock import lease_name
from webhook.kube.leases import lease_object
from webhook.model.names import RoleArn

Statement = dict[str, Any]

QUOTA = 2048
MOST_FIXES = 4
"""Some things only show once others are corrected."""


@dataclass(frozen=True)
class Plane:
    """A control plane with a role of its own."""

    space: Space
    namespace: str
    role: str

    @property
    def role_arn(self) -> str:
        return self.space.role_arn(self.role)

    @property
    def subject(self) -> str:
        return f"system:serviceaccount:{self.namespace}:{SERVICE_ACCOUNT}"

    @property
    def iam(self) -> Any:
        return self.space.aws.admin_client("iam")

    @property
    def statements(self) -> list[Statement]:
        return list(self.space.policy(self.role)["Statement"])

    def annotate(self, annotations: dict[str, str | None]) -> None:
        patch = {"metadata": {"annotations": annotations}}
        self.space.cluster.api.patch(account_path(self.namespace), patch)

    def put(self, *statements: Statement) -> None:
        document = json.dumps({**self.space.policy(self.role), "Statement": list(statements)})
        self.iam.update_assume_role_policy(RoleName=self.role, PolicyDocument=document)

    def edit_ours(self, edit: Callable[[Statement], object]) -> None:
        statements = self.statements
        edit(next(one for one in statements if one.get("Sid", "").startswith("MxpIdentity")))
        self.put(*statements)

    def start_pod(self) -> None:
        self.space.cluster.create([objects.deployment(self.namespace)])
        eventually(lambda: self.space.cluster.pods(self.namespace), "its pod is there")


def _provider_without_audience(plane: Plane) -> None:
    arn = plane.space.provider_arn
    plane.iam.delete_open_id_connect_provider(OpenIDConnectProviderArn=arn)
    plane.iam.create_open_id_connect_provider(Url=plane.space.cluster.issuer, ClientIDList=["sigstore"])


def _two_operators(ours: Statement) -> None:
    key = next(key for key in ours["Condition"]["StringEquals"] if key.endswith(":sub"))
    ours["Condition"]["StringLike"] = {key: "system:serviceaccount:other-*"}


def _drop_audience(ours: Statement) -> None:
    equals = ours["Condition"]["StringEquals"]
    del equals[next(key for key in equals if key.endswith(":aud"))]


def _deny(plane: Plane) -> None:
    key = plane.space.cluster.issuer.removeprefix("https://")
    denying = {
        "Sid": "Quarantine",
        "Effect": "Deny",
        "Principal": {"Federated": plane.space.provider_arn},
        "Action": "sts:AssumeRoleWithWebIdentity",
        "Condition": {"StringEquals": {f"{key}:sub": plane.subject}},
    }
    plane.put(*plane.statements, denying)


def _full_of_the_dead(plane: Plane) -> None:
    """Fill our statement with control planes that are gone, in place of the one that is there."""

    def fill(ours: Statement) -> None:
        equals = ours["Condition"]["StringEquals"]
        key = next(key for key in equals if key.endswith(":sub"))
        one = "system:serviceaccount:mxp-00000000-0000-4000-8000-0000000000{:02d}-system:mxp-controller"
        others = [statement for statement in plane.statements if statement.get("Sid") != ours["Sid"]]
        equals[key] = []
        while _size([*others, ours]) + len(one) < QUOTA:
            equals[key].append(one.format(len(equals[key])))

    plane.edit_ours(fill)


def _size(statements: list[Statement]) -> int:
    document = {"Version": "2012-10-17", "Id": "backup-trust", "Statement": statements}
    return len(json.dumps(document, separators=(",", ":")))


def _deleted_principal(plane: Plane) -> None:
    user = plane.iam.create_user(UserName=f"operator-{plane.role}")["User"]["Arn"]
    operators = {"Sid": "Operators", "Effect": "Allow", "Principal": {"AWS": user}, "Action": "sts:AssumeRole"}
    plane.put(*plane.statements[:-1], operators)
    plane.space.aws.delete_principal(user)


def _pod_too_early(plane: Plane) -> None:
    plane.annotate({ROLE_ANNOTATION: None})
    plane.start_pod()
    plane.annotate({ROLE_ANNOTATION: plane.role_arn})


def _pod_of_another_role(plane: Plane) -> None:
    plane.annotate({ROLE_ANNOTATION: plane.space.role_arn("by-hand")})
    plane.start_pod()
    plane.annotate({ROLE_ANNOTATION: plane.role_arn})


def _pod_with_another_audience(plane: Plane) -> None:
    plane.annotate({"eks.amazonaws.com/audience": "sigstore"})
    plane.start_pod()


def _statement_by_hand(plane: Plane) -> None:
    key = plane.space.cluster.issuer.removeprefix("https://")
    equals = {f"{key}:aud": "sigstore", f"{key}:sub": plane.subject}
    by_hand = {
        "Sid": "ByHand",
        "Effect": "Allow",
        "Principal": {"Federated": plane.space.provider_arn},
        "Action": "sts:AssumeRoleWithWebIdentity",
        "Condition": {"StringEquals": equals},
    }
    plane.put(*plane.statements, by_hand)


@dataclass(frozen=True)
class Case:
    """How a control plane is broken, and the finding that says so."""

    spoil: Callable[[Plane], object]
    check: str
    words: str


def _annotated(value: str | None, key: str = ROLE_ANNOTATION) -> Callable[[Plane], None]:
    return lambda plane: plane.annotate({ROLE_ANNOTATION: None, key: value and value.format(plane=plane)})


CASES: dict[str, Case] = {
    "no OIDC provider": Case(
        lambda plane: plane.iam.delete_open_id_connect_provider(OpenIDConnectProviderArn=plane.space.provider_arn),
        "oidc-provider",
        "there is no",
    ),
    "provider without the audience": Case(
        _provider_without_audience, "oidc-provider", "does not know the audience sts.amazonaws.com"
    ),
    "our statement removed": Case(lambda plane: plane.put(*plane.statements[:-1]), "trust", "no statement of"),
    "StringLike beside StringEquals": Case(
        lambda plane: plane.edit_ours(_two_operators), "trust", "was changed externally"
    ),
    "our statement without audience": Case(
        lambda plane: plane.edit_ours(_drop_audience), "trust", "was changed externally"
    ),
    "a Deny": Case(_deny, "trust", "statement 4 (Sid Quarantine)"),
    "a full policy": Case(_full_of_the_dead, "trust", "unused ones"),
    "a deleted principal": Case(_deleted_principal, "trust", "which was deleted"),
    "a statement by hand for another audience": Case(
        _statement_by_hand, "trust", "statement 3 (Sid ByHand) names it, but it wants the audience sigstore"
    ),
    "role gone": Case(lambda plane: plane.iam.delete_role(RoleName=plane.role), "role", "there is no role"),
    "no annotation": Case(_annotated(None), "annotation", "is missing"),
    "misspelt annotation": Case(
        _annotated("{plane.role_arn}", "eks.amazon.aws/role-arn"), "annotation", "is misspelt"
    ),
    "role of another account": Case(
        _annotated("arn:aws:iam::210987654321:role/mxp"), "annotation", "a role of account 210987654321"
    ),
    "another role": Case(
        _annotated("arn:aws:iam::123456789012:role/by-hand"), "annotation", "which is no role of binding"
    ),
    "annotation that is no ARN": Case(_annotated("mxp-backup"), "annotation", "is not the ARN of a role"),
    "label removed": Case(
        lambda plane: plane.space.cluster.api.patch(
            f"/api/v1/namespaces/{plane.namespace}", {"metadata": {"labels": {"role": None}}}
        ),
        "namespace",
        "asks something else of label role",
    ),
    "no ServiceAccount": Case(
        lambda plane: plane.space.cluster.api.delete(account_path(plane.namespace)),
        "service-account",
        "has no ServiceAccount mxp-controller",
    ),
    "audience annotated": Case(
        lambda plane: plane.annotate({"eks.amazonaws.com/audience": "sigstore"}), "audience", "asks for tokens for"
    ),
    "pod too early": Case(_pod_too_early, "pods", "started before its ServiceAccount had a role"),
    "pod with another role": Case(_pod_of_another_role, "pods", "which its ServiceAccount no longer names"),
    "pod with a token for another audience": Case(_pod_with_another_audience, "pods", "has no token for"),
}
ROLES = {name: f"mxp-{number}" for number, name in enumerate(CASES)}
ONLY_ANNOTATED = "a statement by hand for another audience"


@pytest.fixture(scope="module")
def space() -> Iterator[Space]:
    with whole_space(roles=list(ROLES.values()), quota=QUOTA) as running:
        yield running


@pytest.fixture(scope="module")
def person(space: Space) -> Person:
    (binding,) = space.configuration()["bindings"]
    bindings = [
        {
            **binding,
            "name": role,
            "namespaces": {"selector": {"matchLabels": {"role": role}}},
            "mode": "annotate" if name == ONLY_ANNOTATED else "irsa",
            "roles": [space.role_arn(role)],
        }
        for name, role in ROLES.items()
    ]
    return Person(space, bindings=bindings)


@pytest.fixture(scope="module")
def planes(space: Space, person: Person) -> dict[str, Plane]:
    """A control plane for each case, whole: annotated, and trusted where that is ours to do."""
    made = {}
    for name, role in ROLES.items():
        namespace = objects.host_namespace_name()
        labels = {"role": role, CONTROL_PLANE_LABEL: "plane"}
        annotations = {ROLE_ANNOTATION: space.role_arn(role)}
        space.cluster.create(
            [
                objects.namespace(namespace, labels),
                objects.service_account(namespace, annotations=annotations),
            ]
        )
        made[name] = Plane(space, namespace, role)
    applied = person("apply")
    assert applied.code == 0, applied.err
    return made


FEW = {
    "a Deny",
    "misspelt annotation",
    "pod too early",
}
"""One of each kind for `make test`; `make proof` tries all."""


@pytest.mark.rig
@pytest.mark.parametrize("name", variants(CASES, *FEW))
def test_a_broken_control_plane_is_named_and_corrected_by_what_is_printed(
    planes: dict[str, Plane], person: Person, name: str, tmp_path: Path
) -> None:
    plane, case = planes[name], CASES[name]
    case.spoil(plane)
    spoilt = pods.uids(plane.space.cluster, plane.namespace)

    found = _broken(person, plane)
    assert any(one["check"] == case.check and case.words in one["message"] for one in found), found

    for _ in range(MOST_FIXES):
        for finding in found:
            run_as_printed(finding["fix"], person.environment, tmp_path)
        found = _broken(person, plane)
        if not found:
            assert _sts_accepts(person, plane)
            if case.check == "pods":
                _has_the_role(plane, pods.made_anew(plane.space.cluster, plane.namespace, spoilt))
            return
    pytest.fail(f"not corrected: {found}")


@pytest.mark.rig
def test_a_role_that_is_gone_is_made_with_its_permissions_by_the_call_of_setup_that_is_printed(
    space: Space, planes: dict[str, Plane], person: Person, tmp_path: Path
) -> None:
    """As the webhook's own role it names the one that the program's ServiceAccount has."""
    plane = planes["role gone"]
    program = f"/api/v1/namespaces/{OWN_NAMESPACE}/serviceaccounts/{PROGRAM}"
    own_role = {ROLE_ANNOTATION: space.role_arn("own-role")}
    space.cluster.api.patch(program, {"metadata": {"annotations": own_role}})
    plane.iam.delete_role(RoleName=plane.role)

    (found,) = [one for one in _broken(person, plane) if one["check"] == "role"]
    setup = found["template"].replace("--bucket NAME", "--bucket my-backups").replace("NAME", space.aws.region)
    run_as_printed(setup, person.environment, tmp_path)
    assert plane.iam.get_role_policy(RoleName=plane.role, PolicyName="backup-bucket")
    assert plane.iam.get_role_policy(RoleName="own-role", PolicyName="trust-policies")
    for finding in _broken(person, plane):
        run_as_printed(finding["fix"], person.environment, tmp_path)
    assert _sts_accepts(person, plane)


@pytest.mark.rig
@pytest.mark.proof
def test_a_role_that_another_program_keeps_rewriting_is_named(
    space: Space, planes: dict[str, Plane], person: Person
) -> None:
    role = RoleArn(next(iter(planes.values())).role_arn)
    now = int(time.time())
    for repairs, is_named in (((now - 7200, now - 7000, now - 60, now), False), ((now - 90, now - 60, now), True)):
        lease = lease_object(Lease(lease_name(role), role.value, repairs=repairs))
        path = f"/apis/coordination.k8s.io/v1/namespaces/{OWN_NAMESPACE}/leases/{lease_name(role)}"
        space.cluster.api.patch(path, {"metadata": {"annotations": lease["metadata"]["annotations"]}})
        found = [one["message"] for one in person("verify", "-o", "json").document["webhook"]]
        assert any(f"{role} was repaired 3 times in the last hour" in one for one in found) == is_named, found
    space.cluster.api.patch(path, {"metadata": {"annotations": {"mxp-identity/repairs": None}}})


def _has_the_role(plane: Plane, pod: dict[str, Any]) -> None:
    """Hold a pod's own variables and its own token against the role, whatever `verify` says."""
    assert pods.environment_of(pod)["AWS_ROLE_ARN"] == plane.role_arn
    assert assume(plane.space.aws, plane.role_arn, pods.projected_token(plane.space.cluster, pod)).ok


def _sts_accepts(person: Person, plane: Plane) -> bool:
    """Whether it is corrected by STS's own word, and not only by that of `verify`."""
    (found,) = person("verify", plane.namespace, "--assume", "-o", "json").document["controlPlanes"]
    return ("sts", "ok") in {(one["check"], one["level"]) for one in found["findings"]}


@pytest.mark.rig
def test_the_missing_right_to_read_the_role_is_reported_and_nothing_is_called_broken(
    planes: dict[str, Plane], person: Person
) -> None:
    plane = planes["no annotation"]
    plane.iam.create_user(UserName="stranger")
    key = plane.iam.create_access_key(UserName="stranger")["AccessKey"]
    stranger = {
        **person.environment,
        "AWS_ACCESS_KEY_ID": key["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"],
    }
    answer = run("verify", plane.namespace, "--config", str(person.file), "-o", "json", env=stranger)
    unknown = [one for one in _findings(answer, plane) if one["level"] == "unknown"]
    assert {one["check"] for one in unknown} == {"oidc-provider", "role"}
    assert all("AccessDenied" in one["message"] for one in unknown)


@pytest.mark.rig
def test_the_webhook_is_distinguished_from_one_that_is_missing_down_or_not_trusted(
    space: Space, planes: dict[str, Plane], person: Person
) -> None:
    plane = planes["no OIDC provider"]

    def said() -> str:
        (finding,) = person("verify", plane.namespace, "-o", "json").document["webhook"]
        return f"{finding['level']}: {finding['message']}"

    assert said() == "broken: the API server does not call it: no MutatingWebhookConfiguration is there"
    with serving(space, "Fail", bindings=_bindings(person)) as webhook:
        assert said().startswith("ok: ")
        webhook.process.kill()
        assert "gets no answer from it: " in said()
        space.register(webhook.url, "Ignore")
        why = "the API server gets no answer from it, and continues without it"
        assert said() == f"broken: {why}; it has no Deployment in {OWN_NAMESPACE}"


@pytest.mark.rig
def test_sts_itself_is_asked_with_assume(planes: dict[str, Plane], person: Person) -> None:
    plane = planes["audience annotated"]
    answer = person("verify", plane.namespace, "--assume", "-o", "json")
    (finding,) = [one for one in _findings(answer, plane) if one["check"] == "sts"]
    assert finding["level"] == "ok", finding
    assert "accepted a token" in finding["message"]


@pytest.mark.rig
def test_without_a_namespace_the_worst_come_first(planes: dict[str, Plane], person: Person) -> None:
    plane = planes["another role"]
    plane.annotate({ROLE_ANNOTATION: None})
    plane.put(*plane.statements[:-1])
    answer = person("verify", "--context", "rig", "-o", "json")
    assert answer.code == 4
    found = [finding for one in answer.document["controlPlanes"] for finding in one["findings"]]
    commands = each_command(finding["fix"] for finding in [*answer.document["webhook"], *found])
    assert {"kubectl", "helm", "mxp-identity"} <= {command[0] for command in commands}
    for command in commands:
        assert "rig" not in without_context(command, "rig")
    shown = [(one["namespace"], one["worst"]) for one in answer.document["controlPlanes"]]
    assert (plane.namespace, "broken") in shown
    broken = [worst == "broken" for _, worst in shown]
    assert broken == sorted(broken, reverse=True), "the broken before the others"
    assert not all(broken)
    assert len(shown) == len(planes)


@pytest.mark.rig
def test_a_program_that_may_not_edit_the_role_is_named_and_gets_that_right_by_what_is_printed(
    space: Space, planes: dict[str, Plane], person: Person, tmp_path: Path
) -> None:
    role, namespace = planes["label removed"].role, objects.host_namespace_name()
    plane, program = Plane(space, namespace, role), f"/api/v1/namespaces/{OWN_NAMESPACE}/serviceaccounts/{PROGRAM}"
    annotations = {ROLE_ANNOTATION: space.role_arn(PROGRAM)}
    space.cluster.api.patch(program, {"metadata": {"annotations": annotations}})
    rights = json.dumps(plane.iam.get_role_policy(RoleName=PROGRAM, PolicyName="trust")["PolicyDocument"])
    readable = rights.replace("iam:UpdateAssumeRolePolicy", "iam:GetRole")
    plane.iam.put_role_policy(RoleName=PROGRAM, PolicyName="trust", PolicyDocument=readable)
    with serving(space, bindings=_bindings(person), reconciler={"interval": "500ms"}):
        space.cluster.create([objects.namespace(namespace, {"role": role, CONTROL_PLANE_LABEL: "plane"})])
        space.cluster.create([objects.service_account(namespace)])
        (found,) = eventually(lambda: _broken(person, plane), "it is seen")
        assert (found["check"], "because AWS refuses the program" in found["message"]) == ("trust", True), found
        assert "iam:UpdateAssumeRolePolicy" in found["message"]
        run_as_printed(found["fix"], person.environment, tmp_path)
        eventually(lambda: not _broken(person, plane), "the program allows it")
        assert _sts_accepts(person, plane)
    plane.iam.put_role_policy(RoleName=PROGRAM, PolicyName="trust", PolicyDocument=rights)


def _bindings(person: Person) -> Any:
    return yaml.safe_load(person.file.read_text())["bindings"]


def _findings(answer: Ran, plane: Plane) -> list[dict[str, Any]]:
    assert answer.out, answer.err
    (found,) = [one for one in answer.document["controlPlanes"] if one["namespace"] == plane.namespace]
    findings: list[dict[str, Any]] = found["findings"]
    return findings


def _broken(person: Person, plane: Plane) -> list[dict[str, Any]]:
    answer = person("verify", plane.namespace, "-o", "json")
    return [one for one in _findings(answer, plane) if one["level"] == "broken"]
