"""The one write that the program makes in the cluster, against a real API server."""

import asyncio
from collections.abc import Iterator

import pytest

from rig.kubernetes import objects
from rig.kubernetes.cluster import Cluster
from tests.e2e.replicas import api_server
from webhook.kube.api import KubernetesApi
from webhook.kube.connection import Connection
from webhook.model.names import ROLE_ARN_ANNOTATION, RoleArn, Subject

pytestmark = pytest.mark.rig

ROLE = RoleArn("arn:aws:iam::123456789012:role/mxp-backup")
EXTERNAL = "arn:aws:iam::123456789012:role/external"


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with api_server() as running:
        yield running


@pytest.fixture
def api(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> KubernetesApi:
    monkeypatch.setenv("KUBECONFIG", str(cluster.kubeconfig))
    return KubernetesApi(Connection(), [])


def account(cluster: Cluster, annotations: dict[str, str]) -> Subject:
    """Create a control plane's ServiceAccount with these annotations."""
    namespace = objects.host_namespace_name()
    cluster.create([objects.namespace(namespace), objects.service_account(namespace, annotations=annotations)])
    return Subject(namespace, objects.SERVICE_ACCOUNT)


def annotations_of(cluster: Cluster, subject: Subject) -> dict[str, str]:
    path = f"/api/v1/namespaces/{subject.namespace}/serviceaccounts/{subject.service_account}"
    found: dict[str, str] = cluster.api.get(path)["metadata"].get("annotations", {})
    return found


@pytest.mark.parametrize("others", [{}, {"team": "platform"}], ids=["no annotations", "other annotations"])
def test_a_late_annotation_leaves_other_annotations_as_they_are(
    cluster: Cluster, api: KubernetesApi, others: dict[str, str]
) -> None:
    subject = account(cluster, others)
    assert asyncio.run(api.annotate(subject, ROLE, None))
    assert annotations_of(cluster, subject) == {**others, ROLE_ARN_ANNOTATION: ROLE.value}


def test_an_annotation_that_was_set_externally_since_the_decision_is_not_overwritten(
    cluster: Cluster, api: KubernetesApi
) -> None:
    subject = account(cluster, {ROLE_ARN_ANNOTATION: EXTERNAL})
    assert not asyncio.run(api.annotate(subject, ROLE, None))
    assert annotations_of(cluster, subject) == {ROLE_ARN_ANNOTATION: EXTERNAL}


def test_an_annotation_that_the_decision_knew_of_is_replaced(cluster: Cluster, api: KubernetesApi) -> None:
    subject = account(cluster, {ROLE_ARN_ANNOTATION: EXTERNAL})
    assert asyncio.run(api.annotate(subject, ROLE, EXTERNAL))
    assert annotations_of(cluster, subject) == {ROLE_ARN_ANNOTATION: ROLE.value}


def test_a_service_account_that_is_gone_is_left_alone(api: KubernetesApi) -> None:
    assert not asyncio.run(api.annotate(Subject("default", "no-such-account"), ROLE, None))
    assert not asyncio.run(api.annotate(Subject("no-such-namespace", "mxp-controller"), ROLE, None))
