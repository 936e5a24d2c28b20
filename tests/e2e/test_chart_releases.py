"""Helm's install, upgrade and uninstall on a real API server: what people rely on in between, and what is left."""

import base64
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event

import pytest
import yaml

from rig.chart import Helm, HelmError
from rig.kubernetes import objects
from rig.kubernetes.api import Reply
from rig.kubernetes.cluster import Cluster
from rig.kubernetes.registration import OWN_NAMESPACE
from rig.permissions import PROGRAM
from rig.pki import Authority
from rig.space import Space
from rig.waiting import eventually
from tests.chart.charts import right
from tests.e2e.observe import annotation, is_trusted
from tests.e2e.releases import released
from tests.e2e.replicas import api_server
from tests.e2e.scenes import LARGE_QUOTA, bare_space, create_account, create_namespace
from tests.support.variants import variants

pytestmark = pytest.mark.rig

CONFIGURATION = f"/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/{PROGRAM}"
STRICT = {"failurePolicy": "Fail", "timeoutSeconds": 10}
MANY = 20


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with api_server() as running:
        yield running


@pytest.fixture
def space() -> Iterator[Space]:
    with bare_space(quota=LARGE_QUOTA) as running:
        yield running


@pytest.mark.parametrize("side", variants(["true", "false"]))
def test_an_upgrade_leaves_the_ca_bundle_that_another_program_wrote(cluster: Cluster, side: str) -> None:
    namespace = f"ca-bundle-{side}"
    cluster.create([objects.namespace(namespace)])
    helm = Helm(f"{PROGRAM}-{side}", namespace, cluster.kubeconfig)
    helm.install(right(), f"--server-side={side}")
    path = f"{CONFIGURATION}-{side}"
    bundle = base64.b64encode(Authority().certificate.encode()).decode()
    change = {"op": "add", "path": "/webhooks/0/clientConfig/caBundle", "value": bundle}
    cluster.api.patch(path, [change], kind="json")
    for seconds in (7, 8):
        helm.upgrade(right(webhook={"timeoutSeconds": seconds}))
        (entry,) = cluster.api.get(path)["webhooks"]
        assert entry["timeoutSeconds"] == seconds
        assert entry["clientConfig"]["caBundle"] == bundle
    helm.uninstall()


@pytest.mark.parametrize("side", variants(["true", "false"]))
def test_upgrades_and_renderings_leave_the_certificates_that_the_program_wrote(
    cluster: Cluster, side: str
) -> None:
    namespace = f"secret-{side}"
    cluster.create([objects.namespace(namespace)])
    helm = Helm(f"{PROGRAM}-{side}", namespace, cluster.kubeconfig)
    helm.install(right(), f"--server-side={side}")
    path = f"/api/v1/namespaces/{namespace}/secrets/{helm.release}-tls"
    found = cluster.api.get(path)
    written = {"ca.crt": base64.b64encode(b"written by the program").decode()}
    cluster.api.put(path, {**found, "data": written})
    for seconds in (7, 8):
        helm.upgrade(right(webhook={"timeoutSeconds": seconds}))
        assert cluster.api.get(path)["data"] == written

    rendered = yaml.safe_dump_all(item for item in helm.template(right()) if item["kind"] == "Secret")
    for flags in ((), (), ("--server-side", "--force-conflicts", "--field-manager=argocd-controller")):
        applied = cluster.kubectl("apply", *flags, "-f", "-", stdin=rendered)
        assert applied.returncode == 0, applied.stderr
        assert cluster.api.get(path)["data"] == written

    cluster.api.delete(path)
    helm.upgrade(right())
    assert "data" not in cluster.api.get(path)
    helm.uninstall()


@pytest.mark.parametrize("side", variants(["true", "false"]))
@pytest.mark.proof
def test_upgrades_and_renderings_leave_the_marks_that_the_program_set(cluster: Cluster, side: str) -> None:
    namespace = f"gate-{side}"
    cluster.create([objects.namespace(namespace)])
    helm = Helm(f"{PROGRAM}-{side}", namespace, cluster.kubeconfig)
    helm.install(right(), f"--server-side={side}")
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{helm.release}-pod-gate"
    mark = "mxp-identity/refuses-0123456789abcdef"
    cluster.api.patch(path, {"metadata": {"annotations": {mark: "backup"}}})

    def is_marked() -> bool:
        return bool(cluster.api.get(path)["metadata"]["annotations"].get(mark) == "backup")

    for seconds in (7, 8):
        helm.upgrade(right(webhook={"timeoutSeconds": seconds}))
        assert is_marked()
    rendered = yaml.safe_dump_all(item for item in helm.template(right()) if item["kind"] == "ServiceAccount")
    for flags in ((), (), ("--server-side", "--force-conflicts", "--field-manager=argocd-controller")):
        applied = cluster.kubectl("apply", *flags, "-f", "-", stdin=rendered)
        assert applied.returncode == 0, applied.stderr
        assert is_marked()
    helm.upgrade(right(podGate="warn"))
    helm.upgrade(right())
    assert mark not in cluster.api.get(path)["metadata"]["annotations"], "a gate installed again starts over"
    helm.uninstall()


def test_a_second_release_in_a_namespace_needs_an_installation_of_its_own(cluster: Cluster) -> None:
    namespace = "two-releases"
    cluster.create([objects.namespace(namespace)])
    first, second = (Helm(f"{PROGRAM}-{name}", namespace, cluster.kubeconfig) for name in ("first", "second"))
    first.install(right())
    with pytest.raises(HelmError, match=f'release "{PROGRAM}-first" in namespace {namespace} is installation'):
        second.install(right())
    second.install(right(installation="second"))
    first.upgrade(right(webhook={"timeoutSeconds": 7}))
    with pytest.raises(HelmError, match="each would remove the trust that the other gives"):
        first.upgrade(right(installation="second"))
    first.uninstall()
    second.uninstall()


def test_a_release_answers_through_an_upgrade_and_leaves_nothing_that_blocks(space: Space) -> None:
    with released(space, webhook=STRICT) as release:
        first = release.start_replica()
        release.wait_until_called()
        with _creating(space) as made:
            release.helm.upgrade(release.values(webhook=STRICT, admission={"trustBudget": "4s"}))
            second = release.start_replica()
            release.stop_replica(first)
        assert not [reply.warnings for reply in made if reply.warnings]
        assert set(space.webhook_calls()) == {"200"}
        assert yaml.safe_load(second.file.read_text())["admission"]["trustBudget"] == "4s"

        release.helm.uninstall()
        release.stop_replica(second)
        eventually(lambda: not release.objects(), "all of the release is gone")
        assert not create_account(space, create_namespace(space)).warnings
        assert all(_is_whole(space, reply["metadata"]["namespace"]) for reply in made)
        assert _left_behind(space) == {"Lease"}


def test_the_notes_say_the_next_command(cluster: Cluster) -> None:
    cluster.create([objects.namespace("notes")])
    helm = Helm(PROGRAM, "notes", cluster.kubeconfig)
    monitoring = {"prometheusRule": {"enabled": False}}
    notes = helm.install(right(monitoring=monitoring))
    assert f"kubectl -n notes rollout status deployment/{PROGRAM}" in notes
    assert f"helm test --namespace notes {PROGRAM}" in notes
    assert "mxp-identity verify --release-namespace notes" in notes
    assert f"must trust system:serviceaccount:notes:{PROGRAM}" in notes
    assert "aws eks create-pod-identity-association" in notes
    own_role = {"roleArn": "arn:aws:iam::123456789012:role/mxp-identity-webhook"}
    assert "create-pod-identity-association" not in helm.upgrade(right(serviceAccount=own_role))
    helm.uninstall()


@contextmanager
def _creating(space: Space) -> Iterator[list[Reply]]:
    """Control planes are created one after the other for the length of a `with` block, and until they are many.

    A refusal is raised.
    """
    made: list[Reply] = []
    enough = Event()

    def create() -> None:
        while not enough.is_set():
            made.append(create_account(space, create_namespace(space)))

    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(create)
        try:
            yield made
            eventually(lambda: len(made) > MANY or running.done(), "many are created")
        finally:
            enough.set()
        running.result()


def _is_whole(space: Space, namespace: str) -> bool:
    return annotation(space, namespace) == space.roles[0] and is_trusted(space, namespace)


def _left_behind(space: Space) -> set[str]:
    """Kinds of object in the release's namespace, but for those that every namespace has."""
    kinds = (
        "leases,secrets,configmaps,services,serviceaccounts,roles,rolebindings,deployments,poddisruptionbudgets"
    )
    names = "jsonpath={range .items[*]}{.kind}/{.metadata.name}{'\\n'}{end}"
    found = space.cluster.kubectl("get", kinds, "--namespace", OWN_NAMESPACE, "--output", names)
    assert found.returncode == 0, found.stderr
    every = {"ConfigMap/kube-root-ca.crt", "ServiceAccount/default"}
    return {name.split("/")[0] for name in set(found.stdout.split()) - every}
