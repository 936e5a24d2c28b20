"""Roles that an earlier `setup` made begin with a Deny: `verify` names them, and `setup` repairs them."""

import json
from typing import Any

import pytest

from rig.aws.standin import AwsStandIn
from rig.kubernetes.registration import OWN_NAMESPACE
from rig.space import Space, external_statements
from tests.cli.commands import Person, environment, run
from tests.cli.setup.accounts import BUCKET, setup, told
from tests.e2e.scenes import bare_space
from webhook.cli.trust_statements import FIRST_OF_SETUP
from webhook.iam.statement import OwnStatement
from webhook.model.names import IssuerUrl, RoleArn, Subject

LEASES = f"/apis/coordination.k8s.io/v1/namespaces/{OWN_NAMESPACE}/leases"
TRUSTED = Subject("mxp-36dcd7ce-01ed-442c-85ef-d895197fde16-system", "mxp-controller")
POOL = ("--role", "mxp-backup", "--role", "second")


def _begin_with_denial(aws: AwsStandIn, role: str, *more: dict[str, Any]) -> None:
    """Have a role as an earlier version made it, with what was added since."""
    document = json.dumps({"Version": "2012-10-17", "Statement": [FIRST_OF_SETUP, *more]})
    aws.admin_client("iam").update_assume_role_policy(RoleName=role, PolicyDocument=document)


def _repair(role: str) -> str:
    return f"trust policy of {role} without NobodyYet, which denies EKS"


@pytest.mark.rig
def test_setup_repairs_them_under_the_roles_lock_and_keeps_all_else() -> None:
    with bare_space(roles=("mxp-backup", "second", "third")) as space:
        env = environment(space)
        assert run("setup", *BUCKET, *POOL, "--approve", env=env).code == 0
        own = {role: _own(space, role) for role in ("mxp-backup", "second", "third")}
        others = external_statements(space.aws.account)
        _begin_with_denial(space.aws, "mxp-backup")
        _begin_with_denial(space.aws, "second", *others, own["second"].render([TRUSTED]))
        _begin_with_denial(space.aws, "third")

        answer = Person(space)("verify", "-o", "json")
        found = {one["message"].split()[0]: one for one in answer.document["webhook"] if one["check"] == "role"}
        assert set(found) == {space.role_arn(name) for name in own}
        for name, arn in ((name, space.role_arn(name)) for name in own):
            assert found[arn]["level"] == "note", "in mode irsa it denies no control plane"
            assert found[arn]["fix"].startswith(f"aws iam update-assume-role-policy --role-name {name} ")

        done = run("setup", *BUCKET, *POOL, "--approve", env=env)
        assert (done.code, told(done.out)) == (0, [_repair("mxp-backup"), _repair("second")]), done.err
        assert space.policy("mxp-backup")["Statement"] == [own["mxp-backup"].render_placeholder()]
        assert space.policy("second")["Statement"] == [*others, own["second"].render([TRUSTED])]
        locked = {
            lease["metadata"].get("annotations", {}).get("mxp-identity/role-arn")
            for lease in space.cluster.api.get(LEASES)["items"]
        }
        assert {space.role_arn("mxp-backup"), space.role_arn("second")} <= locked
        assert "nothing is missing" in run("setup", *BUCKET, *POOL, env=env).out

        later = ("--release-namespace", "later", "--own-role", "later", "--role", "third", "--approve")
        first = run("setup", *BUCKET, *later, env=env)
        assert _repair("third") in told(first.out), "where no webhook is installed yet there is no lock to take"
        assert FIRST_OF_SETUP not in space.policy("third")["Statement"]


def test_without_the_cluster_nothing_is_repaired_and_the_command_is_printed(aws: AwsStandIn) -> None:
    assert setup(aws, "--approve").code == 0
    _begin_with_denial(aws, "mxp-backup")
    refused = setup(aws, "--approve")
    assert (refused.code, told(refused.out)) == (2, [])
    assert "leave out --issuer" in refused.err
    printed = setup(aws, "-o", "awscli").out
    assert "aws iam update-assume-role-policy --role-name mxp-backup" in printed
    assert "NobodyYet" not in printed
    configuration = setup(aws, "-o", "terraform").out
    assert f"i Terraform does not make the {_repair('mxp-backup')}: run the same with --approve" in configuration


def _own(space: Space, role: str) -> OwnStatement:
    return OwnStatement.for_role(RoleArn(space.role_arn(role)), IssuerUrl(space.cluster.issuer), OWN_NAMESPACE)
