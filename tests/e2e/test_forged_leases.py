"""An attacker who may update Leases in the program's namespace has no subject trusted, and keeps none from it."""

import json
from collections.abc import Iterator

import pytest

from rig.kubernetes.objects import SERVICE_ACCOUNT
from rig.kubernetes.registration import OWN_NAMESPACE
from rig.space import Space
from rig.waiting import eventually
from tests.e2e.observe import annotation, is_trusted, log_events
from tests.e2e.replicas import api_server, replicas, role_leases
from tests.e2e.scenes import create_account, create_namespace
from tests.e2e.writers import assert_no_subject_was_ever_dropped, subjects_over_time

STRANGERS = ("kube-system/attacker", f"kube-system/{SERVICE_ACCOUNT}", f"mxp-none-system/{SERVICE_ACCOUNT}")


@pytest.fixture
def space() -> Iterator[Space]:
    with api_server() as cluster, Space(cluster=cluster, quota=131072) as running:
        yield running


@pytest.mark.rig
def test_a_forged_lease_has_no_subject_trusted(space: Space) -> None:
    unselected = create_namespace(space, selected=False)
    strangers = [*STRANGERS, f"{unselected}/{SERVICE_ACCOUNT}"]
    names = [f"system:serviceaccount:{stranger.replace('/', ':')}" for stranger in strangers]
    with replicas(space, 2) as running:
        namespaces = [create_namespace(space)]
        create_account(space, namespaces[0])
        for number in range(1, 5):
            _forge(space, json.dumps(dict.fromkeys(strangers, 0.0)), edition=number * 1_000_000)
            namespaces.append(create_namespace(space))
            create_account(space, namespaces[-1])
            eventually(lambda: is_trusted(space, namespaces[-1]), "it is trusted")
        trusted = set().union(*subjects_over_time(space.aws))
        assert trusted == {f"system:serviceaccount:{name}:{SERVICE_ACCOUNT}" for name in namespaces}
        assert trusted.isdisjoint(names)
        assert not any(log_events(webhook, "trust_writer_failed") for webhook in running.webhooks)
    assert_no_subject_was_ever_dropped(space.aws)


@pytest.mark.rig
@pytest.mark.proof
@pytest.mark.parametrize(
    "written",
    ["{][", "[" * 100_000, json.dumps({f"mxp-{number}-system/{SERVICE_ACCOUNT}": 0.0 for number in range(6000)})],
    ids=["garbage", "100,000 brackets", "6,000 subjects"],
)
def test_a_lease_full_of_nonsense_is_logged_once_and_delays_no_grant(space: Space, written: str) -> None:
    with replicas(space, 1) as running:
        (webhook,) = running.webhooks
        create_account(space, create_namespace(space))
        for number in range(1, 4):
            _forge(space, written, edition=number * 1_000_000, renewals="9" * 4300, waiter="")
            namespace = create_namespace(space)
            assert not create_account(space, namespace).warnings
            assert is_trusted(space, namespace)
            assert annotation(space, namespace) == space.roles[0]
        assert len(log_events(webhook, "lease_parts_ignored")) == 1
        assert not log_events(webhook, "trust_writer_failed")


def _forge(space: Space, written: str, *, edition: int, **more: str) -> None:
    """Change the role's Lease while it is free, as any subject may that has `update` on Leases."""

    def freed() -> bool:
        (lease,) = role_leases(space)
        return not lease["spec"].get("holderIdentity")

    eventually(freed, "the lock is free")
    (lease,) = role_leases(space)
    annotations = {"written": written, "edition": str(edition), **more}
    change = {"metadata": {"annotations": {f"mxp-identity/{name}": text for name, text in annotations.items()}}}
    path = f"/apis/coordination.k8s.io/v1/namespaces/{OWN_NAMESPACE}/leases/{lease['metadata']['name']}"
    space.cluster.api.patch(path, change)
