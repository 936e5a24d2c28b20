"""`setup` on an empty account: what it plans, what it does, and that the printed commands do the same."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from rig.aws.faults import Deny, Latency
from rig.aws.standin import AwsStandIn
from rig.permissions import iam_policy
from rig.space import EKS_CLUSTER
from tests.cli.commands import start
from tests.cli.setup.accounts import ISSUER, NAMESPACE, OPTIONS, ROLES, account_of, setup, told
from webhook.iam.statement import OwnStatement
from webhook.model.names import IssuerUrl, RoleArn

STEPS = 5
NOTHING = "nothing is missing"
WRITTEN = {(action, "OK") for action in ("CreateOpenIDConnectProvider", "CreateRole", "PutRolePolicy")}
READS = {"GetCallerIdentity", "GetOpenIDConnectProvider", "GetRole", "GetRolePolicy", "HeadBucket"}
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


def test_an_empty_account_gets_what_it_needs_and_a_second_run_nothing(aws: AwsStandIn) -> None:
    planned = setup(aws)
    assert (planned.code, len(told(planned.out))) == (3, STEPS)
    assert planned.out.startswith(f"account {aws.account}, region us-west-2, cluster {ISSUER}, context none")
    assert not aws.admin_client("iam").list_open_id_connect_providers()["OpenIDConnectProviderList"]

    assert setup(aws, "--approve").code == 0
    account = account_of(aws)
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
    again = setup(aws, "--approve")
    assert again.code == 0
    assert NOTHING in again.out
    assert {action for action, _ in aws.calls - written} <= READS
    assert account_of(aws) == account


def test_the_printed_commands_leave_the_account_as_approving_does(aws: AwsStandIn, whole: dict[str, Any]) -> None:
    printed = setup(aws, "-o", "awscli")
    assert printed.out.count("aws iam ") == STEPS
    folder = str(Path(sys.executable).parent)
    env = aws.environment(base={"PATH": os.pathsep.join([folder, "/usr/bin", "/bin"])})
    subprocess.run(["bash", "-e"], input=printed.out, env={**env, "AWS_PAGER": ""}, text=True, check=True)
    nothing_more = setup(aws, "-o", "awscli")
    assert nothing_more.code == 0
    assert all(line.startswith("#") for line in nothing_more.out.splitlines())
    assert account_of(aws) == whole


@pytest.fixture(scope="module")
def whole() -> dict[str, Any]:
    """The account that one run leaves, which nothing interrupts."""
    with AwsStandIn() as aws:
        aws.add_cluster(EKS_CLUSTER, ISSUER)
        assert setup(aws, "--approve").code == 0
        return account_of(aws)


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
        out, printed = process.communicate(timeout=30)
        aws.wait_until(lambda: not aws.in_flight, timeout=30)
    assert "Traceback" not in printed
    if how is signal.SIGINT:
        assert process.returncode == 130
        assert printed.splitlines()[-1].startswith("interrupted")
        done = sum(count for call, count in aws.calls.items() if call in WRITTEN)
        assert len(told(out)) == done > 0, "the write under way is ended, and reported"

    assert setup(aws, "--approve").code == 0
    assert account_of(aws) == whole


def test_a_missing_right_for_a_step_is_named_and_a_second_run_does_the_rest(aws: AwsStandIn) -> None:
    with aws.fault(Deny(actions=("PutRolePolicy",))):
        answer = setup(aws, "--approve")
    assert answer.code == 1
    assert told(answer.out) == ["the cluster's OIDC provider", "role mxp-backup for backups"]
    assert answer.err.splitlines()[-1].startswith("Error: PutRolePolicy: AccessDenied: ")
    assert "Traceback" not in answer.err
    assert len(told(setup(aws, "--approve").out)) == STEPS - 2


def test_the_missing_right_to_read_is_reported(aws: AwsStandIn) -> None:
    for action in ("GetOpenIDConnectProvider", "GetRole"):
        with aws.fault(Deny(actions=(action,))):
            answer = setup(aws)
        assert (answer.code, told(answer.out)) == (1, [])
        line = answer.err.splitlines()[-1]  # a slow step is named before it
        assert line.startswith(f"Error: {action}: AccessDenied: ")


def test_external_changes_are_repaired_and_external_statements_are_kept(aws: AwsStandIn) -> None:
    assert setup(aws, "--approve").code == 0
    before = account_of(aws)
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

    planned = setup(aws)
    assert len(told(planned.out)) == 3, planned.out
    assert setup(aws, "--approve").code == 0
    after = account_of(aws)
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
        "--own-role mxp-identity-webhook is the role of another webhook, system:",
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
    assert setup(aws, "--approve").code == 0
    if policy is not None:
        _put_policy(aws, *policy)
    aws.add_bucket("your-backups")
    before = account_of(aws)
    refused = setup(aws, *other, "--approve")
    assert (refused.code, told(refused.out)) == (2, [])
    line = refused.err.splitlines()[-1]  # a slow step is named before it
    assert line.startswith(f"Error: {says}")
    assert account_of(aws) == before


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
    assert setup(aws, *first, "--approve").code == 0
    before = set(_webhooks_roles(aws))
    assert setup(aws, *then, "--approve").code == 0
    after = _webhooks_roles(aws)
    assert before <= set(after)
    assert len(after) == len(set(after)), "each once"
    for options in (first, then):
        assert NOTHING in setup(aws, *options).out


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
    assert setup(aws, "--approve").code == 0
    before = account_of(aws)
    (statement,) = before["roles"][ROLES[1]]["AssumeRolePolicyDocument"]["Statement"]
    document = json.dumps({"Version": "2012-10-17", "Statement": [{**statement, **DAMAGED[how]}]})
    aws.admin_client("iam").update_assume_role_policy(RoleName=ROLES[1], PolicyDocument=document)
    assert told(setup(aws, "--approve").out) == ["the webhook in the trust policy of mxp-identity-webhook"]
    assert account_of(aws) == before


def test_a_second_cluster_with_a_webhook_role_of_its_own_may_share_the_role_for_backups(aws: AwsStandIn) -> None:
    assert setup(aws, "--approve").code == 0
    other = ("--issuer", f"https://oidc.eks.us-west-2.amazonaws.com/id/{'B2' * 16}", "--own-role", "webhook-b")
    assert setup(aws, *other, "--approve").code == 0
    assert set(account_of(aws)["roles"]) == {*ROLES, "webhook-b"}
    assert NOTHING in setup(aws).out
