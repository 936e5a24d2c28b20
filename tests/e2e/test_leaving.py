"""A replica leaves: at SIGTERM no request fails and its work is finished; at SIGKILL a second try succeeds."""

import signal
from collections.abc import Iterator

import httpx
import pytest

from rig.aws.faults import Latency
from rig.balancer import Balancer
from rig.space import Space
from rig.waiting import eventually
from rig.webhook import Webhook
from tests.e2e.load import CLIENTS, PATIENCE, Load, attempt, rounds, slow_reviews
from tests.e2e.observe import is_trusted, log_events
from tests.e2e.scenes import bare_space, create_account, create_namespace, unregister

GRACE_S = 10.0
CADENCE_S = 5.0
"""As long as uvicorn keeps an idle connection unless told otherwise, and so where reviews would be lost."""


@pytest.fixture
def space() -> Iterator[Space]:
    with bare_space() as running:
        yield running


@pytest.fixture
def pair(space: Space) -> Iterator[tuple[Webhook, Webhook, Balancer]]:
    """Two replicas behind a balancer, which the API server calls and without which it creates nothing."""
    configuration = space.configuration(**PATIENCE)
    first, second = space.start_webhook(configuration, wait=False), space.start_webhook(configuration)
    first.wait_until_ready()
    with Balancer(first.port, second.port) as balancer:
        space.register(f"https://127.0.0.1:{balancer.port}/mutate", "Fail")
        yield first, second, balancer
        unregister(space)


@pytest.mark.rig
def test_no_request_fails_when_a_replica_leaves_under_load(
    space: Space, pair: tuple[Webhook, Webhook, Balancer]
) -> None:
    first, second, balancer = pair
    calls = space.webhook_calls()["200"]

    with slow_reviews(space) as update, Load(update) as load:
        eventually(lambda: load.done > 5 * CLIENTS, "load")
        eventually(lambda: min(balancer.connections().values()) > CLIENTS / 4, "both replicas have their share")
        first.process.signal(signal.SIGTERM)
        balancer.remove(first.port)
        eventually(lambda: first.process.exit_code is not None, "the replica's end", timeout=GRACE_S)
        so_far = load.done
        eventually(lambda: load.done > so_far + 5 * CLIENTS, "load on the other replica alone")

    assert load.failures == []
    assert first.process.exit_code == 0
    assert set(space.webhook_calls()) == {"200"}
    assert space.webhook_calls()["200"] - calls >= load.done, "each request was a review"
    for replica in (first, second):
        assert replica.process.running == (replica is second)
        assert "Traceback" not in replica.process.log.read_text()


@pytest.mark.rig
def test_when_a_replica_is_killed_only_its_own_reviews_fail_and_a_second_try_succeeds(
    space: Space, pair: tuple[Webhook, Webhook, Balancer]
) -> None:
    first, second, balancer = pair
    failed_once: list[str] = []

    with slow_reviews(space) as update:

        def update_again(number: int) -> None:
            if failure := attempt(update, number):
                failed_once.append(failure)
                update(number)

        with Load(update_again) as load:
            eventually(lambda: load.done > 5 * CLIENTS, "load")
            under_way = balancer.connections()[first.port]
            first.process.kill()
            so_far = load.done
            eventually(lambda: load.done > so_far + 5 * CLIENTS, "load on the other replica alone")

    assert 0 < len(failed_once) <= under_way, "one review for each connection to it, and no other"
    assert all("failed calling webhook" in failure for failure in failed_once)
    assert load.failures == []
    assert second.process.running


@pytest.mark.rig
def test_it_is_unready_at_once_but_serves_on_and_asks_to_hang_up(space: Space) -> None:
    webhook = space.start_webhook()
    namespace = create_namespace(space)
    space.register(webhook.url, "Fail")
    health = httpx.get(f"{webhook.plain_url}/readyz", trust_env=False)
    assert (health.status_code, health.text) == (200, "ok\n")
    with webhook.client() as client:
        before = client.post(webhook.url, content=b"{}", headers={"Content-Type": "application/json"})
        assert "connection" not in before.headers

        webhook.process.signal(signal.SIGTERM)

        eventually(lambda: not webhook.is_ready(), "unready", timeout=0.5)
        health = httpx.get(f"{webhook.plain_url}/readyz", trust_env=False)
        assert (health.status_code, health.text) == (503, "shutting down\n")
        assert httpx.get(f"{webhook.plain_url}/healthz", trust_env=False).status_code == 200
        create_account(space, namespace)
        during = client.post(webhook.url, content=b"{}", headers={"Content-Type": "application/json"})
        assert during.headers["connection"] == "close"
    assert webhook.process.wait(GRACE_S) == 0
    assert set(space.webhook_calls()) == {"200"}


@pytest.mark.rig
def test_a_write_under_way_is_finished_before_the_end(space: Space) -> None:
    webhook = space.start_webhook(space.configuration(server={"drainTime": "100ms"}))
    space.aws.switch_on(Latency(seconds=2.5, actions=("UpdateAssumeRolePolicy",)))
    namespace = create_namespace(space)
    space.aws.wait_until(lambda: "UpdateAssumeRolePolicy" in space.aws.in_flight)

    assert webhook.terminate(GRACE_S) == 0

    assert space.aws.calls["UpdateAssumeRolePolicy", "OK"] == 1, "the answer was waited for"
    assert [line["event"] for line in webhook.log()][-1] == "stopped"
    assert log_events(webhook, "trust_written")
    space.aws.clear_faults()
    create_account(space, namespace)
    assert is_trusted(space, namespace)


@pytest.mark.rig
def test_a_second_signal_cuts_the_draining_short(space: Space) -> None:
    webhook = space.start_webhook(space.configuration(server={"drainTime": "10m"}))
    webhook.process.signal(signal.SIGTERM)
    eventually(lambda: log_events(webhook, "draining"), "draining")
    assert webhook.terminate(GRACE_S) == 0


@pytest.mark.rig
@pytest.mark.proof
def test_connections_that_idle_for_5_s_are_used_again_without_a_failure(
    space: Space, pair: tuple[Webhook, Webhook, Balancer]
) -> None:
    _, _, balancer = pair
    with slow_reviews(space) as update:
        assert rounds(update, count=15, cadence_s=CADENCE_S) == []
        idle = sum(balancer.connections().values())
    assert CLIENTS / 2 < idle <= CLIENTS + 2, "connections were kept and used again"
    assert set(space.webhook_calls()) == {"200"}
