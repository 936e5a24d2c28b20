"""Other field managers apply what they have in Git: no conflict, and what the program wrote stays."""

import base64
from collections.abc import Iterator

import pytest
import yaml

from rig.chart import Helm
from rig.kubernetes import objects
from rig.kubernetes.cluster import Cluster
from rig.kubernetes.objects import SERVICE_ACCOUNT
from rig.kubernetes.registration import OWN_NAMESPACE
from rig.permissions import PROGRAM
from rig.space import Space
from tests.chart.charts import right
from tests.e2e.observe import annotation, is_trusted
from tests.e2e.replicas import api_server
from tests.e2e.scenes import bare_space, create_namespace, serving
from tests.support.variants import variants

pytestmark = pytest.mark.rig

APPLIES = {
    "Argo CD": (),
    "Argo CD, server-side": ("--server-side", "--field-manager=argocd-controller"),
    "Flux": ("--server-side", "--field-manager=kustomize-controller", "--force-conflicts"),
}
"""How each tool calls the API server. Argo CD's default is kubectl's three-way merge on the client."""

REGISTRATION = f"/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/{PROGRAM}"
WRITTEN = base64.b64encode(b"written by the program").decode()


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with api_server() as running:
        running.create([objects.namespace(OWN_NAMESPACE)])
        yield running


def apply(cluster: Cluster, manifests: str, *flags: str) -> None:
    """Apply manifests twice, as a loop does; a conflict is an error of kubectl."""
    for _ in range(2):
        done = cluster.kubectl("apply", *flags, "-f", "-", stdin=manifests)
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("flags", variants(APPLIES.values()), ids=APPLIES)
def test_a_tool_that_applies_the_rendered_chart_keeps_what_the_program_wrote(
    cluster: Cluster, flags: tuple[str, ...]
) -> None:
    helm = Helm(PROGRAM, OWN_NAMESPACE, cluster.kubeconfig)
    rendered = yaml.safe_dump_all(item for item in helm.template(right()) if "helm.sh/hook" not in str(item))
    apply(cluster, rendered, *flags)
    change = {"op": "add", "path": "/webhooks/0/clientConfig/caBundle", "value": WRITTEN}
    cluster.api.patch(REGISTRATION, [change], kind="json")

    apply(cluster, rendered, *flags)

    (entry,) = cluster.api.get(REGISTRATION)["webhooks"]
    assert entry["clientConfig"]["caBundle"] == WRITTEN
    assert cluster.kubectl("delete", "-f", "-", stdin=rendered).returncode == 0


@pytest.mark.parametrize("flags", APPLIES.values(), ids=APPLIES)
def test_a_tool_that_applies_a_service_account_keeps_its_annotation(flags: tuple[str, ...]) -> None:
    with bare_space() as space, serving(space):
        namespace = create_namespace(space)
        manifest = yaml.safe_dump(objects.service_account(namespace, SERVICE_ACCOUNT))

        apply(space.cluster, manifest, *flags)

        assert annotation(space, namespace) == space.roles[0]
        assert is_trusted(space, namespace)


def test_a_second_manager_of_a_service_account_finds_no_conflict(space_with_account: tuple[Space, str]) -> None:
    space, namespace = space_with_account
    manifest = yaml.safe_dump(objects.service_account(namespace, SERVICE_ACCOUNT))
    for manager in ("argocd-controller", "kustomize-controller"):
        apply(space.cluster, manifest, "--server-side", f"--field-manager={manager}")
        assert annotation(space, namespace) == space.roles[0]


def test_a_replaced_service_account_gets_its_annotation_again(space_with_account: tuple[Space, str]) -> None:
    space, namespace = space_with_account
    manifest = yaml.safe_dump(objects.service_account(namespace, SERVICE_ACCOUNT))
    done = space.cluster.kubectl("replace", "-f", "-", stdin=manifest)
    assert done.returncode == 0, done.stderr
    assert annotation(space, namespace) == space.roles[0]


@pytest.fixture
def space_with_account() -> Iterator[tuple[Space, str]]:
    with bare_space() as space, serving(space):
        namespace = create_namespace(space)
        space.cluster.create([objects.service_account(namespace, SERVICE_ACCOUNT)])
        yield space, namespace
