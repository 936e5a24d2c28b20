"""What `verify` says of a release of the chart, and that helm mends it."""

import base64
import datetime as dt
from pathlib import Path
from typing import Any

import pytest

from rig.kubernetes.registration import OWN_NAMESPACE
from rig.permissions import PROGRAM
from rig.pki import Authority
from rig.waiting import eventually
from tests.cli.commands import environment, run, run_as_printed
from tests.e2e.releases import released
from tests.e2e.scenes import bare_space, create_account, create_namespace

DEPLOYMENT = f"/apis/apps/v1/namespaces/{OWN_NAMESPACE}/deployments/{PROGRAM}"
CONFIGURATION = f"/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/{PROGRAM}"


@pytest.mark.rig
def test_a_release_without_registration_or_deployment_or_with_an_expired_ca_bundle_is_corrected_by_helm(
    tmp_path: Path,
) -> None:
    """Read without a file: the configuration is the release's own."""
    with bare_space() as space, released(space) as release:
        env, namespace = environment(space), create_namespace(space)
        replica = release.start_replica()
        release.wait_until_called()
        create_account(space, namespace)

        def webhook() -> dict[str, Any]:
            answer = run("verify", namespace, "-o", "json", env=env)
            assert answer.out, answer.err
            (finding,) = answer.document["webhook"]
            return dict(finding)

        assert webhook()["level"] == "ok"
        space.cluster.api.delete(CONFIGURATION)
        found = webhook()
        assert "no MutatingWebhookConfiguration is there" in found["message"]
        run_as_printed(found["fix"], env, tmp_path)
        release.wait_until_called()
        assert webhook()["level"] == "ok"

        expired = Authority("old").issue("old", lifetime=dt.timedelta(seconds=-1)).certificate
        bundle = base64.b64encode(expired.encode()).decode()
        change = {"op": "replace", "path": "/webhooks/0/clientConfig/caBundle", "value": bundle}
        space.cluster.api.patch(CONFIGURATION, [change], kind="json")
        eventually(lambda: webhook()["level"] == "broken", "the API server has seen it")
        found = webhook()
        assert "has expired" in found["message"]
        run_as_printed(found["fix"], env, tmp_path)
        release.wait_until_called()
        assert webhook()["level"] == "ok"

        release.stop_replica(replica)
        space.cluster.api.delete(DEPLOYMENT)
        found = webhook()
        assert f"it has no Deployment in {OWN_NAMESPACE}" in found["message"]
        run_as_printed(found["fix"], env, tmp_path)
        assert space.cluster.api.get(DEPLOYMENT)["spec"]["replicas"] == 2
        release.start_replica()
        release.wait_until_called()
        assert webhook()["level"] == "ok"
