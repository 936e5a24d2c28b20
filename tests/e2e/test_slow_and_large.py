"""A slow webhook and large objects, against a real API server."""

import asyncio
import time
import tracemalloc
from collections.abc import Iterator

import pytest

from rig.kubernetes import Registration, objects
from rig.kubernetes.cluster import Cluster
from rig.pki import Authority
from tests.e2e.replicas import api_server
from tests.support.misbehaving_api_server import MIB, MisbehavingApiServer
from webhook.controller.reflector import Reflector
from webhook.kube.api import KubernetesApi
from webhook.kube.connection import Connection
from webhook.kube.leases import Leases
from webhook.model.names import RoleArn, Subject

pytestmark = pytest.mark.rig

ROLE = RoleArn("arn:aws:iam::123456789012:role/mxp-backup")
OTHER = RoleArn("arn:aws:iam::123456789012:role/mxp-other")
PATCH_S = 7
AT_ONCE_S = 2.0
AT_A_TIME = 16
LARGE = 60
LARGE_BYTES = 250_000
MOST_BYTES = 20 * MIB


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with api_server() as running:
        yield running


@pytest.fixture
def connection(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[Connection]:
    monkeypatch.setenv("KUBECONFIG", str(cluster.kubeconfig))
    made = Connection()
    yield made
    made.close()


def _subject() -> Subject:
    return Subject(objects.host_namespace_name(), objects.SERVICE_ACCOUNT)


@pytest.mark.timeout(120)
def test_lease_reads_and_look_ups_are_quick_while_a_webhook_makes_patches_slow(
    cluster: Cluster, connection: Connection
) -> None:
    subjects = [_subject() for _ in range(2 * AT_A_TIME)]
    for one in subjects:
        cluster.create([objects.namespace(one.namespace), objects.service_account(one.namespace)])
    authority = Authority()
    silent = MisbehavingApiServer(lambda *_: time.sleep(PATCH_S))
    url = f"https://127.0.0.1:{silent.port}/mutate"
    cluster.register_webhook(
        "slow", Registration(url, authority.certificate, failure_policy="Ignore", timeout_s=PATCH_S)
    )
    api = KubernetesApi(connection, [])

    async def longest_call() -> float:
        before, after = ROLE, OTHER
        await api.annotate(subjects[0], before, None)
        while not silent.connections:  # the API server has yet to see its configuration
            await api.annotate(subjects[0], after, before.value)
            before, after = after, before
        patching = [asyncio.create_task(api.annotate(one, ROLE, None)) for one in subjects[1:]]
        async with asyncio.timeout(PATCH_S):
            while silent.connections <= AT_A_TIME:  # noqa: ASYNC110  what a thread does becomes true at any time
                await asyncio.sleep(0.01)
        longest = 0.0
        for one in subjects:
            began = time.monotonic()
            await Leases(connection, "default").get("none")
            await api.namespace(one.namespace, AT_ONCE_S)
            await api.account(one, AT_ONCE_S)
            longest = max(longest, time.monotonic() - began)
        assert not any(one.done() for one in patching)
        assert all(await asyncio.gather(*patching))
        return longest

    try:
        assert asyncio.run(longest_call()) < AT_ONCE_S
    finally:
        cluster.kubectl("delete", "mutatingwebhookconfiguration", "slow")
        silent.close()


@pytest.mark.timeout(120)
def test_namespaces_with_large_annotations_are_mirrored_in_little_memory(
    cluster: Cluster, connection: Connection
) -> None:
    names = [objects.host_namespace_name() for _ in range(LARGE)]
    for name in names:
        item = objects.namespace(name)
        item["metadata"]["annotations"] = {"a": "<" * LARGE_BYTES}
        cluster.create([item])
    source = KubernetesApi(connection, []).namespaces()

    async def mirrored() -> None:
        reflector = Reflector(source, lambda *_: None)
        running = asyncio.create_task(reflector.run())
        async with asyncio.timeout(60):
            await reflector.synced.wait()
            assert set(names) <= reflector.objects.keys()
            for name in names[:5]:
                await asyncio.to_thread(cluster.api.delete, f"/api/v1/namespaces/{name}")
            while not all(reflector.objects[name].terminating for name in names[:5]):  # noqa: ASYNC110  as above
                await asyncio.sleep(0.05)
        assert reflector.in_touch
        running.cancel()

    tracemalloc.start()
    try:
        asyncio.run(mirrored())
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < MOST_BYTES
