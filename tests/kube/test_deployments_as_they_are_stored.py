"""What is read of a Deployment and of its pods, and what a retry and a restart write."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from webhook.kube.connection import Connection
from webhook.kube.deployments import DeploymentApi
from webhook.kube.errors import ConflictError, NotFoundError
from webhook.kube.pods import PodObject
from webhook.model.names import RoleArn

if TYPE_CHECKING:
    from collections.abc import Callable

    from webhook.model.deployments import Deployment

STAMP = "2026-01-02T03:04:05Z"
MOMENT = 1767323045.0
ROLE = RoleArn("arn:aws:iam::123456789012:role/mxp-backup")
PATH = "/apis/apps/v1/namespaces/mxp-1-system/deployments/mxp-controller"


class Recorded(Connection):
    """A connection that answers with one object and keeps what is sent."""

    def __init__(self, stored: dict[str, Any], error: Exception | None = None) -> None:
        self.stored = stored
        self.sent: list[tuple[str, str, Any]] = []
        self.error = error

    async def in_thread(self, function: Callable[[], Any], *, urgent: bool = False) -> Any:  # noqa: ARG002  the base class's
        return function()

    def request(self, method: str, path: str, **options: Any) -> bytes:
        self.sent.append((method, path, options.get("body")))
        if self.error:
            raise self.error
        return json.dumps(self.stored).encode()


def stored(**spec: Any) -> dict[str, Any]:
    """A Deployment as the API server sends it."""
    metadata = {"name": "mxp-controller", "namespace": "mxp-1-system", "uid": "u", "resourceVersion": "7"}
    template = {"metadata": {}, "spec": {"serviceAccountName": "mxp-controller"}}
    status = {"observedGeneration": 2, "replicas": 3, "updatedReplicas": 2, "availableReplicas": 1}
    return {
        "metadata": {**metadata, "generation": 2},
        "spec": {"replicas": 3, "template": template, **spec},
        "status": status,
    }


def read(item: dict[str, Any]) -> Deployment:
    """The Deployment that an object is read as."""
    found = asyncio.run(DeploymentApi(Recorded(item)).get("mxp-1-system", "mxp-controller"))
    assert found is not None
    return found


def test_a_deployment_is_read_with_its_counts() -> None:
    found = read(stored())
    assert (found.wanted, found.made, found.updated, found.available) == (3, 3, 2, 1)
    assert (found.service_account, found.is_current, found.is_paused) == ("mxp-controller", True, False)
    assert not found.is_refused


def test_a_replica_failure_counts_while_it_holds() -> None:
    for status, failing in (("True", True), ("False", False)):
        item = stored()
        item["status"]["conditions"] = [{"type": "ReplicaFailure", "status": status, "reason": "FailedCreate"}]
        assert read(item).is_failing is failing


@pytest.mark.parametrize(
    ("text", "moment"),
    [(STAMP, MOMENT), ("2026-01-02T04:04:05+01:00", MOMENT), ("yesterday", None), ("", None)],
)
def test_a_restart_is_known_by_its_annotation_external_ones_too(text: str, moment: float | None) -> None:
    item = stored()
    item["spec"]["template"]["metadata"]["annotations"] = {"kubectl.kubernetes.io/restartedAt": text}
    assert read(item).restarted_at == moment


def test_what_a_restart_writes_is_what_is_read_of_it() -> None:
    connection = Recorded(stored())
    api = DeploymentApi(connection)
    assert asyncio.run(api.restart(read(stored()), MOMENT, ROLE))
    ((method, path, body),) = connection.sent
    assert (method, path) == ("PATCH", PATH)
    assert body["metadata"]["resourceVersion"] == "7"
    item = stored()
    item["spec"]["template"]["metadata"] = body["spec"]["template"]["metadata"]
    item["metadata"]["annotations"] = body["metadata"]["annotations"]
    found = read(item)
    assert (found.restarted_at, found.restarted_by_us, found.restarted_for) == (MOMENT, MOMENT, ROLE.value)


def test_a_retry_writes_the_deployments_own_metadata_alone() -> None:
    connection = Recorded(stored())
    assert asyncio.run(DeploymentApi(connection).retry(read(stored())))
    ((_, path, body),) = connection.sent
    assert path == PATH
    assert body.keys() == {"metadata"}
    assert list(body["metadata"]["annotations"]) == ["mxp-identity/retried-at"]


@pytest.mark.parametrize("error", [NotFoundError("gone"), ConflictError("changed")])
def test_a_deployment_that_is_not_as_it_was_read_is_left_alone(error: Exception) -> None:
    api = DeploymentApi(Recorded(stored(), error))
    assert not asyncio.run(api.retry(read(stored())))
    assert not asyncio.run(api.restart(read(stored()), MOMENT, None))


@pytest.mark.parametrize(
    ("owners", "labels", "deployment"),
    [
        ([("ReplicaSet", "mxp-controller-6d4cf56db6")], {"pod-template-hash": "6d4cf56db6"}, "mxp-controller"),
        ([("ReplicaSet", "made-by-hand")], {}, None),
        ([("ReplicaSet", "made-by-hand-x")], {"pod-template-hash": "6d4cf56db6"}, None),
        ([("StatefulSet", "mxp-controller-6d4cf56db6")], {"pod-template-hash": "6d4cf56db6"}, None),
        ([], {"pod-template-hash": "6d4cf56db6"}, None),
    ],
)
def test_a_pods_deployment_is_known_by_its_replica_set(
    owners: list[tuple[str, str]], labels: dict[str, str], deployment: str | None
) -> None:
    references = [{"kind": kind, "name": name} for kind, name in owners]
    metadata = {"name": "p", "labels": labels, "ownerReferences": references, "creationTimestamp": STAMP}
    pod = msgspec.json.decode(json.dumps({"metadata": metadata, "spec": {}}), type=PodObject).running()
    assert (pod.deployment, pod.created) == (deployment, MOMENT)
