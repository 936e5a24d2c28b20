"""Self-managed certificates on a real API server: one authority for all, healed in seconds where it is spoilt."""

import datetime as dt
from collections.abc import Callable, Iterator

import pytest

from certs.bundle import Bundle
from certs.pairs import new_authority, new_leaf
from rig.pki import Authority
from rig.space import Space
from rig.waiting import eventually
from tests.e2e.certified import (
    HEALED_S,
    REPLACED,
    SECRET,
    base64_of,
    ca_bundles,
    review,
    secret,
    two_replicas,
    write_ca_bundle,
)
from tests.e2e.replicas import api_server

DAY = dt.timedelta(days=1)


@pytest.fixture(scope="module")
def space() -> Iterator[Space]:
    with api_server() as cluster, Space(cluster=cluster) as running:
        yield running


@pytest.mark.rig
def test_two_replicas_that_start_without_a_secret_agree_on_one_authority(space: Space) -> None:
    with two_replicas(space) as pair:
        assert pair.count(REPLACED) == pair.count(REPLACED, reason="missing") == 1
        assert ca_bundles(space) == [secret(space)["ca.crt"]]
        assert [review(space) for _ in range(20)] == [""] * 20


def put(space: Space, data: dict[str, bytes]) -> None:
    space.cluster.api.patch(SECRET, {"data": {key: base64_of(value) for key, value in data.items()}})


def deleted(space: Space) -> None:
    space.cluster.api.delete(SECRET)


def garbage(space: Space) -> None:
    put(space, {"ca.crt": b"garbage"})


def mismatched(space: Space) -> None:
    put(space, {"tls.key": Authority("other").issue("other").key.encode()})


def expired(space: Space) -> None:
    """An authority and its leaf that ended yesterday."""
    then = dt.datetime.now(dt.UTC) - 2 * DAY
    authority = new_authority("expired", then, DAY)
    put(space, dict(Bundle(authority, new_leaf(authority, ["127.0.0.1"], then, DAY)).written()))


FAULTS: dict[str, Callable[[Space], None]] = {
    "missing": deleted,
    "unreadable": garbage,
    "key_mismatch": mismatched,
    "ca_expiring": expired,
}


@pytest.mark.rig
def test_a_spoilt_secret_is_healed_in_seconds_with_the_reason_logged_and_counted(space: Space) -> None:
    with two_replicas(space) as pair:
        for reason, spoil in FAULTS.items():
            before = pair.count(REPLACED, reason=reason)
            spoil(space)

            def is_healed(reason: str = reason, before: float = before) -> bool:
                return pair.count(REPLACED, reason=reason) == before + 1

            eventually(is_healed, f"healed of {reason}", timeout=HEALED_S)
            assert pair.logged("certificate_regenerated", reason=reason) == before + 1
            assert review(space) == ""


@pytest.mark.rig
@pytest.mark.parametrize(
    ("reason", "value"),
    [
        ("overwritten", base64_of(Authority("foreign").certificate)),
        pytest.param("empty", "", marks=pytest.mark.proof),
    ],
)
def test_a_ca_bundle_that_somebody_spoilt_is_put_right_in_seconds_with_the_reason_logged_and_counted(
    space: Space, reason: str, value: str
) -> None:
    with two_replicas(space) as pair:
        writes = "mxp_identity_ca_bundle_writes_total"
        right, before = ca_bundles(space), pair.count(writes, reason=reason)
        write_ca_bundle(space, value)
        eventually(lambda: ca_bundles(space) == right, "the caBundle is ours again", timeout=HEALED_S)
        eventually(lambda: not review(space), "reviews are answered again", timeout=HEALED_S)
        assert pair.count(writes, reason=reason) == before + 1
        assert pair.logged("ca_bundle_written", reason=reason) == before + 1
