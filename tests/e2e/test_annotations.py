"""The settings of a binding through the API server: annotations that are there, modes, refusals, two bindings."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import Any

import pytest

from rig.aws.faults import Refuse
from rig.kubernetes.api import ApiError
from rig.space import Space
from rig.waiting import eventually
from tests.e2e.observe import annotation, audit_annotations, audit_event, is_trusted, log_events, logged
from tests.e2e.scenes import (
    LARGE_QUOTA,
    ROLE_ANNOTATION,
    account_path,
    bare_space,
    create_account,
    create_namespace,
    serving,
    unregister,
)

EXTERNAL = "arn:aws:iam::123456789012:role/external"


STRIPPED = {"metadata": {"annotations": {ROLE_ANNOTATION: None}}}


@pytest.fixture(scope="module")
def space() -> Iterator[Space]:
    with bare_space(quota=LARGE_QUOTA, roles=("mxp-backup", "mxp-archive")) as running:
        yield running


def bindings(space: Space, **settings: Any) -> list[dict[str, Any]]:
    """The usual binding, on the first role only, with other settings."""
    (usual,) = space.configuration()["bindings"]
    return [{**usual, "roles": space.roles[:1], **settings}]


@pytest.mark.rig
def test_keep_leaves_an_external_role_alone_with_a_warning(space: Space) -> None:
    with serving(space, bindings=bindings(space, existingAnnotation="keep")):
        namespace = create_namespace(space)
        reply = create_account(space, namespace, EXTERNAL)
        (warning,) = reply.warnings
        assert (
            warning
            == f"mxp-identity: {EXTERNAL} is not a role of binding backup: left as it is, trust is not managed"
        )
        assert annotation(space, namespace) == EXTERNAL
        assert audit_annotations(audit_event(space, namespace)) == {"ignored": "external_role"}


@pytest.mark.rig
def test_keep_trusts_a_role_that_is_the_bindings_own(space: Space) -> None:
    """Spaces' own chart can set the annotation for all control planes."""
    second = space.roles[1]
    with serving(space, bindings=bindings(space, roles=space.roles)):
        namespaces = [
            create_namespace(space, selected=False) for _ in range(4)
        ]  # hash order would differ for some
        for namespace in namespaces:
            create_account(space, namespace, second)
            space.cluster.api.patch(
                f"/api/v1/namespaces/{namespace}",
                {"metadata": {"labels": {"internal.spaces.upbound.io/controlplane-name": "x"}}},
            )
        for namespace in namespaces:
            eventually(partial(is_trusted, space, namespace, second), "trust in the annotated role")
            assert annotation(space, namespace) == second
            assert not is_trusted(space, namespace, space.roles[0]), "one role at most"


@pytest.mark.rig
def test_override_replaces_an_external_role(space: Space) -> None:
    with serving(space, bindings=bindings(space, existingAnnotation="override")):
        namespace = create_namespace(space)
        reply = create_account(space, namespace, EXTERNAL)
        assert reply["metadata"]["annotations"][ROLE_ANNOTATION] == space.roles[0]
        assert not reply.warnings
        assert is_trusted(space, namespace)


@pytest.mark.rig
def test_deny_refuses_an_external_role_and_says_what_to_do(space: Space) -> None:
    with serving(space, bindings=bindings(space, existingAnnotation="deny")):
        namespace = create_namespace(space)
        with pytest.raises(ApiError) as refusal:
            create_account(space, namespace, EXTERNAL)
        assert refusal.value.code == 403
        assert f"names role {EXTERNAL}, which is not among the roles of binding backup" in refusal.value.message
        assert "remove the annotation or name one of them" in refusal.value.message
        create_account(space, namespace, space.roles[0])
        assert is_trusted(space, namespace)


def _go_with_finalizer(space: Space, namespace: str) -> None:
    """A ServiceAccount that is being deleted and stays, because a finalizer is not removed."""
    create_account(space, namespace)
    space.cluster.api.patch(account_path(namespace), {"metadata": {"finalizers": ["rig.local/stay"]}})
    space.cluster.api.delete(account_path(namespace))


def _go_with_namespace(space: Space, namespace: str) -> None:
    """A ServiceAccount in a namespace that is being deleted and stays."""
    create_account(space, namespace)
    space.cluster.api.patch(account_path(namespace), {"metadata": {"finalizers": ["rig.local/stay"]}})
    space.cluster.api.delete(f"/api/v1/namespaces/{namespace}")


@pytest.mark.rig
@pytest.mark.parametrize("go", [_go_with_finalizer, _go_with_namespace])
def test_deny_refuses_an_external_role_on_what_is_being_deleted(
    space: Space, go: Callable[[Space, str], None]
) -> None:
    with serving(space, bindings=bindings(space, existingAnnotation="deny")):
        namespace = create_namespace(space)
        go(space, namespace)
        path, external = account_path(namespace), {"metadata": {"annotations": {ROLE_ANNOTATION: EXTERNAL}}}
        for change in (
            partial(space.cluster.api.patch, path, external, dryRun="All"),
            partial(space.cluster.api.patch, path, external),
        ):
            with pytest.raises(ApiError) as refusal:
                change()
            assert refusal.value.code == 403
            assert f"names role {EXTERNAL}" in refusal.value.message
        assert annotation(space, namespace) == space.roles[0]
        space.cluster.api.patch(account_path(namespace), {"metadata": {"finalizers": None}})


@pytest.mark.rig
def test_mode_annotate_makes_no_call_to_aws(space: Space) -> None:
    space.aws.forget_calls()
    with serving(space, bindings=bindings(space, mode="annotate"), reconciler={"interval": "500ms"}) as webhook:
        namespace = create_namespace(space)
        create_account(space, namespace)
        assert annotation(space, namespace) == space.roles[0]
        passes = webhook.metrics().total("mxp_identity_pass_duration_seconds_count")
        eventually(
            lambda: webhook.metrics().total("mxp_identity_pass_duration_seconds_count") > passes + 1, "two passes"
        )
        assert (space.aws.log, space.aws.in_flight) == ([], [])


@pytest.mark.rig
def test_on_trust_failure_deny_refuses_with_the_reason_until_aws_recovers(space: Space) -> None:
    admission = {"onTrustFailure": "deny", "trustBudget": "1s"}
    with serving(space, bindings=bindings(space), admission=admission), space.aws.fault(Refuse()):
        namespace = create_namespace(space)
        with pytest.raises(ApiError) as refusal:
            create_account(space, namespace)
        assert refusal.value.code == 503
        assert f"{space.roles[0]} does not trust this ServiceAccount yet, try again" in refusal.value.message
        assert "ServiceFailure" in refusal.value.message

        space.aws.clear_faults()
        eventually(lambda: _accepted(space, namespace), "a retry succeeds")
        assert is_trusted(space, namespace)
        assert annotation(space, namespace) == space.roles[0]


@pytest.mark.rig
def test_an_update_that_strips_the_annotation_gets_it_back(space: Space) -> None:
    with serving(space, bindings=bindings(space)) as webhook:
        namespace = create_namespace(space)
        create_account(space, namespace)
        stripped = space.cluster.api.patch(account_path(namespace), STRIPPED)
        assert stripped["metadata"]["annotations"][ROLE_ANNOTATION] == space.roles[0]
        assert not log_events(webhook, "annotated_late", namespace=namespace), "the review alone did it"


@pytest.mark.rig
def test_what_is_stripped_while_no_webhook_is_called_comes_back_by_the_reconciler(space: Space) -> None:
    with serving(space, bindings=bindings(space), reconciler={"interval": "500ms"}) as webhook:
        namespace = create_namespace(space)
        create_account(space, namespace)
        unregister(space)
        stripped = space.cluster.api.patch(account_path(namespace), STRIPPED)
        assert ROLE_ANNOTATION not in stripped["metadata"].get("annotations", {})
        eventually(lambda: annotation(space, namespace) == space.roles[0], "the annotation is back")
        logged(webhook, "annotated_late", namespace=namespace)
        space.register(webhook.url)


@pytest.mark.rig
def test_the_first_binding_that_matches_decides(space: Space) -> None:
    backup, archive = space.roles
    (usual,) = bindings(space)
    in_archive = {"matchLabels": {"tier": "archive"}}
    narrow = {**usual, "name": "archive", "namespaces": {"selector": in_archive}, "roles": [archive]}
    with serving(space, bindings=[narrow, usual]):
        archived, plain = create_namespace(space, tier="archive"), create_namespace(space, tier="other")
        for namespace, role, binding in ((archived, archive, "archive"), (plain, backup, "backup")):
            create_account(space, namespace)
            assert annotation(space, namespace) == role
            assert audit_annotations(audit_event(space, namespace))["binding"] == binding
            assert is_trusted(space, namespace, role)
        assert not is_trusted(space, archived, backup)
        assert not is_trusted(space, plain, archive)


def _accepted(space: Space, namespace: str) -> bool:
    with suppress(ApiError):
        create_account(space, namespace)
        return True
    return False
