"""`setup` on an empty account: what it plans, what it does, and that the printed commands do the same."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from rig.aws.standin import AwsStandIn
from rig.chart import render
from rig.permissions import iam_policy
from tests.cli.commands import Ran, run

ISSUER = f"https://oidc.eks.us-west-2.amazonaws.com/id/{'A1' * 16}"
OPTIONS = ("--bucket", "my-backups", "--region", "us-west-2", "--issuer", ISSUER)
ROLES = ("mxp-backup", "mxp-identity-webhook")
STEPS = 5


@pytest.fixture
def aws() -> Iterator[AwsStandIn]:
    with AwsStandIn() as running:
        yield running


def _setup(aws: AwsStandIn, *more: str) -> Ran:
    return run("setup", *OPTIONS, *more, env=aws.environment(base={"PATH": "/usr/bin:/bin"}))


def _account(aws: AwsStandIn) -> dict[str, Any]:
    """Everything that `setup` is about, as IAM answers it."""
    iam = aws.admin_client("iam")
    providers = [item["Arn"] for item in iam.list_open_id_connect_providers()["OpenIDConnectProviderList"]]
    return {
        "providers": {
            arn: iam.get_open_id_connect_provider(OpenIDConnectProviderArn=arn)["ClientIDList"]
            for arn in providers
        },
        "roles": {
            role: {
                "trust": iam.get_role(RoleName=role)["Role"]["AssumeRolePolicyDocument"],
                "policies": {
                    name: iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
                    for name in iam.list_role_policies(RoleName=role)["PolicyNames"]
                },
            }
            for role in ROLES
        },
    }


def test_an_empty_account_gets_what_it_needs_and_a_second_run_nothing(aws: AwsStandIn) -> None:
    planned = _setup(aws)
    assert (planned.code, planned.out.count("  + ")) == (3, STEPS)
    assert not aws.admin_client("iam").list_open_id_connect_providers()["OpenIDConnectProviderList"]

    assert _setup(aws, "--approve").code == 0
    account = _account(aws)
    key = ISSUER.removeprefix("https://")
    provider = f"arn:aws:iam::{aws.account}:oidc-provider/{key}"
    assert account["providers"] == {provider: ["sts.amazonaws.com"]}
    backup, own = (account["roles"][role] for role in ROLES)
    assert backup["policies"]["backup-bucket"]["Statement"][0]["Action"] == "s3:ListBucket"
    assert own["policies"]["trust-policies"] == iam_policy(
        [f"arn:aws:iam::{aws.account}:role/mxp-backup"], provider, f"arn:aws:iam::{aws.account}:role/{ROLES[1]}"
    )
    assert own["trust"]["Statement"][0]["Condition"]["StringEquals"][f"{key}:sub"] == (
        "system:serviceaccount:mxp-identity:mxp-identity-webhook"
    )

    again = _setup(aws, "--approve")
    assert (again.code, again.out) == (0, "nothing is missing\n")


def test_the_printed_commands_leave_the_account_as_approving_does(aws: AwsStandIn) -> None:
    printed = _setup(aws, "-o", "awscli")
    assert printed.out.count("aws iam ") == STEPS
    folder = str(Path(sys.executable).parent)
    env = aws.environment(base={"PATH": os.pathsep.join([folder, "/usr/bin", "/bin"])})
    subprocess.run(["bash", "-e"], input=printed.out, env={**env, "AWS_PAGER": ""}, text=True, check=True)
    by_hand = _account(aws)
    assert _setup(aws).out == "nothing is missing\n"
    with AwsStandIn() as other:
        assert _setup(other, "--approve").code == 0
        assert _account(other) == by_hand


def test_what_somebody_has_changed_is_put_right_and_their_own_statements_stay(aws: AwsStandIn) -> None:
    assert _setup(aws, "--approve").code == 0
    before = _account(aws)
    iam = aws.admin_client("iam")
    iam.delete_role_policy(RoleName="mxp-backup", PolicyName="backup-bucket")
    (arn,) = before["providers"]
    iam.remove_client_id_from_open_id_connect_provider(OpenIDConnectProviderArn=arn, ClientID="sts.amazonaws.com")
    mine = {
        "Sid": "BreakGlass",
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{aws.account}:root"},
        "Action": "sts:AssumeRole",
    }
    for role in ROLES:
        document = json.dumps({"Version": "2012-10-17", "Statement": [mine]})
        iam.update_assume_role_policy(RoleName=role, PolicyDocument=document)

    planned = _setup(aws)
    assert planned.out.count("  + ") == 3, planned.out
    assert _setup(aws, "--approve").code == 0
    after = _account(aws)
    assert after["providers"] == before["providers"]
    assert after["roles"]["mxp-backup"] == {
        **before["roles"]["mxp-backup"],
        "trust": {"Version": "2012-10-17", "Statement": [mine]},
    }
    webhook = after["roles"]["mxp-identity-webhook"]["trust"]["Statement"]
    assert webhook == [mine, *before["roles"]["mxp-identity-webhook"]["trust"]["Statement"]]


def test_the_values_that_it_writes_fit_the_chart_and_name_the_bucket(aws: AwsStandIn, tmp_path: Path) -> None:
    chart, spaces = tmp_path / "values.yaml", tmp_path / "spaces.yaml"
    more = ("--values", str(chart), "--spaces-values", str(spaces), "--role", "one", "--role", "two")
    assert _setup(aws, *more).code == 3
    values = yaml.safe_load(chart.read_text())
    assert render(values, "mxp-identity-webhook", "mxp-identity"), "the chart takes them"
    roles = [f"arn:aws:iam::{aws.account}:role/{name}" for name in ("one", "two")]
    assert values["bindings"][0]["roles"] == roles
    assert yaml.safe_load(spaces.read_text()) == {
        "backup": {
            "enabled": True,
            "storage": {"provider": "aws", "aws": {"region": "us-west-2", "bucket": "my-backups"}},
        }
    }, "with several roles only the webhook knows which"


def test_presets_bring_bindings_of_other_workloads_with_roles_that_only_the_webhook_edits(
    aws: AwsStandIn, tmp_path: Path
) -> None:
    chart, spaces = tmp_path / "values.yaml", tmp_path / "spaces.yaml"
    presets = ("--preset", "billing", "--preset", "shared-secrets=eso", "--preset", "space-backups=mxp-backup")
    more = ("--values", str(chart), "--spaces-values", str(spaces), *presets)
    planned = _setup(aws, *more)
    assert "  + role mxp-billing for billing\n  + role eso for shared-secrets\n" in planned.out
    assert planned.out.count("  + ") == STEPS + 2, "a role that is there for backups is not made twice"
    assert _setup(aws, *more, "--approve").code == 0
    assert _setup(aws, *more).out == "nothing is missing\n"

    iam = aws.admin_client("iam")
    policy: Any = iam.get_role_policy(RoleName=ROLES[1], PolicyName="trust-policies")["PolicyDocument"]
    names = ("mxp-backup", "mxp-billing", "eso")
    assert policy["Statement"][0]["Resource"] == [f"arn:aws:iam::{aws.account}:role/{name}" for name in names]
    assert iam.list_role_policies(RoleName="mxp-billing")["PolicyNames"] == []

    text = chart.read_text()
    assert "&" not in text, "no aliases: the file is for people"
    values = yaml.safe_load(text)
    assert render(values, "mxp-identity-webhook", "mxp-identity"), "the chart takes them"
    bound = {item["serviceAccount"]: item for item in values["bindings"]}
    assert list(bound) == ["mxp-controller", "vector", "external-secrets-controller", "spaces-controller"]
    assert bound["spaces-controller"]["namespaces"] == {"pattern": "upbound-system"}
    annotated = {"eks.amazonaws.com/role-arn": f"arn:aws:iam::{aws.account}:role/eso"}
    assert yaml.safe_load(spaces.read_text())["controlPlanes"]["sharedSecrets"] == {
        "serviceAccount": {"customAnnotations": annotated}
    }


@pytest.mark.parametrize(
    ("presets", "says"),
    [(["--preset", "vector"], "there are billing, shared-secrets"), (["--preset", "billing"] * 2, "given twice")],
)
def test_a_preset_that_is_unknown_or_given_twice_is_refused(
    aws: AwsStandIn, presets: list[str], says: str
) -> None:
    refused = _setup(aws, *presets)
    assert (refused.code, refused.out) == (2, "")
    assert says in refused.err
