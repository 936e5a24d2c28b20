"""`setup` on an empty account: what it plans, what it does, and that the printed commands do the same."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from rig.aws.faults import Deny, Latency
from rig.aws.standin import AwsStandIn
from rig.chart import IMAGE, render
from rig.permissions import iam_policy
from tests.cli.commands import Ran, run, start
from webhook.iam.statement import OwnStatement
from webhook.model.names import IssuerUrl, RoleArn

ISSUER = f"https://oidc.eks.us-west-2.amazonaws.com/id/{'A1' * 16}"
OPTIONS = ("--bucket", "my-backups", "--region", "us-west-2", "--issuer", ISSUER)
ROLES = ("mxp-backup", "mxp-identity-webhook")
STEPS = 5
NAMESPACE = "mxp-identity"
WRITTEN = {(action, "OK") for action in ("CreateOpenIDConnectProvider", "CreateRole", "PutRolePolicy")}
READS = {"GetCallerIdentity", "GetOpenIDConnectProvider", "GetRole", "GetRolePolicy"}
BUCKET_POLICY = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": "arn:aws:s3:::my-backups"},
        {
            "Effect": "Allow",
            "Action": ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"],
            "Resource": "arn:aws:s3:::my-backups/*",
        },
    ],
}


@pytest.fixture
def aws() -> Iterator[AwsStandIn]:
    with AwsStandIn() as running:
        yield running


def _setup(aws: AwsStandIn, *more: str) -> Ran:
    return run("setup", *OPTIONS, *more, env=aws.environment(base={"PATH": "/usr/bin:/bin"}))


def _account(aws: AwsStandIn) -> dict[str, Any]:
    """All of IAM as it answers, without ids and dates: roles, providers, users, policies that can be attached."""
    iam = aws.admin_client("iam")
    providers = [item["Arn"] for item in iam.list_open_id_connect_providers()["OpenIDConnectProviderList"]]
    return {
        "providers": {
            arn: _without_ids(iam.get_open_id_connect_provider(OpenIDConnectProviderArn=arn)) for arn in providers
        },
        "roles": {item["RoleName"]: _role(iam, item["RoleName"]) for item in iam.list_roles()["Roles"]},
        "users": [item["UserName"] for item in iam.list_users()["Users"]],
        "policies": iam.list_policies(Scope="Local")["Policies"],
    }


def _role(iam: Any, name: str) -> dict[str, Any]:
    attached = iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"]
    policies = iam.list_role_policies(RoleName=name)["PolicyNames"]
    return {
        **_without_ids(iam.get_role(RoleName=name)["Role"]),
        "Attached": attached,
        "Policies": {
            policy: iam.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"] for policy in policies
        },
    }


def _without_ids(answer: Mapping[str, Any]) -> dict[str, Any]:
    own = {"ResponseMetadata", "RoleId", "CreateDate", "RoleLastUsed"}
    return {key: value for key, value in answer.items() if key not in own}


def test_an_empty_account_gets_what_it_needs_and_a_second_run_nothing(aws: AwsStandIn) -> None:
    planned = _setup(aws)
    assert (planned.code, planned.out.count("  + ")) == (3, STEPS)
    assert not aws.admin_client("iam").list_open_id_connect_providers()["OpenIDConnectProviderList"]

    assert _setup(aws, "--approve").code == 0
    account = _account(aws)
    key = ISSUER.removeprefix("https://")
    provider = f"arn:aws:iam::{aws.account}:oidc-provider/{key}"
    assert {arn: found["ClientIDList"] for arn, found in account["providers"].items()} == {
        provider: ["sts.amazonaws.com"]
    }
    assert set(account["roles"]) == set(ROLES)
    assert (account["users"], account["policies"]) == ([], [])
    backup, own = (account["roles"][role] for role in ROLES)
    assert backup["Policies"] == {"backup-bucket": BUCKET_POLICY}
    (placeholder,) = backup["AssumeRolePolicyDocument"]["Statement"]
    ours = OwnStatement.for_role(
        RoleArn(f"arn:aws:iam::{aws.account}:role/mxp-backup"), IssuerUrl(ISSUER), NAMESPACE
    )
    assert placeholder == ours.render_placeholder()
    assert own["Policies"]["trust-policies"] == iam_policy(
        [f"arn:aws:iam::{aws.account}:role/mxp-backup"], provider, f"arn:aws:iam::{aws.account}:role/{ROLES[1]}"
    )
    assert own["AssumeRolePolicyDocument"]["Statement"][0]["Condition"]["StringEquals"][f"{key}:sub"] == (
        "system:serviceaccount:mxp-identity:mxp-identity-webhook"
    )

    written = aws.calls
    again = _setup(aws, "--approve")
    assert (again.code, again.out) == (0, "nothing is missing\n")
    assert {action for action, _ in aws.calls - written} <= READS
    assert _account(aws) == account


def test_the_printed_commands_leave_the_account_as_approving_does(aws: AwsStandIn, whole: dict[str, Any]) -> None:
    printed = _setup(aws, "-o", "awscli")
    assert printed.out.count("aws iam ") == STEPS
    folder = str(Path(sys.executable).parent)
    env = aws.environment(base={"PATH": os.pathsep.join([folder, "/usr/bin", "/bin"])})
    subprocess.run(["bash", "-e"], input=printed.out, env={**env, "AWS_PAGER": ""}, text=True, check=True)
    assert _setup(aws).out == "nothing is missing\n"
    nothing_more = _setup(aws, "-o", "awscli")
    assert (nothing_more.code, nothing_more.out) == (0, "")
    assert _account(aws) == whole


@pytest.fixture(scope="module")
def whole() -> dict[str, Any]:
    """The account that one run leaves, which nothing interrupts."""
    with AwsStandIn() as aws:
        assert _setup(aws, "--approve").code == 0
        return _account(aws)


@pytest.mark.parametrize(
    ("action", "how"),
    [
        ("CreateOpenIDConnectProvider", signal.SIGINT),
        ("CreateRole", signal.SIGINT),
        ("CreateRole", signal.SIGKILL),
        ("PutRolePolicy", signal.SIGINT),
    ],
)
def test_interrupted_in_the_middle_a_second_run_does_the_rest(
    aws: AwsStandIn, whole: dict[str, Any], action: str, how: signal.Signals
) -> None:
    env = aws.environment(base={"PATH": "/usr/bin:/bin"})
    with aws.fault(Latency(actions=(action,), seconds=1, times=1)):
        process = start("setup", *OPTIONS, "--approve", env=env)
        aws.wait_until(lambda: action in aws.in_flight, timeout=30)
        process.send_signal(how)
        told, printed = process.communicate(timeout=30)
        aws.wait_until(lambda: not aws.in_flight, timeout=30)
    assert "Traceback" not in printed
    if how is signal.SIGINT:
        assert process.returncode == 130
        assert printed.splitlines()[-1].startswith("interrupted")
        done = sum(count for call, count in aws.calls.items() if call in WRITTEN)
        assert told.count("done: ") == done > 0, "the write under way is ended, and told of"

    assert _setup(aws, "--approve").code == 0
    assert _account(aws) == whole


def test_a_missing_right_for_a_step_is_named_and_a_second_run_does_the_rest(aws: AwsStandIn) -> None:
    with aws.fault(Deny(actions=("PutRolePolicy",))):
        answer = _setup(aws, "--approve")
    assert answer.code == 1
    assert answer.out == "done: the cluster's OIDC provider\ndone: role mxp-backup for backups\n"
    assert answer.err.splitlines()[-1].startswith("Error: PutRolePolicy: AccessDenied: ")
    assert "Traceback" not in answer.err
    assert _setup(aws, "--approve").out.count("done: ") == STEPS - 2


def test_the_missing_right_to_read_is_reported(aws: AwsStandIn) -> None:
    for action in ("GetOpenIDConnectProvider", "GetRole"):
        with aws.fault(Deny(actions=(action,))):
            answer = _setup(aws)
        assert (answer.code, answer.out) == (1, "")
        line = answer.err.splitlines()[-1]  # a slow step is named before it
        assert line.startswith(f"Error: {action}: AccessDenied: ")


def test_external_changes_are_repaired_and_external_statements_are_kept(aws: AwsStandIn) -> None:
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
    trust = "AssumeRolePolicyDocument"
    assert after["roles"]["mxp-backup"] == {
        **before["roles"]["mxp-backup"],
        trust: {"Version": "2012-10-17", "Statement": [mine]},
    }
    webhook = after["roles"]["mxp-identity-webhook"][trust]["Statement"]
    assert webhook == [mine, *before["roles"]["mxp-identity-webhook"][trust]["Statement"]]


def _bucket(name: str) -> dict[str, Any]:
    """The policy for two buckets, as a person may have written it."""
    statements = json.loads(json.dumps(BUCKET_POLICY).replace("my-backups", name))["Statement"]
    return {**BUCKET_POLICY, "Statement": [*BUCKET_POLICY["Statement"], *statements]}


def _allowing(action: str, resource: str) -> dict[str, Any]:
    allowed = {"Effect": "Allow", "Action": action, "Resource": resource}
    return {"Version": "2012-10-17", "Statement": [allowed]}


OTHERS: dict[str, tuple[tuple[str, ...], tuple[str, str, dict[str, Any]] | None, str]] = {
    "the role of another cluster's webhook": (
        ("--issuer", f"https://oidc.eks.us-west-2.amazonaws.com/id/{'B2' * 16}"),
        None,
        "--own-role mxp-identity-webhook is the role of another cluster's webhook",
    ),
    "the role of the webhook in another namespace": (
        ("--release-namespace", "second"),
        None,
        "--own-role mxp-identity-webhook is the role of another webhook of this cluster, system:",
    ),
    "the role for backups to another bucket": (
        ("--bucket", "your-backups"),
        None,
        "--role mxp-backup has a policy backup-bucket with more",
    ),
    "a second bucket of the role for backups": (
        (),
        ("mxp-backup", "backup-bucket", _bucket("your-backups")),
        "--role mxp-backup has a policy backup-bucket with more",
    ),
    "roles of the webhook that a pattern names": (
        (),
        (
            "mxp-identity-webhook",
            "trust-policies",
            _allowing("iam:UpdateAssumeRolePolicy", "arn:aws:iam::123456789012:role/mxp-*"),
        ),
        "--own-role mxp-identity-webhook has a policy trust-policies with more",
    ),
    "another right of the webhook": (
        (),
        ("mxp-identity-webhook", "trust-policies", _allowing("eks:DescribeCluster", "*")),
        "--own-role mxp-identity-webhook has a policy trust-policies with more",
    ),
}


@pytest.mark.parametrize("name", OTHERS)
def test_what_another_cluster_or_bucket_has_is_not_taken_from_it(aws: AwsStandIn, name: str) -> None:
    other, policy, says = OTHERS[name]
    assert _setup(aws, "--approve").code == 0
    if policy is not None:
        _put_policy(aws, *policy)
    before = _account(aws)
    refused = _setup(aws, *other, "--approve")
    assert (refused.code, refused.out) == (2, "")
    line = refused.err.splitlines()[-1]  # a slow step is named before it
    assert line.startswith(f"Error: {says}")
    assert _account(aws) == before


def _put_policy(aws: AwsStandIn, role: str, name: str, policy: dict[str, Any]) -> None:
    text = json.dumps(policy)
    aws.admin_client("iam").put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=text)


@pytest.mark.parametrize(
    ("first", "then"),
    [(("--preset", "billing"), ()), ((), ("--role", "second")), (("--role", "one", "--role", "two"), ())],
)
def test_the_webhook_keeps_the_roles_that_an_earlier_run_gave_it(
    aws: AwsStandIn, first: tuple[str, ...], then: tuple[str, ...]
) -> None:
    assert _setup(aws, *first, "--approve").code == 0
    before = set(_webhooks_roles(aws))
    assert _setup(aws, *then, "--approve").code == 0
    after = _webhooks_roles(aws)
    assert before <= set(after)
    assert len(after) == len(set(after)), "each once"
    assert _setup(aws, *first).out == _setup(aws, *then).out == "nothing is missing\n"


def _webhooks_roles(aws: AwsStandIn) -> list[str]:
    found: Any = aws.admin_client("iam").get_role_policy(RoleName=ROLES[1], PolicyName="trust-policies")
    roles = found["PolicyDocument"]["Statement"][0]["Resource"]
    return roles if isinstance(roles, list) else [roles]


ISSUER_KEY = ISSUER.removeprefix("https://")
PROGRAM = "system:serviceaccount:mxp-identity:mxp-identity-webhook"
DAMAGED: dict[str, dict[str, Any]] = {
    "denied": {"Effect": "Deny"},
    "for anybody": {"Condition": {}},
    "for another audience": {
        "Condition": {"StringEquals": {f"{ISSUER_KEY}:aud": "somebody", f"{ISSUER_KEY}:sub": PROGRAM}}
    },
}


@pytest.mark.parametrize("how", DAMAGED)
def test_the_webhooks_own_statement_is_repaired_where_it_names_no_other_subject(aws: AwsStandIn, how: str) -> None:
    assert _setup(aws, "--approve").code == 0
    before = _account(aws)
    (statement,) = before["roles"][ROLES[1]]["AssumeRolePolicyDocument"]["Statement"]
    document = json.dumps({"Version": "2012-10-17", "Statement": [{**statement, **DAMAGED[how]}]})
    aws.admin_client("iam").update_assume_role_policy(RoleName=ROLES[1], PolicyDocument=document)
    assert _setup(aws, "--approve").out == "done: the webhook in the trust policy of mxp-identity-webhook\n"
    assert _account(aws) == before


def test_a_second_cluster_with_a_webhook_role_of_its_own_may_share_the_role_for_backups(aws: AwsStandIn) -> None:
    assert _setup(aws, "--approve").code == 0
    other = ("--issuer", f"https://oidc.eks.us-west-2.amazonaws.com/id/{'B2' * 16}", "--own-role", "webhook-b")
    assert _setup(aws, *other, "--approve").code == 0
    assert set(_account(aws)["roles"]) == {*ROLES, "webhook-b"}
    assert _setup(aws).out == "nothing is missing\n"


def test_the_values_that_it_writes_fit_the_chart_and_name_the_bucket(aws: AwsStandIn, tmp_path: Path) -> None:
    chart, spaces = tmp_path / "values.yaml", tmp_path / "spaces.yaml"
    more = ("--values", str(chart), "--spaces-values", str(spaces), "--role", "one", "--role", "two")
    assert _setup(aws, *more).code == 3
    values = yaml.safe_load(chart.read_text())
    assert render({**values, **IMAGE}, "mxp-identity-webhook", "mxp-identity"), "the chart takes them"
    roles = [f"arn:aws:iam::{aws.account}:role/{name}" for name in ("one", "two")]
    assert values["bindings"][0]["roles"] == roles
    assert yaml.safe_load(spaces.read_text()) == {
        "backup": {
            "enabled": True,
            "storage": {"provider": "aws", "aws": {"region": "us-west-2", "bucket": "my-backups"}},
        }
    }, "with several roles only the webhook knows which"


def test_a_plan_overwrites_no_file_that_holds_something_else(aws: AwsStandIn, tmp_path: Path) -> None:
    chart, spaces = tmp_path / "values.yaml", tmp_path / "spaces.yaml"
    files = ("--values", str(chart), "--spaces-values", str(spaces))
    spaces.write_text("mine: true\n")
    refused = _setup(aws, *files)
    assert (refused.code, refused.out) == (2, "")
    said = "".join(refused.err.replace("\u2502", "").split())  # in a frame, which breaks long paths
    assert f"{spaces}isthereandholdssomethingelse" in said
    assert spaces.read_text() == "mine: true\n"
    assert not chart.exists(), "all of them or none"

    spaces.unlink()
    assert _setup(aws, *files).code == _setup(aws, *files).code == 3, "what it wrote itself is overwritten"
    written = spaces.read_text()
    spaces.write_text("mine: true\n")
    assert _setup(aws, *files, "--approve").code == 0
    assert spaces.read_text() == written


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
    assert render({**values, **IMAGE}, "mxp-identity-webhook", "mxp-identity"), "the chart takes them"
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
