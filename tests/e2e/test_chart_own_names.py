"""A release with a name of its own, as a ServiceAccount that was there before: no name is fixed anywhere."""

import pytest

from rig.chart import HelmError
from rig.kubernetes import objects
from rig.waiting import eventually
from tests.e2e.observe import annotation, is_trusted
from tests.e2e.own_releases import FULLNAME, NAMESPACE, REGISTRATION, OwnRelease
from tests.e2e.scenes import bare_space, create_account, create_namespace

pytestmark = pytest.mark.rig

MADE_BEFORE = "made-by-eksctl"


def test_a_release_runs_under_any_name_as_a_service_account_that_was_there() -> None:
    with bare_space() as space:
        release = OwnRelease(space)
        account = objects.service_account(NAMESPACE, MADE_BEFORE)
        account["metadata"]["labels"] = {"app.kubernetes.io/managed-by": "eksctl"}
        space.cluster.create([objects.namespace(NAMESPACE), account])
        path = f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts/{MADE_BEFORE}"
        before = space.cluster.api.get(path)

        with pytest.raises(HelmError, match="exists and cannot be imported into the current release"):
            release.helm.install(release.values(serviceAccount={"name": MADE_BEFORE}))
        values = release.values(serviceAccount={"create": False, "name": MADE_BEFORE})
        notes = release.helm.upgrade(values, "--install")
        assert f"must trust system:serviceaccount:{NAMESPACE}:{MADE_BEFORE}" in notes
        assert space.cluster.api.get(path) == before

        webhook = release.start_replica(MADE_BEFORE)
        entry = release.wait_until_announced()
        assert entry["clientConfig"]["service"]["name"] == FULLNAME
        own = {"caBundle": entry["clientConfig"]["caBundle"], "url": webhook.url}
        change = {"op": "replace", "path": "/webhooks/0/clientConfig", "value": own}
        space.cluster.api.patch(REGISTRATION, [change], kind="json")
        eventually(space.is_called, "the API server calls the webhook")
        namespace = create_namespace(space)
        create_account(space, namespace)
        assert annotation(space, namespace) == space.roles[0]
        assert is_trusted(space, namespace)

        release.helm.uninstall()
        assert space.cluster.api.get(path) == before
