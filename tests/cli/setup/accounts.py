"""An account on the stand-in that `setup` is run on, and all that is in it afterwards."""

from collections.abc import Mapping
from typing import Any

from rig.aws.standin import AwsStandIn
from rig.space import EKS_CLUSTER
from tests.cli.commands import Ran, run

ISSUER = f"https://oidc.eks.us-west-2.amazonaws.com/id/{'A1' * 16}"
BUCKET = ("--bucket", "my-backups", "--region", "us-west-2")
OPTIONS = (*BUCKET, "--issuer", ISSUER)
BY_PODS = ("--mode", "pod-identity", "--no-wait")
IMAGE = "123456789012.dkr.ecr.us-west-2.amazonaws.com/mxp-identity-webhook:0.1.0"
ROLES = ("mxp-backup", "mxp-identity-webhook")
NAMESPACE = "mxp-identity"
CLUSTER = f"arn:aws:eks:us-west-2:123456789012:cluster/{EKS_CLUSTER}"


def setup(aws: AwsStandIn, *more: str, given: Mapping[str, str] | None = None) -> Ran:
    """Run it without a cluster, as the account's administrator unless `given` are other credentials."""
    env = aws.environment(base={"PATH": "/usr/bin:/bin"})
    return run("setup", *OPTIONS, *more, env={**env, **(given or {})})


def account_of(aws: AwsStandIn) -> dict[str, Any]:
    """All of the account as it answers, without ids and dates."""
    iam = aws.admin_client("iam")
    providers = [item["Arn"] for item in iam.list_open_id_connect_providers()["OpenIDConnectProviderList"]]
    return {
        "providers": {
            arn: without_ids(iam.get_open_id_connect_provider(OpenIDConnectProviderArn=arn)) for arn in providers
        },
        "roles": {item["RoleName"]: _role(iam, item["RoleName"]) for item in iam.list_roles()["Roles"]},
        "users": [item["UserName"] for item in iam.list_users()["Users"]],
        "policies": iam.list_policies(Scope="Local")["Policies"],
        "associations": [
            (one.namespace, one.service_account, one.role_arn, dict(one.tags))
            for one in aws.associations(EKS_CLUSTER)
        ],
        "addons": aws.addons(EKS_CLUSTER),
    }


def _role(iam: Any, name: str) -> dict[str, Any]:
    attached = iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"]
    policies = iam.list_role_policies(RoleName=name)["PolicyNames"]
    return {
        **without_ids(iam.get_role(RoleName=name)["Role"]),
        "Attached": attached,
        "Policies": {
            policy: iam.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"] for policy in policies
        },
    }


def without_ids(answer: Mapping[str, Any]) -> dict[str, Any]:
    """An answer's content that does not differ from account to account."""
    own = {"ResponseMetadata", "RoleId", "CreateDate", "RoleLastUsed"}
    return {key: value for key, value in answer.items() if key not in own}


def told(printed: str) -> list[str]:
    """The steps that it printed, planned or done."""
    marks = ("  + ", "done: ")
    return [line.removeprefix(mark) for line in printed.splitlines() for mark in marks if line.startswith(mark)]


def said(text: str) -> str:
    """A message of a wrong option, without the frame that breaks its lines."""
    return " ".join(text.replace("\u2502", " ").split())
