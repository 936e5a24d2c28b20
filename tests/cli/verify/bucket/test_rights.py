"""The rights that `verify` needs for backups, as docs/use/commands.md has them: none can be missing."""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import yaml

from rig.kubernetes import objects
from rig.kubernetes.registration import OWN_NAMESPACE
from rig.space import Space
from tests.cli.commands import Person, Ran
from tests.cli.test_commands_page import TEXT
from tests.cli.verify.bucket.planes import ACTIONS, Plane, person_of, planes_of, serving_backups
from tests.support.variants import variants

pytestmark = pytest.mark.rig

SECTION = TEXT.partition("\n### To the bucket\n")[2].partition("\n## ")[0]
(_RULES,) = re.findall(r"```yaml\n(.*?)```", SECTION, re.DOTALL)
(_POLICY,) = re.findall(r"```json\n(.*?)```", SECTION, re.DOTALL)
RULES: list[dict[str, Any]] = yaml.safe_load(_RULES)["rules"]
POLICY: dict[str, Any] = json.loads(_POLICY)

LOOK = [
    {
        "apiGroups": [""],
        "resources": ["namespaces", "serviceaccounts", "pods", "events", "configmaps"],
        "verbs": ["list", "watch"],
    },
    {"apiGroups": [""], "resources": ["serviceaccounts"], "verbs": ["patch"]},
    {"apiGroups": [""], "resources": ["serviceaccounts/token"], "verbs": ["create"]},
    {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["list"]},
    {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["get"]},
    {
        "apiGroups": ["admissionregistration.k8s.io"],
        "resources": ["mutatingwebhookconfigurations"],
        "verbs": ["list"],
    },
]
READ = [
    "iam:GetRole", "iam:GetOpenIDConnectProvider", "iam:GetAccountSummary",
    "eks:DescribeCluster", "eks:ListPodIdentityAssociations", "eks:DescribePodIdentityAssociation",
]  # fmt: skip
"""What `verify` needs for the identity."""

RESOURCES = [resource for rule in RULES for resource in rule["resources"]]
RIGHTS = [action for statement in POLICY["Statement"] for action in statement["Action"]]
BY_TOKEN, BY_PODS = 0, 1


@pytest.fixture(scope="module")
def space() -> Iterator[Space]:
    with serving_backups(2) as running:
        yield running


@pytest.fixture(scope="module")
def person(space: Space) -> Person:
    return person_of(space, ["irsa", "pod-identity"])


@pytest.fixture(scope="module")
def planes(space: Space, person: Person) -> list[Plane]:
    made = planes_of(space, person, 2)
    made[BY_PODS].start()
    space.aws.admin_client("iam").create_user(UserName="person")
    space.cluster.create([objects.service_account(OWN_NAMESPACE, "person")])
    return made


@pytest.fixture
def plane(planes: list[Plane]) -> Iterator[Plane]:
    """One in mode irsa, afterwards as it was."""
    yield planes[BY_TOKEN]
    _restore(planes[BY_TOKEN])


def _restore(plane: Plane) -> None:
    plane.allow(*ACTIONS)
    plane.configure(bucket=plane.bucket)
    plane.space.aws.bucket(plane.bucket).policy = ""
    plane.space.aws.endpoints.clear()
    plane.iam.delete_role_permissions_boundary(RoleName=plane.role)


def _allow_in_cluster(space: Space, rules: list[dict[str, Any]]) -> str:
    """Give a ServiceAccount these rights and no others; answers its kubeconfig."""
    rbac = {"apiVersion": "rbac.authorization.k8s.io/v1", "metadata": {"name": "person"}}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "person"}
    subject = {"kind": "ServiceAccount", "name": "person", "namespace": OWN_NAMESPACE}
    bound = {**rbac, "kind": "ClusterRoleBinding", "roleRef": role, "subjects": [subject]}
    space.cluster.apply([{**rbac, "kind": "ClusterRole", "rules": rules}, bound])
    return str(space.cluster.kubeconfig_for(OWN_NAMESPACE, "person"))


def _allow_in_account(space: Space, actions: list[str]) -> dict[str, str]:
    """Give a user these rights and no others; answers its keys."""
    iam = space.aws.admin_client("iam")
    for old in iam.list_access_keys(UserName="person")["AccessKeyMetadata"]:
        iam.delete_access_key(UserName="person", AccessKeyId=old["AccessKeyId"])
    statement = {"Effect": "Allow", "Action": actions, "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.put_user_policy(UserName="person", PolicyName="rights", PolicyDocument=document)
    key = iam.create_access_key(UserName="person")["AccessKey"]
    return {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}


def _verify(person: Person, plane: Plane, *options: str, lacks: str = "") -> Ran:
    """Verify a control plane with all documented rights but one."""
    rules = [{**rule, "resources": [one for one in rule["resources"] if one != lacks]} for rule in RULES]
    actions = [one for one in [*READ, *RIGHTS] if one != lacks]
    environment = {
        **person.environment,
        **_allow_in_account(plane.space, actions),
        "KUBECONFIG": _allow_in_cluster(plane.space, [*LOOK, *(rule for rule in rules if rule["resources"])]),
    }
    before, person.environment = person.environment, environment
    try:
        return person("verify", "--namespace", plane.namespace, *options, "-o", "json")
    finally:
        person.environment = before


def _findings(answer: Ran) -> list[dict[str, Any]]:
    assert answer.out, answer.err
    (found,) = answer.document["controlPlanes"]
    return [*answer.document["webhook"], *found["findings"]]


TRY = ("--assume", "--bucket")


def test_all_documented_rights_are_enough(person: Person, planes: list[Plane]) -> None:
    for plane in planes:
        for options in ((), TRY):
            answer = _verify(person, plane, *options)
            backups = [one for one in _findings(answer) if one["check"] in {"backup-config", "bucket", "agent"}]
            assert {one["level"] for one in backups} == {"ok"}, backups
            assert "keeps versions" not in answer.err


@pytest.mark.parametrize("resource", variants(RESOURCES))
def test_what_may_not_be_listed_is_a_question_mark_that_names_it(
    person: Person, planes: list[Plane], resource: str
) -> None:
    answer = _verify(person, planes[BY_PODS], lacks=resource)
    backups = [one for one in _findings(answer) if one["check"] in {"backup-config", "agent"}]
    unknown = [one for one in backups if one["level"] == "unknown"]
    check = "agent" if resource in {"daemonsets", "nodes"} else "backup-config"
    assert [one["check"] for one in unknown] == [check]
    assert f'cannot list resource "{resource}"' in unknown[0]["message"]


@dataclass(frozen=True)
class Need:
    """What a right is for: how the plane is broken, and what is only said with the right, or only without."""

    spoil: Callable[[Plane], object]
    with_it: str
    without: str
    options: tuple[str, ...] = TRY
    number: int = BY_TOKEN


def _without_delete(plane: Plane) -> None:
    plane.allow(*ACTIONS[:3])


def _nothing(_: Plane) -> None:
    """All is well."""


NEEDS: dict[str, Need] = {
    "s3:ListBucket": Need(
        lambda plane: plane.configure(bucket="my-backupps"), "which does not exist", "in s3://my-backupps/", ()
    ),
    "s3:GetBucketVersioning": Need(
        _nothing, "are allowed", "whether bucket backups-0 keeps versions is not known"
    ),
    "s3:GetBucketObjectLockConfiguration": Need(
        _nothing, "are allowed", "whether bucket backups-0 keeps versions is not known"
    ),
    "s3:GetBucketPolicy": Need(Plane.forbid, "aws s3api put-bucket-policy", "needs to read a policy"),
    "s3:DeleteObject": Need(_without_delete, "denies s3:DeleteObject", "PutObject was not tried"),
    "iam:SimulatePrincipalPolicy": Need(
        _without_delete, "no policy of mxp-0 allows s3:DeleteObject", "allows it is not known", ()
    ),
    "iam:GetPolicy": Need(
        lambda plane: plane.bound_by("sts:*"), "aws iam create-policy-version", "needs to read a policy"
    ),
    "iam:GetPolicyVersion": Need(
        lambda plane: plane.bound_by("s3:GetObject"), "aws iam create-policy-version", "needs to read a policy"
    ),
    "eks-auth:AssumeRoleForPodIdentity": Need(_nothing, "are allowed", "EKS could not be asked", number=BY_PODS),
    "ec2:DescribeVpcEndpoints": Need(
        Plane.narrow_the_endpoint, "aws ec2 modify-vpc-endpoint", "needs to read a policy"
    ),
}


def test_every_documented_right_in_aws_is_tried() -> None:
    assert set(NEEDS) == set(RIGHTS)


@pytest.mark.parametrize("right", variants(NEEDS))
def test_without_a_right_in_aws_something_is_not_said(
    person: Person, planes: list[Plane], plane: Plane, right: str
) -> None:
    need = NEEDS[right]
    plane = planes[need.number]
    need.spoil(plane)
    whole, lacking = (_verify(person, plane, *need.options, lacks=lacks) for lacks in ("", right))
    assert need.with_it in whole.out
    assert need.without not in whole.out + whole.err
    assert need.without in lacking.out + lacking.err
