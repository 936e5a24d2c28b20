"""Certificates change and replicas come and go while the API server calls: no review is lost."""

from collections.abc import Iterator
from functools import partial

import httpx
import pytest

from rig.space import Space
from rig.waiting import eventually
from rig.webhook import Webhook
from tests.e2e.certified import HEALED_S, REPLACED, Reviews, two_replicas
from tests.e2e.observe import logged
from tests.e2e.replicas import api_server
from tests.proof.records import Record


@pytest.fixture(scope="module")
def space() -> Iterator[Space]:
    with api_server() as cluster, Space(cluster=cluster) as running:
        yield running


@pytest.mark.rig
@pytest.mark.proof
def test_no_review_is_lost_while_leaves_are_renewed(space: Space) -> None:
    with two_replicas(space, leafValidity="9s", caValidity="300s") as pair:
        with Reviews(space, 15.0) as reviews:
            pass
        assert reviews.failures == []
        assert pair.count(REPLACED, reason="expiring") >= 2


@pytest.mark.rig
@pytest.mark.proof
def test_no_review_is_lost_while_leaves_are_renewed_authorities_replaced_and_replicas_too(
    space: Space, record: Record
) -> None:
    with two_replicas(space, leafValidity="8s", caValidity="45s") as pair:
        before = space.webhook_calls()
        with Reviews(space, 120.0) as reviews:
            for third in (1, 2):
                planned = reviews.planned * third // 3
                eventually(partial(_has_sent, reviews, planned), "the reviews before", timeout=180)
                pair.roll()
        calls = {code: value - before.get(code, 0) for code, value in space.webhook_calls().items()}
        replaced = pair.logged("certificate_regenerated", reason="ca_replaced")
        renewed = pair.logged("certificate_regenerated", reason="expiring") + replaced
        restarts = len(pair.gone)
    record(
        "Certificates change and replicas roll under load, failurePolicy Fail, two replicas",
        reviews=reviews.sent,
        failed=len(reviews.failures),
        leaves=renewed,
        authorities=replaced,
        replicas_replaced=restarts,
    )
    assert reviews.failures == []
    assert {code for code, value in calls.items() if value} == {"200"}
    assert renewed >= 20
    assert replaced >= 3


@pytest.mark.rig
def test_changed_files_are_served_and_no_review_is_lost_and_no_connection_dropped(space: Space) -> None:
    webhook = space.start_webhook()
    folder, other = webhook.file.parent, space.authority.issue(webhook.name)
    with space.registered(webhook, "Fail"), webhook.client() as client:
        with Reviews(space, 8.0) as reviews:
            first = _served(webhook, client)
            other.write(folder, "serving")
            eventually(lambda: _reloads(webhook, "loaded") == 2, "the new files are served", timeout=HEALED_S)
            assert _served(webhook, client) == first, "the connection that was open is used on"
            with webhook.client() as newcomer:
                assert _served(webhook, newcomer) != first
            refused = _reloads(webhook, "refused")
            (folder / "serving.key").write_text("no key")
            eventually(
                lambda: _reloads(webhook, "refused") > refused, "the spoilt file is told of", timeout=HEALED_S
            )
        assert logged(webhook, "certificate_refused")[-1]["reason"]
        assert reviews.failures == []
    webhook.process.kill()


def _has_sent(reviews: Reviews, count: int) -> bool:
    return reviews.sent >= count


def _served(webhook: Webhook, client: httpx.Client) -> bytes:
    """The certificate of the connection over which a client gets its answer."""
    answer = client.post(webhook.url, content=b"no review")
    certificate: bytes = answer.extensions["network_stream"].get_extra_info("ssl_object").getpeercert(True)  # noqa: FBT003
    return certificate


def _reloads(webhook: Webhook, outcome: str) -> float:
    return webhook.metrics().total("mxp_identity_certificate_reloads_total", outcome=outcome)
