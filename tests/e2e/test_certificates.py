"""Self-managed certificates on a real API server: one authority for all, healed in seconds where it is spoilt."""

import base64
import datetime as dt
from collections.abc import Callable, Iterator
from functools import partial

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from certs.bundle import Bundle, read_bundle
from certs.pairs import new_authority, new_leaf
from rig.kubernetes.objects import SERVICE_ACCOUNT
from rig.permissions import kubernetes_objects
from rig.pki import Authority
from rig.space import Space
from rig.waiting import eventually
from rig.webhook import Webhook
from tests.e2e.certified import (
    HEALED_S,
    REPLACED,
    SECRET,
    base64_of,
    ca_bundles,
    empty,
    review,
    secret,
    two_replicas,
    write_ca_bundle,
)
from tests.e2e.observe import log_events
from tests.e2e.replicas import api_server
from tests.support.odd_certificates import Recipe, parts, rsa2048

DAY = dt.timedelta(days=1)


@pytest.fixture(scope="module")
def space() -> Iterator[Space]:
    with api_server() as cluster, Space(cluster=cluster) as running:
        yield running


@pytest.mark.rig
def test_two_replicas_that_start_with_an_empty_secret_agree_on_one_authority(space: Space) -> None:
    with two_replicas(space) as pair:
        assert pair.count(REPLACED) == pair.count(REPLACED, reason="missing") == 1
        assert ca_bundles(space) == [secret(space)["ca.crt"]]
        assert [review(space) for _ in range(20)] == [""] * 20


def put(space: Space, data: dict[str, bytes]) -> None:
    space.cluster.api.patch(SECRET, {"data": {key: base64_of(value) for key, value in data.items()}})


def garbage(space: Space) -> None:
    put(space, {"ca.crt": b"garbage"})


def mismatched(space: Space) -> None:
    put(space, {"tls.key": Authority("other").issue("other").key.encode()})


def expired(space: Space) -> None:
    """An authority and its leaf that ended yesterday."""
    then = dt.datetime.now(dt.UTC) - 2 * DAY
    authority = new_authority("expired", then, DAY)
    put(space, dict(Bundle(authority, new_leaf(authority, ["127.0.0.1"], then, DAY)).written()))


def replace(space: Space, data: dict[str, bytes]) -> None:
    """Somebody writes all of it."""
    found = space.cluster.api.get(SECRET)
    found["data"] = {key: base64_of(value) for key, value in data.items()}
    space.cluster.api.put(SECRET, found)


def bare(recipe: Recipe) -> Callable[[Space], None]:
    """An authority of that kind, and no leaf."""
    return lambda space: replace(space, parts(ca=recipe.authority(dt.datetime.now(dt.UTC))))


of_rsa = bare(Recipe(key=rsa2048))
for_other_names = bare(Recipe(adding={x509.NameConstraints([x509.DNSName("example.org")], None): True}))


def for_clients(space: Space) -> None:
    """An ordinary authority, and a leaf of it with all names that is no server's."""
    now, found = dt.datetime.now(dt.UTC), secret(space)
    names = read_bundle({key: base64.b64decode(value) for key, value in found.items()}).leaf
    assert names is not None
    authority = Recipe().authority(now)
    usage, alternative = x509.ExtendedKeyUsage, x509.SubjectAlternativeName
    adding = {
        usage([ExtendedKeyUsageOID.CLIENT_AUTH]): False,
        names.certificate.parsed.extensions.get_extension_for_class(alternative).value: False,
    }
    leaf = Recipe(without=(usage, alternative), adding=adding).leaf(now, authority)
    replace(space, parts(ca=authority, tls=leaf))


FAULTS: dict[str, Callable[[Space], None]] = {
    "missing": empty,
    "unreadable": garbage,
    "key_mismatch": mismatched,
    "ca_expiring": expired,
    "ca_unusable": of_rsa,
    "not_accepted": for_clients,
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


AFTER_A_RESTART: dict[str, Callable[[Space], None]] = {
    "an RSA authority": of_rsa,
    "an authority for other names": for_other_names,
    "a leaf for clients only": for_clients,
}


@pytest.mark.rig
@pytest.mark.parametrize("name", AFTER_A_RESTART)
def test_replicas_that_start_with_a_secret_that_no_client_accepts_answer_within_ten_seconds(
    space: Space, name: str
) -> None:
    with two_replicas(space) as pair:
        for old in pair.serving:
            pair.balancer.remove(old.port)
            old.process.kill()
        AFTER_A_RESTART[name](space)
        pair.serving = [space.start_webhook(pair.configuration, wait=False) for _ in range(2)]
        for new in pair.serving:
            new.wait_until_serving()
            pair.balancer.add(new.port)
        eventually(lambda: not review(space), "the API server gets answers", timeout=HEALED_S)
        assert [review(space) for _ in range(10)] == [""] * 10


@pytest.mark.rig
def test_a_secret_that_is_missing_is_asked_for_with_the_command_and_reviews_go_on(space: Space) -> None:
    with two_replicas(space) as pair:
        space.cluster.api.delete(SECRET)
        for one in pair.serving:
            eventually(partial(_asks_for_it, one), "each says so", timeout=HEALED_S)
        assert review(space) == ""
        late = space.start_webhook(pair.configuration, wait=False)
        late.wait_until_serving()
        eventually(partial(_asks_for_it, late), "so does one that starts meanwhile")
        assert not late.is_ready()

        space.cluster.apply(item for item in kubernetes_objects([SERVICE_ACCOUNT]) if item["kind"] == "Secret")
        eventually(lambda: secret(space), "it is filled", timeout=HEALED_S)
        late.wait_until_ready()
        assert [review(space) for _ in range(10)] == [""] * 10
        late.process.kill()


def _asks_for_it(webhook: Webhook) -> bool:
    return any("helm upgrade" in line["reason"] for line in log_events(webhook, "certificates_problem"))


@pytest.mark.rig
@pytest.mark.parametrize(
    ("reason", "value"),
    [
        ("overwritten", base64_of(Authority("external").certificate)),
        pytest.param("empty", "", marks=pytest.mark.proof),
    ],
)
def test_a_ca_bundle_that_was_overwritten_is_repaired_in_seconds_with_the_reason_logged_and_counted(
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
