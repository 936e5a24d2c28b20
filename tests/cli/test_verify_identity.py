"""A webhook whose pod has no AWS identity of its own: `verify` says so, and what it prints replaces the pod."""

from pathlib import Path
from typing import Any

import pytest

from rig.kubernetes.registration import OWN_NAMESPACE
from rig.permissions import PROGRAM
from rig.waiting import eventually
from tests.cli.commands import environment, run, run_as_printed
from tests.e2e.releases import released
from tests.e2e.scenes import bare_space, create_account, create_namespace

PODS = f"/api/v1/namespaces/{OWN_NAMESPACE}/pods"
ACCOUNT = f"/api/v1/namespaces/{OWN_NAMESPACE}/serviceaccounts/{PROGRAM}"


@pytest.mark.rig
def test_a_pod_that_runs_without_an_identity_is_named_and_restarted_once_there_is_a_role(tmp_path: Path) -> None:
    with bare_space() as space, released(space):
        env, namespace = environment(space), create_namespace(space)
        create_account(space, namespace)

        def findings() -> list[dict[str, Any]]:
            answer = run("verify", namespace, "-o", "json", env=env)
            assert answer.out, answer.err
            return [one for one in answer.document["webhook"] if one["check"] == "webhook-identity"]

        assert findings() == [], "its pods do not run: there are no nodes here"
        eventually(lambda: space.cluster.api.get(PODS)["items"], "the release's pods")
        for pod in space.cluster.api.get(PODS)["items"]:
            path = f"{PODS}/{pod['metadata']['name']}/status"
            space.cluster.api.patch(path, {"status": {"phase": "Running"}})
        (found,) = findings()
        assert found["level"] == "broken"
        assert "it has no credentials" in found["message"]
        assert "give its ServiceAccount a role" in found["message"]

        role = space.role_arn(PROGRAM)
        space.cluster.api.patch(ACCOUNT, {"metadata": {"annotations": {"eks.amazonaws.com/role-arn": role}}})
        (found,) = findings()
        assert f"its ServiceAccount names {role}: a restart" in found["message"]
        before = _template(space)
        run_as_printed(found["fix"], env, tmp_path)
        assert _template(space) != before


def _template(space: Any) -> Any:
    path = f"/apis/apps/v1/namespaces/{OWN_NAMESPACE}/deployments/{PROGRAM}"
    return space.cluster.api.get(path)["spec"]["template"]
