"""Wrong calls of `setup`: each error names what is wrong and the next step, and nothing is lost."""

import json
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml

from rig.aws.faults import Deny
from rig.aws.standin import AwsStandIn
from rig.permissions import irsa_trust
from rig.space import EKS_CLUSTER
from tests.cli.commands import run
from tests.cli.setup.accounts import BUCKET, BY_PODS, IMAGE, ISSUER, account_of, said, setup, told

ADMIN = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"},
    ],
}


@pytest.fixture(scope="module")
def kept() -> Iterator[AwsStandIn]:
    """An account with a role of others and a bucket elsewhere, which no wrong call changes."""
    with AwsStandIn() as running:
        running.add_cluster(EKS_CLUSTER, ISSUER)
        running.add_bucket("far-backups", "eu-west-1")
        iam = running.admin_client("iam")
        iam.create_role(RoleName="admin", AssumeRolePolicyDocument=json.dumps(ADMIN))
        iam.create_role(RoleName="with-path", Path="/team/", AssumeRolePolicyDocument=json.dumps(ADMIN))
        yield running


def test_a_region_with_more_clusters_than_are_asked_has_the_person_name_theirs(aws: AwsStandIn) -> None:
    for number in range(2001):
        aws.add_cluster(f"other-{number:04}", f"{ISSUER[:-4]}{number:04X}")
    refused = setup(aws, *BY_PODS)
    assert (refused.code, refused.out) == (1, "")
    assert "more than 2000 clusters: name yours with --cluster" in refused.err


WRONG: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "an ARN of another kind": (
        ("--kms-key", "arn:aws:kms:us-west-2:123456789012:alias/backups"),
        ("'arn:aws:kms:us-west-2:123456789012:alias/backups' is not the ARN of a KMS key", "aws kms describe-key"),
    ),
    "a key of another region": (
        ("--kms-key", "arn:aws:kms:eu-west-1:123456789012:key/1234abcd"),
        ("is in eu-west-1, but bucket my-backups in us-west-2", "correct --region"),
    ),
    "a role that is there with a path": (
        ("--role", "with-path"),
        ("arn:aws:iam::123456789012:role/team/with-path", "without a path", "name another role"),
    ),
    "its own role as a workload's, in another case": (
        ("--role", "MXP-identity-webhook"),
        ("mxp-identity-webhook is --own-role and a workload's role at once",),
    ),
    "a role twice, in another case": (
        ("--role", "backup", "--role", "Backup"),
        ("'backup' is given in another case too", "only one role of that name"),
    ),
    "one file for two things": (
        ("--spaces-values", "x.yaml", "--backup-config", "./x.yaml"),
        ("--values, --spaces-values and --backup-config are to name different files",),
    ),
    "an empty bucket": (("--bucket", ""), ("'--bucket': it is empty; give a value",)),
    "an empty image": (("--values", "values.yaml", "--image", ""), ("'--image': it is empty",)),
    "a preset with an empty role": (("--preset", "billing="), ("'' is not the name of a role",)),
    "a release of Spaces that Helm does not allow": (
        ("--preset", "space-backups", "--spaces-release", "My Spaces"),
        ("--spaces-release 'My Spaces' is not the name of a Helm release",),
    ),
    "an ARN in place of a role's name": (
        ("--role", "arn:aws:iam::123456789012:role/mxp-backup"),
        ("'arn:aws:iam::123456789012:role/mxp-backup' is not the name of a role", "it looks like mxp-backup"),
    ),
    "a bucket that is not there": (
        ("--bucket", "your-backups"),
        ("there is no bucket your-backups", "aws s3 mb s3://your-backups --region us-west-2"),
    ),
    "a bucket of another region": (
        ("--bucket", "far-backups"),
        ("bucket far-backups is in eu-west-1, not in us-west-2", "correct --region"),
    ),
    "a role that others use": (
        ("--own-role", "admin"),
        ("--own-role admin exists and is no webhook's role", "aws iam get-role --role-name admin"),
    ),
    "an image without tag": (
        ("--image", IMAGE.rpartition(":")[0]),
        ("has no tag", "`mxp-identity version`"),
    ),
    "an image without registry": (
        ("--image", "mxp-identity-webhook:0.1.0"),
        ("'mxp-identity-webhook:0.1.0' is not an image with its registry", "it looks like 123456789012.dkr"),
    ),
    "values without image": (("--values", "values.yaml"), ("--values needs --image", "no public registry has it")),
    "an unknown mode": (("--mode", "annotate"), ("--mode annotate", "irsa and pod-identity")),
    "an unknown preset": (("--preset", "vector"), ("--preset vector", "billing, shared-secrets, space-backups")),
    "a preset twice": (("--preset", "billing", "--preset", "billing"), ("--preset billing is given twice",)),
    "a prefix with a slash at its end": (("--prefix", "prod/"), ("'prod/' is not a prefix", "prod/space-1")),
    "a pattern that is none": (("--pattern", "mxp_*"), ("'mxp_*' is not a namespace pattern", "mxp-*-system")),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_call_names_what_is_wrong_and_the_next_step(kept: AwsStandIn, name: str) -> None:
    more, says = WRONG[name]
    before = account_of(kept)
    refused = setup(kept, *more, "--approve")
    assert (refused.code, told(refused.out)) == (2, [])
    for part in says:
        assert part in said(refused.err)
    assert account_of(kept) == before


def test_where_one_file_cannot_be_written_none_is(kept: AwsStandIn, tmp_path: Path) -> None:
    written = tmp_path / "spaces.yaml"
    for other in (tmp_path, tmp_path / "none" / "x.yaml"):
        refused = setup(kept, "--spaces-values", str(written), "--backup-config", str(other), "--approve")
        assert (refused.code, told(refused.out)) == (2, [])
        assert "cannot be written" in said(refused.err)
        assert not written.exists()


@pytest.mark.parametrize("output", ["awscli", "terraform"])
def test_what_is_for_others_has_no_line_that_a_name_brought_in(
    kept: AwsStandIn, tmp_path: Path, output: str
) -> None:
    file = tmp_path / "x\ntouch x"
    printed = setup(kept, "--spaces-values", str(file), "--context", "x\ntouch x", "-o", output).out
    assert "touch x" in printed
    assert all(line.startswith("# ") for line in printed.splitlines() if "touch" in line)


CONDITION = {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}


@pytest.mark.parametrize("mode", [(), BY_PODS], ids=["irsa", "pod-identity"])
def test_a_condition_that_a_person_added_is_not_removed(aws: AwsStandIn, mode: tuple[str, ...]) -> None:
    assert setup(aws, *mode, "--approve").code == 0
    before, iam = account_of(aws)["roles"], aws.admin_client("iam")

    def narrowed(document: Any) -> str:
        first = document["Statement"][0]
        first["Condition"] = {**first.get("Condition", {}), **CONDITION}
        return json.dumps(document)

    def refused() -> None:
        there = account_of(aws)
        answer = setup(aws, *mode, "--approve")
        assert (answer.code, told(answer.out)) == (2, [])
        assert "with a condition on aws:sourceip, which this would remove" in answer.err
        assert account_of(aws) == there

    own = before["mxp-identity-webhook"]
    iam.update_assume_role_policy(
        RoleName="mxp-identity-webhook", PolicyDocument=narrowed(deepcopy(own["AssumeRolePolicyDocument"]))
    )
    refused()
    kept_trust = json.dumps(own["AssumeRolePolicyDocument"])
    iam.update_assume_role_policy(RoleName="mxp-identity-webhook", PolicyDocument=kept_trust)
    for role, content in before.items():
        for name, policy in content["Policies"].items():
            iam.put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=narrowed(deepcopy(policy)))
            refused()
            iam.put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=json.dumps(policy))
    assert "nothing is missing" in setup(aws, *mode).out


def test_a_sessions_token_that_cannot_be_sent_is_not_printed(kept: AwsStandIn) -> None:
    refused = setup(kept, given={"AWS_SESSION_TOKEN": "IQoJsecret\n"})
    assert refused.code == 1
    assert "no AWS credentials that can be sent: they hold a line break" in refused.err
    assert "IQoJ" not in refused.out + refused.err


def test_a_context_that_the_kubeconfig_does_not_have_is_named(kept: AwsStandIn, tmp_path: Path) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    there = {"name": "spaces", "context": {"cluster": "spaces", "user": "me"}}
    cluster = {"name": "spaces", "cluster": {"server": "https://127.0.0.1:1"}}
    user = {"name": "me", "user": {"token": "none"}}
    content = {"apiVersion": "v1", "kind": "Config", "current-context": "spaces"}
    kubeconfig.write_text(yaml.safe_dump({**content, "contexts": [there], "clusters": [cluster], "users": [user]}))
    env = {**kept.environment(base={"PATH": "/usr/bin:/bin"}), "KUBECONFIG": str(kubeconfig)}
    refused = run("setup", *BUCKET, "--context", "spaces-old", "--approve", env=env)
    assert refused.code in {1, 2}
    assert "spaces-old" in refused.err
    assert "Traceback" not in refused.err


def test_a_bucket_that_may_not_be_looked_at_is_noted_and_does_not_stop(kept: AwsStandIn) -> None:
    with kept.fault(Deny(actions=("HeadBucket",))):
        planned = setup(kept)
    assert planned.code == 3
    assert "  i bucket my-backups could not be looked at (s3:ListBucket)" in planned.out


def test_a_role_for_backups_that_is_there_keeps_its_trust_and_is_noted(aws: AwsStandIn) -> None:
    aws.admin_client("iam").create_role(RoleName="mxp-backup", AssumeRolePolicyDocument=json.dumps(ADMIN))
    done = setup(aws, "--approve")
    assert done.code == 0
    assert "  i role mxp-backup is there already: its trust policy is kept" in done.out
    role = account_of(aws)["roles"]["mxp-backup"]
    assert role["AssumeRolePolicyDocument"] == ADMIN
    assert set(role["Policies"]) == {"backup-bucket"}


def test_a_role_of_the_webhook_that_was_made_by_hand_is_taken(aws: AwsStandIn) -> None:
    provider = f"arn:aws:iam::123456789012:oidc-provider/{ISSUER.removeprefix('https://')}"
    trust = irsa_trust(provider, ISSUER, "system:serviceaccount:mxp-identity:mxp-identity-webhook")
    iam = aws.admin_client("iam")
    iam.create_role(RoleName="mxp-identity-webhook", AssumeRolePolicyDocument=json.dumps(trust))
    assert setup(aws, "--approve").code == 0
