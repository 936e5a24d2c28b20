"""What a person's restart restarts, and why it leaves the rest: a table."""

from dataclasses import replace
from typing import Any

import pytest

from webhook.cli.restart.restart_plan import PodGroup, plan_restarts, what_is_lacking
from webhook.iam.amendment import Standing
from webhook.iam.amendment import Verdict as Trust
from webhook.model.bindings import Binding, Mode
from webhook.model.decisions import Account, Grant
from webhook.model.deployments import Deployment
from webhook.model.names import RoleArn, Subject
from webhook.model.selectors import NamePattern, NamespaceSelector
from webhook.planning.placement import Placement

NOW, PATIENCE = 10_000.0, 600.0
SUBJECT = Subject("mxp-1-system", "mxp-controller")
ROLE = RoleArn("arn:aws:iam::123456789012:role/mxp-backup")
OTHER = RoleArn("arn:aws:iam::123456789012:role/other")
USUAL = Deployment(SUBJECT.namespace, SUBJECT.service_account, "uid", "1", SUBJECT.service_account)
EARLY = PodGroup(SUBJECT, SUBJECT.service_account, ("pod-1", "pod-2"), (100.0, 101.0))

STEPS = [
    ("pods from before", {}, True, "before the identity was there"),
    ("a restart of ours that did not help", {"restarted_by_us": 90.0}, True, "EKS's pod identity webhook"),
    ("a restart of ours that has not ended", {"restarted_by_us": 200.0}, True, "has not ended in time"),
    (
        "a note that cannot be ours",
        {"restarted_by_us": NOW + PATIENCE, "updated": 0},
        True,
        "has not ended in time",
    ),
    ("our restart under way", {"restarted_by_us": NOW - 1}, False, "being replaced already"),
    ("an external restart under way", {"restarted_at": 200.0}, False, "being replaced already"),
    ("a paused one", {"is_paused": True}, False, "resume it first"),
    ("one of another account", {"service_account": "default"}, False, "another ServiceAccount"),
]


@pytest.mark.parametrize(("case", "fields", "restarts", "why"), STEPS, ids=[case for case, *_ in STEPS])
def test_a_deployment_is_restarted_or_left_with_the_reason(
    case: str,
    fields: dict[str, Any],
    restarts: bool,  # noqa: FBT001
    why: str,
) -> None:
    deployment = replace(USUAL, **fields)
    (step,) = plan_restarts([EARLY], {(SUBJECT.namespace, SUBJECT.service_account): deployment}, {}, NOW, PATIENCE)
    assert (step.deployment == deployment) is restarts, case
    assert why in step.why


@pytest.mark.parametrize(
    ("noted", "why"),
    [
        (None, f"run with {OTHER}, which its ServiceAccount no longer names"),
        (OTHER.value, f"run with {OTHER}, which its ServiceAccount no longer names"),
        (ROLE.value, "EKS's pod identity webhook"),
    ],
)
def test_pods_with_the_former_role_are_restarted_and_the_role_is_named(noted: str | None, why: str) -> None:
    deployment = replace(USUAL, restarted_by_us=90.0 if noted else None, restarted_for=noted)
    moved = replace(EARLY, role=ROLE, carried=(OTHER.value,))
    (step,) = plan_restarts([moved], {(SUBJECT.namespace, SUBJECT.service_account): deployment}, {}, NOW, PATIENCE)
    assert step.deployment == deployment
    assert why in step.why


def test_pods_of_no_deployment_that_a_binding_names_are_left_to_their_owner() -> None:
    alone = replace(EARLY, deployment="")
    external = replace(EARLY, deployment="external")
    steps = plan_restarts(
        [alone, external], {(SUBJECT.namespace, SUBJECT.service_account): USUAL}, {}, NOW, PATIENCE
    )
    assert [step.deployment for step in steps] == [None, None]
    assert all("their owner" in step.why for step in steps)


def test_nothing_is_restarted_for_an_identity_that_is_not_there() -> None:
    found = {(SUBJECT.namespace, SUBJECT.service_account): USUAL}
    (step,) = plan_restarts([EARLY], found, {SUBJECT: "not annotated"}, NOW, PATIENCE)
    assert (step.deployment, step.why) == (None, "not annotated")


@pytest.mark.parametrize(
    ("mode", "annotation", "standing", "lacks"),
    [
        (Mode.IRSA, ROLE.value, Standing.KEPT, None),
        (Mode.IRSA, ROLE.value, Standing.EXTERNAL, None),
        (Mode.IRSA, ROLE.value, Standing.ADDED, "does not trust it"),
        (Mode.IRSA, ROLE.value, Standing.DENIED, "does not trust it"),
        (Mode.IRSA, ROLE.value, Standing.NO_ROOM, "does not trust it"),
        (Mode.IRSA, ROLE.value, None, "could not be read"),
        (Mode.IRSA, None, Standing.KEPT, "not annotated"),
        (Mode.IRSA, OTHER.value, Standing.KEPT, "not annotated"),
        (Mode.ANNOTATE, ROLE.value, None, None),
        (Mode.ANNOTATE, None, None, "not annotated"),
    ],
)
def test_what_a_service_account_lacks(
    mode: Mode, annotation: str | None, standing: Standing | None, lacks: str | None
) -> None:
    everywhere = NamespaceSelector(pattern=NamePattern("mxp-*-system"))
    grant = Grant(SUBJECT, Binding("backup", SUBJECT.service_account, everywhere, mode, (ROLE,)))
    placement = Placement(grant, ROLE, Trust(standing) if standing else None)
    said = what_is_lacking(placement, Account(SUBJECT.namespace, SUBJECT.service_account, annotation))
    assert said is None if lacks is None else lacks in str(said)


def test_a_service_account_that_is_gone_is_not_annotated() -> None:
    everywhere = NamespaceSelector(pattern=NamePattern("mxp-*-system"))
    grant = Grant(SUBJECT, Binding("backup", SUBJECT.service_account, everywhere, Mode.ANNOTATE, (ROLE,)))
    assert "not annotated" in str(what_is_lacking(Placement(grant, ROLE, None), None))
