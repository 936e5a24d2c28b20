"""Self-managed certificates on a real API server: one authority for all, healed and replaced in service."""

import base64
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

from rig.balancer import Balancer
from rig.kubernetes import objects
from rig.kubernetes.registration import OWN_NAMESPACE
from rig.permissions import CERTIFICATE_SECRET
from rig.pki import Authority
from rig.space import WEBHOOK_NAME, Space
from rig.waiting import eventually
from rig.webhook import Webhook
from tests.e2e.load import attempt
from tests.e2e.observe import log_events
from tests.e2e.replicas import api_server
from tests.proof.records import Record

SECRET = f"/api/v1/namespaces/{OWN_NAMESPACE}/secrets/{CERTIFICATE_SECRET}"
REGISTRATION = f"/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/{WEBHOOK_NAME}"
HEALED_S = 10.0
REVIEWS_PER_S = 200
CLIENTS = 8
RENEWED, REPLACED = "mxp_identity_certificate_reloads_total", "mxp_identity_certificate_regenerations_total"

Data = dict[str, str]


@pytest.fixture(scope="module")
def space() -> Iterator[Space]:
    with api_server() as cluster, Space(cluster=cluster) as running:
        yield running


@contextmanager
def two_replicas(space: Space, **certificates: Any) -> Iterator[list[Webhook]]:
    """Two replicas behind one address, with no Secret before, and a registration without a caBundle."""
    section = {"source": "self-managed", "extraNames": ["127.0.0.1"], **certificates}
    webhooks = [space.start_webhook(space.configuration(certificates=section), wait=False) for _ in range(2)]
    for webhook in webhooks:
        webhook.wait_until_serving()
    with Balancer(*(webhook.port for webhook in webhooks)) as balancer:
        try:
            space.register(f"https://127.0.0.1:{balancer.port}/mutate", "Fail", ca_pem="")
            for webhook in webhooks:
                webhook.wait_until_ready()
            yield webhooks
        finally:
            space.unregister()
            for webhook in webhooks:
                webhook.process.kill()
            space.cluster.api.delete(SECRET)


def secret(space: Space) -> Data:
    return dict(space.cluster.api.get(SECRET)["data"])


def ca_bundles(space: Space) -> list[str]:
    return [
        webhook["clientConfig"].get("caBundle", "") for webhook in space.cluster.api.get(REGISTRATION)["webhooks"]
    ]


def count(webhooks: list[Webhook], name: str, **labels: str) -> float:
    return sum(sample.value for webhook in webhooks for sample in webhook.metrics().find(name, **labels))


def put(space: Space, **data: str) -> None:
    space.cluster.api.patch(SECRET, {"data": {key.replace("_", "."): value for key, value in data.items()}})


def review(space: Space) -> str:
    """Send a dry run through the API server; what went wrong, or nothing."""

    def send(_: int) -> None:
        space.cluster.api.create(objects.service_account("default"), dryRun="All")

    return attempt(send, 0)


def base64_of(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@pytest.mark.rig
def test_two_replicas_that_start_without_a_secret_agree_on_one_authority(space: Space) -> None:
    with two_replicas(space) as webhooks:
        assert count(webhooks, REPLACED) == count(webhooks, REPLACED, reason="missing") == 1
        assert ca_bundles(space) == [secret(space)["ca.crt"]]
        assert [review(space) for _ in range(20)] == [""] * 20


def deleted(space: Space) -> None:
    space.cluster.api.delete(SECRET)


def garbage(space: Space) -> None:
    put(space, ca_crt=base64_of("garbage"))


def mismatched(space: Space) -> None:
    put(space, tls_key=base64_of(Authority("other").issue("other").key))


FAULTS: dict[str, Callable[[Space], None]] = {
    "missing": deleted,
    "unreadable": garbage,
    "key_mismatch": mismatched,
}


@pytest.mark.rig
def test_a_spoilt_secret_is_healed_in_seconds_with_the_reason_logged_and_counted(space: Space) -> None:
    with two_replicas(space) as webhooks:
        for reason, spoil in FAULTS.items():
            before = count(webhooks, REPLACED, reason=reason)
            spoil(space)

            def is_healed(reason: str = reason, before: float = before) -> bool:
                return count(webhooks, REPLACED, reason=reason) == before + 1

            eventually(is_healed, f"healed of {reason}", timeout=HEALED_S)
            assert any(log_events(webhook, "certificate_regenerated", reason=reason) for webhook in webhooks)
            assert review(space) == ""


@pytest.mark.rig
def test_a_ca_bundle_that_somebody_overwrote_is_put_right_in_seconds(space: Space) -> None:
    with two_replicas(space):
        foreign = base64_of(Authority("foreign").certificate)
        patch = [{"op": "replace", "path": "/webhooks/0/clientConfig/caBundle", "value": foreign}]
        space.cluster.api.patch(REGISTRATION, patch, kind="json")
        eventually(lambda: foreign not in ca_bundles(space), "the caBundle is ours again", timeout=HEALED_S)
        eventually(lambda: not review(space), "reviews are answered again", timeout=HEALED_S)


@pytest.mark.rig
def test_no_review_is_lost_while_leaves_are_renewed(space: Space) -> None:
    with two_replicas(space, leafValidity="9s", caValidity="300s") as webhooks:
        answers = Load(space, 15.0)
        assert answers.failures == []
        assert count(webhooks, REPLACED, reason="expiring") >= 2


@pytest.mark.rig
@pytest.mark.proof
def test_no_review_is_lost_while_leaves_are_renewed_and_authorities_replaced(space: Space, record: Record) -> None:
    with two_replicas(space, leafValidity="8s", caValidity="45s") as webhooks:
        before = space.webhook_calls()
        answers = Load(space, 120.0)
        calls = {code: value - before.get(code, 0) for code, value in space.webhook_calls().items()}
        renewed = count(webhooks, REPLACED, reason="expiring") + count(webhooks, REPLACED, reason="ca_replaced")
        replaced = count(webhooks, REPLACED, reason="ca_replaced")
    record(
        "Certificates change under load, failurePolicy Fail, two replicas",
        reviews=answers.sent,
        failed=len(answers.failures),
        leaves=int(renewed),
        authorities=int(replaced),
    )
    assert answers.failures == []
    assert {code for code, value in calls.items() if value} == {"200"}
    assert renewed >= 20
    assert replaced >= 3


class Load:
    """Reviews through the API server at a fixed rate for so many seconds."""

    def __init__(self, space: Space, seconds: float) -> None:
        self.failures: list[str] = []
        self.sent = 0
        pause = threading.Event()
        began = time.monotonic()
        total = int(seconds * REVIEWS_PER_S)

        def client(number: int) -> None:
            for turn in range(number, total, CLIENTS):
                pause.wait(max(began + turn / REVIEWS_PER_S - time.monotonic(), 0))
                failure = review(space)
                self.sent += 1
                self.failures += [failure] if failure else []

        with ThreadPoolExecutor(CLIENTS) as pool:
            list(pool.map(client, range(CLIENTS)))
