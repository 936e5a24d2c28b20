"""Owners nest `managedFields` as deeply as a real API server stores it: all other objects are handled as usual."""

import json
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from rig.kubernetes import objects
from rig.kubernetes.cluster import Cluster
from rig.kubernetes.objects import CONTROL_PLANE_LABEL, SERVICE_ACCOUNT
from rig.space import Space
from rig.waiting import eventually
from rig.webhook import Webhook
from tests.cli.commands import Person
from tests.e2e.observe import annotation, is_trusted, log_events
from tests.e2e.scenes import LARGE_QUOTA, create_account, create_namespace

pytestmark = pytest.mark.rig

CREATED = 201
LEVELS = (990, 9990)
SOON_S = 20.0


@pytest.fixture
def space() -> Iterator[Space]:
    """On a cluster of its own: its audit log has events that are nested too deeply for the tests after it."""
    with Cluster(nodes=0, eks_webhook=False) as cluster, Space(cluster=cluster, quota=LARGE_QUOTA) as running:
        yield running


def _create_deep(space: Space, item: dict[str, Any], levels: int) -> None:
    entry = {"manager": "m", "operation": "Update", "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": "@"}
    entry["time"] = "2026-01-01T00:00:00Z"
    deep = {**item, "metadata": {**item["metadata"], "managedFields": [entry]}}
    fields = b'{"f:a":' * levels + b"{}" + b"}" * levels
    content = json.dumps(deep).encode().replace(b'"@"', fields)
    assert space.cluster.api.create_as_written(item, content) == CREATED


def _followed(space: Space, webhook: Webhook, namespace: str) -> None:
    """A control plane has its annotation and its trust without a review."""
    space.cluster.create([objects.service_account(namespace)])
    role = space.role_arn("mxp-backup")
    eventually(lambda: annotation(space, namespace) == role, "it is annotated", timeout=SOON_S)
    eventually(lambda: is_trusted(space, namespace), "it is trusted", timeout=SOON_S)
    assert not log_events(webhook, "watch_failed")


@pytest.mark.timeout(180)
def test_deep_objects_delay_no_other_object(space: Space) -> None:
    webhook = space.start_webhook()
    for levels in LEVELS:
        host = f"mxp-deep-{levels}-system"
        labels = {CONTROL_PLANE_LABEL: "control-plane"}
        _create_deep(space, objects.namespace(host, labels), levels)
        _create_deep(space, objects.service_account(host), levels)
        _create_deep(space, objects.namespace(f"of-a-tenant-{levels}"), levels)
        _create_deep(space, objects.service_account(f"of-a-tenant-{levels}"), levels)
        _create_deep(space, objects.pod(host, "deep"), levels)
        _create_deep(space, objects.deployment(host), levels)
        eventually(partial(is_trusted, space, host), "a deep one is trusted", timeout=SOON_S)
    _create_deep(space, objects.service_account("kube-system"), LEVELS[-1])

    _followed(space, webhook, create_namespace(space))
    newcomer = space.start_webhook()
    newcomer.wait_until_ready()
    _followed(space, newcomer, create_namespace(space))
    late = create_namespace(space)
    space.register(webhook.url, "Fail")
    create_account(space, late)
    eventually(lambda: is_trusted(space, late), "one with a review is trusted", timeout=SOON_S)
    for running in (webhook, newcomer):
        assert not log_events(running, "pods_not_found")
        assert not log_events(running, "late_annotation_failed")

    person = Person(space)
    assert person("plan", "-o", "json").code in {0, 3, 4}
    verified = person("verify", f"mxp-deep-{LEVELS[-1]}-system", "-o", "json")
    assert "recursion" not in verified.out + verified.err
    assert SERVICE_ACCOUNT in verified.out
    assert person("report", "-o", "json").code in {0, 3, 4}
