"""A watch that cannot continue: the API server forgot the changes since (410 Gone), so all is listed again."""

import pytest

from rig.kubernetes.cluster import Cluster
from rig.kubernetes.store import Store
from rig.space import Space
from rig.waiting import eventually
from rig.webhook import Webhook
from tests.e2e.observe import annotation, is_trusted, log_events
from tests.e2e.scenes import bare_space, create_account, create_namespace

RECOVERY_S = 60.0


@pytest.mark.rig
def test_what_changed_before_the_history_begins_is_found_by_listing_again() -> None:
    with bare_space() as space:
        cluster = space.cluster
        webhook = space.start_webhook(space.configuration(reconciler={"interval": "1s"}))
        gone = create_namespace(space)
        eventually(lambda: _is_as_large(webhook, space), "the namespace is watched")

        with cluster.stopped("kube-apiserver"):
            eventually(lambda: _failures(webhook), "the watch has ended")
            webhook.process.pause()
        late = create_namespace(space)
        create_account(space, late)
        cluster.api.delete(f"/api/v1/namespaces/{gone}")
        eventually(lambda: gone not in _names(space), "the namespace is gone")
        _forget_history(cluster)
        webhook.process.resume()

        eventually(lambda: annotation(space, late) == space.roles[0], "the annotation", timeout=RECOVERY_S)
        eventually(lambda: is_trusted(space, late), "trust", timeout=RECOVERY_S)
        assert _is_as_large(webhook, space), "the namespace that is gone is still held"
        assert [reason for reason in _failures(webhook) if " 410 " in reason], _failures(webhook)


def _forget_history(cluster: Cluster) -> None:
    """Have no watch continue from an earlier version.

    etcd forgets, as it does every five minutes, and the API server, which has the last changes in memory.
    """
    Store(cluster.server.etcd_socket).compact()
    cluster.restart("kube-apiserver")


def _failures(webhook: Webhook) -> list[str]:
    """How watches of namespaces ended."""
    return [line["reason"] for line in log_events(webhook, "watch_failed", resource="namespaces")]


def _is_as_large(webhook: Webhook, space: Space) -> bool:
    """Whether the program holds as many namespaces as the API server."""
    held = webhook.metrics().total("mxp_identity_watched_objects", resource="namespaces")
    return held == len(_names(space))


def _names(space: Space) -> set[str]:
    return {item["metadata"]["name"] for item in space.cluster.api.get("/api/v1/namespaces")["items"]}
