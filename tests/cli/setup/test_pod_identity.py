"""`setup --mode pod-identity`: the steps beside those of IRSA, and what it reads, makes and refuses."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from rig.aws.faults import Deny, Stale
from rig.aws.standin import AwsStandIn
from rig.oracle import TrustOracle
from rig.permissions import iam_policy, pod_identity_policy
from rig.space import EKS_CLUSTER
from tests.cli.setup.accounts import BY_PODS, CLUSTER, ISSUER, ROLES, account_of, said, setup, told
from webhook.iam.evaluation import denies
from webhook.iam.statement import ACTIONS, SERVICE

OTHER_ISSUER = f"https://oidc.eks.us-west-2.amazonaws.com/id/{'B2' * 16}"
AGENT = "eks-pod-identity-agent"
STEPS = [
    "role mxp-backup for backups",
    "policy backup-bucket of mxp-backup",
    "the webhook's own role mxp-identity-webhook",
    "policy trust-policies of mxp-identity-webhook",
    "policy pod-identity of mxp-identity-webhook",
    f"add-on {AGENT} of {EKS_CLUSTER}",
    "association of mxp-identity/mxp-identity-webhook with mxp-identity-webhook",
]


def _arn(name: str) -> str:
    return f"arn:aws:iam::123456789012:role/{name}"


def test_an_empty_account_gets_agent_association_and_rights_and_a_second_run_nothing(aws: AwsStandIn) -> None:
    planned = setup(aws, *BY_PODS)
    assert (planned.code, told(planned.out)) == (3, STEPS)
    assert f"cluster {EKS_CLUSTER} ({ISSUER})" in planned.out, "EKS is asked for its name"
    assert not account_of(aws)["roles"]

    done = setup(aws, *BY_PODS, "--approve")
    assert (done.code, told(done.out)) == (0, STEPS)
    account = account_of(aws)
    assert account["providers"] == {}, "this mode needs none"
    assert account["addons"] == (AGENT,)
    assert account["associations"] == [("mxp-identity", "mxp-identity-webhook", _arn(ROLES[1]), {})]
    provider = f"arn:aws:iam::123456789012:oidc-provider/{ISSUER.removeprefix('https://')}"
    documented = {
        "trust-policies": iam_policy([_arn(ROLES[0])], provider, _arn(ROLES[1])),
        "pod-identity": pod_identity_policy([_arn(ROLES[0])], CLUSTER),
    }
    assert account["roles"][ROLES[1]]["Policies"] == documented
    again = setup(aws, *BY_PODS, "--approve")
    assert "nothing is missing" in again.out
    assert account_of(aws) == account


def test_a_new_role_denies_no_service_and_passes_iams_grammar(aws: AwsStandIn) -> None:
    token, pods = (
        setup(aws, "--role", "by-token", "--approve"),
        setup(aws, *BY_PODS, "--role", "by-pods", "--own-role", "own", "--approve"),
    )
    assert (token.code, pods.code) == (0, 0), pods.err
    roles = account_of(aws)["roles"]
    subject = "system:serviceaccount:mxp-36dcd7ce-01ed-442c-85ef-d895197fde16-system:mxp-controller"
    with TrustOracle() as oracle:
        for name in ("by-token", "by-pods"):
            trust = roles[name]["AssumeRolePolicyDocument"]
            assert not any(denies(one, "Service", SERVICE, ACTIONS, {}) for one in trust["Statement"])
            if name == "by-token":
                judged = oracle.judge(
                    trust,
                    provider_arn=f"arn:aws:iam::123456789012:oidc-provider/{ISSUER.removeprefix('https://')}",
                    issuer=ISSUER,
                    subject=subject,
                    audience="sts.amazonaws.com",
                )
                assert not judged.allowed, "nor does it allow a control plane yet"
    eks = aws.admin_client("eks")
    made = eks.create_pod_identity_association(
        clusterName=EKS_CLUSTER, namespace="any", serviceAccount="any", roleArn=_arn("by-pods")
    )
    assert made["association"]["roleArn"] == _arn("by-pods"), "EKS takes a role only if it may assume it"


def test_the_printed_commands_leave_the_account_as_approving_does(aws: AwsStandIn) -> None:
    printed = setup(aws, *BY_PODS, "-o", "awscli")
    folder = str(Path(sys.executable).parent)
    env = aws.environment(base={"PATH": os.pathsep.join([folder, "/usr/bin", "/bin"])})
    subprocess.run(["bash", "-e"], input=printed.out, env={**env, "AWS_PAGER": ""}, text=True, check=True)
    by_others = account_of(aws)
    assert len(by_others["associations"]) == len(by_others["addons"]) == 1
    assert "nothing is missing" in setup(aws, *BY_PODS).out


def test_an_association_waits_until_eks_knows_the_role_that_was_just_made(aws: AwsStandIn) -> None:
    with aws.fault(Stale(actions=("CreatePodIdentityAssociation",), seconds=3600, times=2)):
        done = setup(aws, *BY_PODS, "--approve")
    assert (done.code, told(done.out)) == (0, STEPS), done.err
    assert aws.calls["CreatePodIdentityAssociation", "InvalidParameterException"] > 0


def test_a_role_of_irsa_gets_what_pod_identity_needs_and_keeps_what_it_has(aws: AwsStandIn) -> None:
    assert setup(aws, "--role", "mxp-backup", "--role", "second", "--approve").code == 0
    before = account_of(aws)["roles"][ROLES[1]]
    assert setup(aws, *BY_PODS, "--approve").code == 0
    after = account_of(aws)["roles"][ROLES[1]]
    trust = "AssumeRolePolicyDocument"
    assert after[trust]["Statement"][0] == before[trust]["Statement"][0]
    assert after["Policies"]["trust-policies"] == before["Policies"]["trust-policies"]
    passed = after["Policies"]["pod-identity"]["Statement"][2]["Resource"]
    assert sorted(passed) == [_arn("mxp-backup"), _arn("second")], "roles of an earlier call are passed on too"


REFUSED: dict[str, tuple[tuple[str, ...], str]] = {
    "a cluster that EKS does not have": (
        ("--cluster", "spaces-old"),
        "--cluster spaces-old: account 123456789012 has no EKS cluster of that name in us-west-2",
    ),
    "another cluster": (("--cluster", "other"), "--cluster other issues tokens as"),
    "a cluster that EKS does not know by its issuer": (
        ("--issuer", f"https://oidc.eks.us-west-2.amazonaws.com/id/{'C3' * 16}"),
        "Else name the cluster with --cluster",
    ),
    "a cluster of another region": (
        ("--issuer", f"https://oidc.eks.eu-west-1.amazonaws.com/id/{'A1' * 16}"),
        "set AWS_REGION=eu-west-1",
    ),
    "a pool of roles": (("--role", "one", "--role", "two"), "takes one --role"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_this_mode_cannot_work_with_is_refused(aws: AwsStandIn, name: str) -> None:
    more, says = REFUSED[name]
    aws.add_cluster("other", OTHER_ISSUER)
    refused = setup(aws, *BY_PODS, *more, "--approve")
    assert refused.code == 2
    assert says in said(refused.err)
    assert not account_of(aws)["roles"]


def test_without_the_right_to_list_clusters_it_asks_for_the_name(aws: AwsStandIn) -> None:
    with aws.fault(Deny(actions=("ListClusters",))):
        refused = setup(aws, *BY_PODS)
        assert refused.code == 1
        assert "without that right name the cluster with --cluster" in refused.err
        assert setup(aws, *BY_PODS, "--cluster", EKS_CLUSTER).code == 3


OF_OTHERS: dict[str, tuple[tuple[str, ...], str]] = {
    "the webhook of another namespace": (
        ("--release-namespace", "second"),
        "is the role of another webhook, mxp-identity:",
    ),
    "the webhook of another cluster": (("--issuer", OTHER_ISSUER), "is the role of another webhook, arn:aws:eks:"),
    "a webhook that may be another cluster's": (("--mode", "irsa"), "name it with --cluster"),
    "a webhook with a role of its own": (("--own-role", "second"), "has association"),
}


@pytest.mark.parametrize("name", OF_OTHERS)
def test_what_another_webhook_has_is_not_taken_from_it(aws: AwsStandIn, name: str) -> None:
    more, says = OF_OTHERS[name]
    aws.add_cluster("other", OTHER_ISSUER)
    assert setup(aws, *BY_PODS, "--approve").code == 0
    before = account_of(aws)
    refused = setup(aws, *BY_PODS, *more, "--approve")
    assert refused.code == 2
    assert says in refused.err
    assert account_of(aws) == before


def test_an_agent_that_does_not_work_is_named(aws: AwsStandIn) -> None:
    assert setup(aws, *BY_PODS, "--approve").code == 0
    aws.break_addon(EKS_CLUSTER, AGENT)
    again = setup(aws, *BY_PODS)
    assert "nothing is missing" in again.out
    assert f"add-on {AGENT} is CREATE_FAILED" in again.out


def test_a_cluster_whose_nodes_have_the_agent_gets_no_add_on(aws: AwsStandIn) -> None:
    aws.add_cluster(EKS_CLUSTER, ISSUER, auto_mode=True)
    assert told(setup(aws, *BY_PODS).out) == [step for step in STEPS if AGENT not in step]


def test_as_a_document_it_has_place_steps_and_what_comes_next(aws: AwsStandIn) -> None:
    planned: dict[str, Any] = json.loads(setup(aws, *BY_PODS, "-o", "json").out)
    place = {key: planned[key] for key in ("account", "region", "cluster", "issuer", "context")}
    assert place == {
        "account": "123456789012",
        "region": "us-west-2",
        "cluster": EKS_CLUSTER,
        "issuer": ISSUER,
        "context": None,
    }
    assert [step["what"] for step in planned["steps"]] == STEPS
    assert {step["service"] for step in planned["steps"]} == {"iam", "eks"}
    assert planned["next"][0] == "the same with --approve"
