"""Unused trust, on a real API server: it is removed after the grace and not before, at the rate of the limit."""

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any

import pytest

from rig.kubernetes import objects
from rig.kubernetes.api import ApiError
from rig.kubernetes.objects import CONTROL_PLANE_LABEL, SERVICE_ACCOUNT
from rig.kubernetes.registration import OWN_NAMESPACE
from rig.space import Space
from rig.waiting import eventually
from rig.webhook import Webhook
from tests.cli.commands import Person
from tests.e2e.observe import annotation, external_parts, is_trusted, kubernetes_events, log_events, logged
from tests.e2e.scenes import (
    LARGE_QUOTA,
    LEASES,
    ROLE_ANNOTATION,
    account_path,
    bare_space,
    create_account,
    create_namespace,
    label,
    serving,
)
from tests.support.variants import variants
from webhook.controller.leader_election import leader_lease

GRACE_S = 6.0
INTERVAL_S = 1.0
RECONCILER = {"interval": f"{INTERVAL_S:g}s", "pruneGrace": f"{GRACE_S:g}s", "maxRemovalFraction": 1.0}
LIMITED = {**RECONCILER, "maxRemovalFraction": 0.2}
LEASE = f"{LEASES}/{leader_lease(OWN_NAMESPACE)}"
PASSES = "mxp_identity_pass_duration_seconds_count"
EXTERNAL = "arn:aws:iam::123456789012:role/external"
REFUSING = "no-service-accounts"


@pytest.fixture(scope="module")
def space() -> Iterator[Space]:
    with bare_space(quota=LARGE_QUOTA, roles=("mxp-backup", "mxp-archive")) as running:
        yield running


@contextmanager
def leading(space: Space, **sections: Any) -> Iterator[Webhook]:
    """A replica that leads at once: the Lease of the one before, which was killed, is deleted."""
    with suppress(ApiError):
        space.cluster.api.delete(LEASE)
    with serving(space, **sections) as webhook:
        eventually(lambda: webhook.metrics().total("mxp_identity_leading") == 1, "it leads")
        yield webhook


def named(space: Space, namespace: str, role: str | None = None) -> bool:
    """Whether our statement in a role names the ServiceAccount of a control plane."""
    subject = f"system:serviceaccount:{namespace}:{SERVICE_ACCOUNT}"
    ours = [item for item in space.policy(role)["Statement"] if item["Sid"].startswith("MxpIdentity")]
    return subject in json.dumps(ours)


def binding(space: Space, **settings: Any) -> dict[str, Any]:
    """The usual binding on the first role only, with other settings."""
    (usual,) = space.configuration()["bindings"]
    return {**usual, "roles": space.roles[:1], **settings}


def delete_namespace(space: Space, namespace: str) -> None:
    """Delete a namespace and wait until it is gone."""
    space.cluster.api.delete(f"/api/v1/namespaces/{namespace}")
    _wait_until_gone(space, namespace)


def _wait_until_gone(space: Space, namespace: str) -> None:
    def is_gone() -> bool:
        with suppress(ApiError):
            space.cluster.api.get(f"/api/v1/namespaces/{namespace}")
            return False
        return True

    eventually(is_gone, f"{namespace} is gone", timeout=60)


def delete_account(space: Space, namespace: str) -> None:
    """Delete a control plane's ServiceAccount."""
    space.cluster.api.delete(account_path(namespace))


def remove_label(space: Space, namespace: str) -> None:
    """Have the binding no longer select a namespace."""
    label(space, namespace, {CONTROL_PLANE_LABEL: None})


def name_an_external_role(space: Space, namespace: str) -> None:
    """Annotate the ServiceAccount with an external role."""
    space.cluster.api.patch(account_path(namespace), {"metadata": {"annotations": {ROLE_ANNOTATION: EXTERNAL}}})


WAYS_OUT: dict[str, Callable[[Space, str], None]] = {
    "namespace deleted": delete_namespace,
    "ServiceAccount deleted": delete_account,
    "label removed": remove_label,
    "annotated with an external role": name_an_external_role,
}


@pytest.mark.rig
@pytest.mark.parametrize("way", variants(WAYS_OUT, "namespace deleted"))
def test_trust_that_nothing_wants_goes_after_the_grace_and_not_before(space: Space, way: str) -> None:
    with leading(space, bindings=[binding(space)], reconciler=RECONCILER) as webhook:
        leaving, staying = create_namespace(space), create_namespace(space)
        for one in (leaving, staying):
            create_account(space, one)
        assert named(space, leaving)
        others = external_parts(json.dumps(space.policy()))
        began = time.monotonic()
        WAYS_OUT[way](space, leaving)
        done = time.monotonic()
        eventually(lambda: not named(space, leaving), "the trust goes", timeout=GRACE_S + 4 * INTERVAL_S + 5)
        assert time.monotonic() - began >= GRACE_S - 0.1
        assert time.monotonic() - done <= GRACE_S + 4 * INTERVAL_S + 5
        assert is_trusted(space, staying)
        assert external_parts(json.dumps(space.policy())) == others
        (approved,) = logged(webhook, "removal_approved", namespace=leaving)
        assert approved["cause"] in {"namespace_gone", "account_gone", "not_bound", "external_role"}
        logged(webhook, "subject_removed", namespace=leaving)
        eventually(lambda: webhook.metrics().total("mxp_identity_removals_pending") == 0, "none is pending")
        if way == "label removed":
            assert kubernetes_events(space, leaving, "TrustRemoved")


@pytest.mark.rig
def test_a_namespace_made_anew_keeps_its_trust_if_selected_and_loses_it_at_once_if_not(space: Space) -> None:
    patient = {**RECONCILER, "pruneGrace": "10m"}
    with leading(space, bindings=[binding(space)], reconciler=patient) as webhook:
        selected, unselected = create_namespace(space), create_namespace(space)
        for one in (selected, unselected):
            create_account(space, one)
            delete_namespace(space, one)
        space.cluster.create([objects.namespace(selected, {CONTROL_PLANE_LABEL: "again"})])
        space.cluster.create([objects.namespace(unselected)])
        create_account(space, selected)
        create_account(space, unselected)
        eventually(lambda: not named(space, unselected), "it loses its trust", timeout=5 * INTERVAL_S)
        assert not is_trusted(space, unselected)
        assert is_trusted(space, selected)
        (approved,) = logged(webhook, "removal_approved")
        assert (approved["namespace"], approved["cause"]) == (unselected, "namespace_replaced")


@pytest.mark.rig
@pytest.mark.proof
def test_a_service_account_that_a_later_admission_step_rejects_is_trusted_no_longer_than_the_grace(
    space: Space,
) -> None:
    space.cluster.create(_refusing_policy())
    with leading(space, bindings=[binding(space)], reconciler=RECONCILER):
        namespace = create_namespace(space, frozen="true")
        eventually(lambda: _is_rejected(space, namespace), "the policy is in force")
        assert named(space, namespace), "admission came first"
        began = time.monotonic()
        eventually(lambda: not named(space, namespace), "the trust goes", timeout=GRACE_S + 10)
        assert time.monotonic() - began >= GRACE_S - 3
        eventually(lambda: time.monotonic() - began > GRACE_S + 5, "some passes more", timeout=30)
        assert not named(space, namespace), "and no pass brings it back"
        label(space, namespace, {"frozen": None})
        eventually(lambda: not _is_rejected(space, namespace), "it is let in")
        assert is_trusted(space, namespace)
    _remove_refusing_policy(space)


@pytest.mark.rig
@pytest.mark.proof
def test_a_binding_removed_and_a_subject_moved_to_another_role_leave_the_old_one(space: Space) -> None:
    backup, archive = space.roles
    label_of = {"selector": {"matchLabels": {"tier": "gold"}}, "pattern": "mxp-*-system"}
    gold = binding(space, name="gold", namespaces=label_of)
    both = binding(space, roles=[archive], name="usual")
    with leading(space, bindings=[gold, both], reconciler=RECONCILER):
        namespace = create_namespace(space, tier="gold")
        plain = create_namespace(space)
        create_account(space, namespace)
        create_account(space, plain)
        assert annotation(space, namespace) == backup
    moved = {**both, "roles": [archive, backup], "existingAnnotation": "override"}
    only_plain = {"selector": {"matchLabels": {"tier": "none"}}, "pattern": "mxp-*-system"}
    began = time.monotonic()
    # The binding named gold is gone; its role is still one of ours, because another binding names it.
    with leading(
        space,
        bindings=[binding(space, name="other", namespaces=only_plain), {**moved, "roles": [archive]}],
        reconciler=RECONCILER,
    ):
        led = time.monotonic()
        eventually(lambda: annotation(space, namespace) == archive, "the annotation moves")
        assert is_trusted(space, namespace, archive)
        eventually(lambda: not named(space, namespace, "mxp-backup"), "it leaves the old role", timeout=20)
        assert time.monotonic() - began >= GRACE_S - 0.1
        assert time.monotonic() - led <= GRACE_S + 4 * INTERVAL_S + 5
        assert is_trusted(space, plain, archive)


@pytest.mark.rig
@pytest.mark.proof
def test_thirty_short_lived_control_planes_leave_after_their_grace_and_of_six_unlabelled_three_in_an_hour() -> (
    None
):
    with bare_space(quota=LARGE_QUOTA) as space, leading(space, reconciler=LIMITED) as webhook:
        stay = _create(space, 10)
        began = time.monotonic()
        short_lived = _create(space, 30)
        assert all(named(space, one) for one in short_lived)
        _at_once(short_lived, lambda one: space.cluster.api.delete(f"/api/v1/namespaces/{one}"))
        _at_once(short_lived, lambda one: _wait_until_gone(space, one))
        assert time.monotonic() - began < 60
        eventually(lambda: _named(space, short_lived) == 0, "all thirty leave", timeout=GRACE_S + 60)
        assert all(named(space, one) for one in stay)
        assert not log_events(webhook, "removals_over_limit")
        for one in stay[:6]:
            remove_label(space, one)
        over_limit = "mxp_identity_removals_over_limit"
        eventually(lambda: webhook.metrics().total(over_limit) == 3, "three wait", timeout=GRACE_S + 60)
        eventually(lambda: _named(space, stay) == 7, "three leave")
        passes = webhook.metrics().total(PASSES)
        eventually(lambda: webhook.metrics().total(PASSES) > passes + 5, "the next passes are over", timeout=30)
        assert _named(space, stay) == 7


@pytest.mark.rig
@pytest.mark.proof
def test_what_is_over_the_limit_waits_and_is_wanted_again_once_the_label_is_back() -> None:
    with bare_space() as space, leading(space, reconciler=LIMITED) as webhook:
        crowd = _over_the_limit(space, webhook)
        (told,) = logged(webhook, "removals_over_limit")[-1:]
        assert "mxp-identity apply --approve" in told["reason"]
        for one in crowd:
            label(space, one, {CONTROL_PLANE_LABEL: "back"})
        eventually(lambda: webhook.metrics().total("mxp_identity_removals_pending") == 0, "they are wanted again")
        eventually(lambda: webhook.metrics().total("mxp_identity_removals_over_limit") == 0, "none waits")
        eventually(lambda: all(is_trusted(space, one) for one in crowd), "all are trusted", timeout=15)


@pytest.mark.rig
@pytest.mark.proof
def test_what_is_over_the_limit_is_removed_once_a_person_has_approved_it() -> None:
    with bare_space() as space, leading(space, reconciler=LIMITED) as webhook:
        stays = create_namespace(space)
        create_account(space, stays)
        crowd = _over_the_limit(space, webhook)
        done = Person(space, reconciler=LIMITED)("apply", "--approve")
        assert "to add: 0, to remove: 2," in done.out
        assert not [one for one in crowd if named(space, one)]
        newcomer = create_namespace(space)
        create_account(space, newcomer)
        eventually(lambda: is_trusted(space, newcomer), "it is trusted")
        assert not [one for one in crowd if named(space, one)], "though the replica wrote them a moment ago"
        waiting = "mxp_identity_removals_over_limit"
        eventually(lambda: webhook.metrics().total(waiting) == 0, "none waits", timeout=15)
        passes = webhook.metrics().total(PASSES)
        eventually(lambda: webhook.metrics().total(PASSES) > passes + 2, "the next passes are over")
        assert not [one for one in crowd if named(space, one)], "and bring none back"
        assert is_trusted(space, stays)


def _over_the_limit(space: Space, webhook: Webhook) -> list[str]:
    """Five control planes that lost their label, of which three may leave at once."""
    crowd = _create(space, 5)
    for one in crowd:
        remove_label(space, one)
    waiting = "mxp_identity_removals_over_limit"
    eventually(lambda: webhook.metrics().total(waiting) == 2, "two wait", timeout=30)
    eventually(lambda: _named(space, crowd) == 2, "three leave")
    return crowd


def _create(space: Space, count: int) -> list[str]:
    """So many control planes."""
    names = [create_namespace(space) for _ in range(count)]
    _at_once(names, lambda one: create_account(space, one))
    return names


def _named(space: Space, namespaces: list[str]) -> int:
    """How many of them our statement names."""
    text = json.dumps(space.policy())
    return sum(f":{one}:" in text for one in namespaces)


def _at_once(names: list[str], what: Callable[[str], object]) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(what, names))


def _is_rejected(space: Space, namespace: str) -> bool:
    try:
        create_account(space, namespace)
    except ApiError as error:
        return "frozen" in str(error)
    return False


def _refusing_policy() -> list[dict[str, Any]]:
    """Something after all webhooks that lets no ServiceAccount of a bound name into a frozen namespace."""
    group = {"apiVersion": "admissionregistration.k8s.io/v1"}
    policy = {
        **group,
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": REFUSING},
        "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": {
                "namespaceSelector": {"matchLabels": {"frozen": "true"}},
                "resourceRules": [
                    {
                        "apiGroups": [""],
                        "apiVersions": ["v1"],
                        "operations": ["CREATE"],
                        "resources": ["serviceaccounts"],
                    }
                ],
            },
            "validations": [
                {"expression": f"object.metadata.name != '{SERVICE_ACCOUNT}'", "message": "frozen namespace"}
            ],
        },
    }
    bound = {
        **group,
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": REFUSING},
        "spec": {"policyName": REFUSING, "validationActions": ["Deny"]},
    }
    return [policy, bound]


def _remove_refusing_policy(space: Space) -> None:
    for kind in ("validatingadmissionpolicybindings", "validatingadmissionpolicies"):
        space.cluster.api.delete(f"/apis/admissionregistration.k8s.io/v1/{kind}/{REFUSING}")
