"""What is found of a control plane in mode pod-identity; that what is printed corrects it is shown on the rig."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from tests.iam.policies import ROLE
from tests.support.associating import (
    ADDON,
    DANGLING,
    DENY_PODS,
    INSTALLATION,
    LOOSE,
    NAME,
    OTHER_ROLE,
    PODS,
    A,
    account,
    association,
    cluster,
)
from tests.support.diagnosed import assert_another_context_is_asked, assert_found_once
from webhook.cli.verify.diagnosis import diagnose
from webhook.cli.verify.findings import ControlPlane, Level, Pod, Shared, Trial
from webhook.cli.verify.webhook import check_webhook
from webhook.model.names import ROLE_ARN_ANNOTATION
from webhook.planning.snapshot import TrustedSubjects
from webhook.podidentity.association import QUOTA, FoundAssociations

if TYPE_CHECKING:
    from webhook.planning.snapshot import AccountSnapshot

URI = "AWS_CONTAINER_CREDENTIALS_FULL_URI"
POD = Pod(
    "mxp-1",
    "Running",
    None,
    {URI: "http://169.254.170.23/v1/credentials"},
    ("pods.eks.amazonaws.com",),
    is_replaced=True,
)
WELL = ControlPlane(A, {}, (POD,))
APPLY = ["mxp-identity", "apply", "--config", "my file.yaml"]
ID = f"a-{A.namespace}"
DELETE = [
    "aws", "eks", "delete-pod-identity-association", "--cluster-name", "spaces-prod", "--association-id", ID,
]  # fmt: skip
DELETE_POD = ["kubectl", "delete", "-n", A.namespace, "pod", "mxp-1"]


def _shared(seen: AccountSnapshot, annotation: str | None = None, **changes: Any) -> Shared:
    shared = Shared(
        installation=INSTALLATION,
        trusted=TrustedSubjects(seen, INSTALLATION),
        account=seen,
        cluster=cluster(A, annotation=annotation),
        providers={},
        registrations=(),
        options=("--config", "my file.yaml"),
    )
    return replace(shared, **changes)


def _running(**changes: Any) -> ControlPlane:
    return replace(WELL, pods=(replace(POD, **changes),))


def _policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": statements}, separators=(",", ":"))


def _put(*statements: dict[str, Any]) -> list[str]:
    update = ["aws", "iam", "update-assume-role-policy", "--role-name", ROLE.name, "--policy-document"]
    return [*update, _policy(*statements)]


DENY_OUTSIDE = {**DENY_PODS, "Condition": {"StringNotEquals": {"aws:SourceOrgID": "o-1234567890"}}}
TAKEN_FIX = [*DELETE, "&&", *APPLY]
CASES: dict[str, tuple[ControlPlane, Shared, str, str, list[str] | None]] = {
    "no association": (WELL, _shared(account()), "association", "EKS has none for it", APPLY),
    "a full cluster": (
        WELL,
        _shared(account(there=QUOTA)),
        "association",
        "takes no more than the 5000",
        None,
    ),
    "a Deny that only AWS can judge": (
        WELL,
        _shared(account(association(), statements=[PODS.render(), DENY_OUTSIDE])),
        "trust",
        f"of {ROLE} may deny it, by conditions that only AWS can evaluate: check that statement",
        None,
    ),
    "the role changed by hand": (
        WELL,
        _shared(account(association(role=OTHER_ROLE))),
        "association",
        f"is managed, and it was given {OTHER_ROLE}",
        APPLY,
    ),
    "ours, given a target role": (
        WELL,
        _shared(account(association(target_role=OTHER_ROLE))),
        "association",
        "passes on to",
        TAKEN_FIX,
    ),
    "an external one in the way": (
        WELL,
        _shared(account(association(role=OTHER_ROLE, managed=False))),
        "association",
        f"created externally names {OTHER_ROLE}",
        TAKEN_FIX,
    ),
    "an add-on's in the way": (
        WELL,
        _shared(account(association(role=OTHER_ROLE, owner_arn=ADDON))),
        "association",
        f"of add-on {ADDON}",
        None,
    ),
    "not allowed to list": (
        WELL,
        _shared(replace(account(), associations=FoundAssociations(unread="AccessDenied: no"))),
        "association",
        "could not be read: AccessDenied: no",
        [
            "aws",
            "eks",
            "list-pod-identity-associations",
            "--cluster-name",
            "spaces-prod",
            "--namespace",
            A.namespace,
            "--service-account",
            NAME,
        ],
    ),
    "another cluster's name": (
        WELL,
        _shared(replace(account(), associations=FoundAssociations(unread="is another", wrong_cluster=True))),
        "association",
        "is another",
        None,
    ),
    "our statement for pods missing": (
        WELL,
        _shared(account(association(), statements=[])),
        "trust",
        f"our statement {PODS.sid} is not in {ROLE}",
        APPLY,
    ),
    "our statement for pods changed": (
        WELL,
        _shared(account(association(), statements=[LOOSE])),
        "trust",
        "was changed externally",
        APPLY,
    ),
    "a Deny": (
        WELL,
        _shared(account(association(), statements=[PODS.render(), DENY_PODS])),
        "trust",
        "statement 2 (Sid Quarantine) of",
        _put(PODS.render()),
    ),
    "a deleted principal beside what is missing": (
        WELL,
        _shared(account(association(), statements=[DANGLING])),
        "trust",
        "which was deleted",
        _put(INSTALLATION.own_in(ROLE).render_placeholder()),
    ),
    "a role that is gone": (
        WELL,
        _shared(replace(account(association()), policies={}, unread={ROLE: "GetRole: NoSuchEntity"})),
        "role",
        "there is no role",
        [
            "aws",
            "iam",
            "create-role",
            "--role-name",
            ROLE.name,
            "--assume-role-policy-document",
            _policy(PODS.render()),
        ],
    ),
    "no ServiceAccount": (
        replace(WELL, annotations=None),
        _shared(account(association())),
        "service-account",
        "has no ServiceAccount",
        ["kubectl", "create", "-n", A.namespace, "serviceaccount", NAME],
    ),
    "an annotation of another role": (
        replace(WELL, annotations={ROLE_ARN_ANNOTATION: OTHER_ROLE}),
        _shared(account(association()), OTHER_ROLE),
        "annotation",
        "so its review associates it with none",
        [
            "kubectl",
            "annotate",
            "--overwrite",
            "-n",
            A.namespace,
            "serviceaccount",
            NAME,
            f"{ROLE_ARN_ANNOTATION}-",
        ],
    ),
    "a pod without the variable": (
        _running(variables={}),
        _shared(account(association())),
        "pods",
        f"mxp-1 carries no {URI}",
        DELETE_POD,
    ),
    "a pod with the variables of the other mode": (
        _running(variables={"AWS_ROLE_ARN": ROLE.value}),
        _shared(account(association())),
        "pods",
        f"mxp-1 carries AWS_ROLE_ARN {ROLE}, which does not trust its token, and no {URI}",
        DELETE_POD,
    ),
    "a pod with a token for another audience": (
        _running(audiences=("sts.amazonaws.com",)),
        _shared(account(association())),
        "pods",
        "has no token for pods.eks.amazonaws.com",
        DELETE_POD,
    ),
    "a pod that crashes": (
        _running(waiting="CrashLoopBackOff"),
        _shared(account(association())),
        "pods",
        "has its identity, and waits: CrashLoopBackOff",
        ["kubectl", "logs", "-n", A.namespace, "mxp-1", "--previous"],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_each_problem_is_found_once_with_the_command_that_corrects_it(case: str) -> None:
    assert_found_once(*CASES[case])


@pytest.mark.parametrize("case", CASES)
def test_in_another_context_every_command_that_asks_a_cluster_asks_that_one(case: str) -> None:
    plane, shared, *_ = CASES[case]
    assert_another_context_is_asked(plane, shared)


def test_of_a_control_plane_that_is_well_everything_was_looked_at() -> None:
    verdict = diagnose(WELL, _shared(account(association())))
    assert (verdict.worst, verdict.associates) == (Level.OK, True)
    assert [one.check for one in verdict.findings] == [
        "namespace", "annotation", "association", "trust", "room", "pods",
    ]  # fmt: skip


def test_a_right_external_association_is_well_and_called_external() -> None:
    findings = diagnose(WELL, _shared(account(association(managed=False)))).findings
    (found,) = [one for one in findings if one.check == "association"]
    assert (found.level, found.message) == (Level.OK, f"{ID} gives it {ROLE}; it is external")


def test_a_pod_from_before_the_change_of_mode_is_no_more_than_noted_while_its_trust_is_there() -> None:
    named = INSTALLATION.own_in(ROLE).render([A])
    seen = account(association(), statements=[named, PODS.render()])
    plane = replace(
        _running(variables={"AWS_ROLE_ARN": ROLE.value}), annotations={ROLE_ARN_ANNOTATION: ROLE.value}
    )
    found = [one for one in diagnose(plane, _shared(seen, ROLE.value)).findings if one.level is not Level.OK]
    assert [(one.check, one.level) for one in found] == [("annotation", Level.NOTE), ("pods", Level.NOTE)]


def test_a_webhook_whose_answers_show_nothing_is_not_called_broken() -> None:
    found, *_ = check_webhook(_shared(account(), registrations=None), Trial(None), self_managed=True)
    assert found.level is Level.NOTE
    assert "in mode pod-identity an answer changes nothing" in found.message
