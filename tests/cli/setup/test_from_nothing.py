"""From an account with nothing in it to a control plane with credentials: by what `setup` prints and writes."""

from pathlib import Path

import pytest
import yaml

from rig.aws.standin import AwsStandIn
from rig.kubernetes import objects
from rig.pods import environment_of, running_pod
from rig.waiting import eventually
from tests.cli.commands import environment, run, run_as_printed
from tests.cli.setup.accounts import BUCKET, IMAGE
from tests.e2e.observe import projected_token, sts_answer
from tests.e2e.releases import released
from tests.e2e.scenes import ROLE_ANNOTATION, whole_space

SETUP = ("setup", *BUCKET)


@pytest.mark.rig
def test_a_control_plane_works_in_an_account_that_only_setup_has_touched(tmp_path: Path) -> None:
    values, spaces = tmp_path / "values.yaml", tmp_path / "spaces.yaml"
    with whole_space() as space:
        _empty(space.aws)
        env = environment(space)
        files = ("--values", str(values), "--spaces-values", str(spaces), "--image", IMAGE)
        planned = run(*SETUP, *files, "-o", "awscli", env=env)
        assert planned.code == 3, planned.err
        run_as_printed(planned.out, env, tmp_path)
        assert "nothing is missing" in run(*SETUP, "--approve", env=env).out

        chosen = yaml.safe_load(values.read_text())
        by_spaces = yaml.safe_load(spaces.read_text())["controlPlanes"]["mxpController"]["serviceAccount"]
        with released(space, **chosen) as release:
            release.start_replica()
            release.wait_until_called()
            host, account, deployment = objects.control_plane("my-control-plane")
            account["metadata"]["annotations"] = by_spaces["annotations"]
            _, made, _ = space.cluster.create([host, account, deployment])

            role = space.role_arn("mxp-backup")
            assert made["metadata"]["annotations"][ROLE_ANNOTATION] == role
            namespace = host["metadata"]["name"]
            pod = eventually(lambda: running_pod(space.cluster, namespace), "the pod runs")
            assert environment_of(pod)["AWS_ROLE_ARN"] == role
            assert sts_answer(space, role, projected_token(space, pod)) == "OK"
            answer = run("verify", namespace, "--assume", env=env)
            assert answer.code == 0, answer.out


def _empty(aws: AwsStandIn) -> None:
    """Take out of the account what the rig has put there."""
    iam = aws.admin_client("iam")
    for role in iam.list_roles()["Roles"]:
        for policy in iam.list_role_policies(RoleName=role["RoleName"])["PolicyNames"]:
            iam.delete_role_policy(RoleName=role["RoleName"], PolicyName=policy)
        iam.delete_role(RoleName=role["RoleName"])
    for provider in iam.list_open_id_connect_providers()["OpenIDConnectProviderList"]:
        iam.delete_open_id_connect_provider(OpenIDConnectProviderArn=provider["Arn"])
