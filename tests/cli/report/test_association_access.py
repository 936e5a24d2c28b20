"""Who may assume which role by a Pod Identity association, as the report has it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from tests.iam.policies import ROLE
from tests.support.associating import (
    ADDON,
    BINDING,
    DENY_PODS,
    GONE,
    INSTALLATION,
    LOOSE,
    OTHER_ROLE,
    PODS,
    A,
    B,
    account,
    association,
    cluster,
)
from tests.support.pods import CLUSTER
from webhook.cli.report.access import Access, AccessFinding, AssociationOwner
from webhook.cli.report.statements import accesses
from webhook.iam.statement import SERVICE
from webhook.model.bindings import Mode
from webhook.model.decisions import Account
from webhook.model.names import Subject
from webhook.podidentity.association import FoundAssociations, Ownership

if TYPE_CHECKING:
    from webhook.planning.snapshot import AccountSnapshot

STATEMENT = f"statement 1 (Sid {PODS.sid})"
WIDE: dict[str, Any] = {
    "Sid": "Wide",
    "Effect": "Allow",
    "Principal": {"Service": SERVICE},
    "Action": ["sts:AssumeRole", "sts:TagSession"],
}


def _lines(seen: AccountSnapshot, *planes: Subject) -> list[Access]:
    return accesses(INSTALLATION, cluster(*planes), seen, {})


def _of(
    subject: Subject | str, lines: list[Access]
) -> list[tuple[str, AccessFinding, str | None, str | None, AssociationOwner | None]]:
    """The lines of a subject: role, finding, statement, association and its owner."""
    return [
        (one.role.name, one.finding, str(one.place) if one.place else None, one.association, one.owner)
        for one in lines
        if one.principal == str(subject)
    ]


Said = tuple[str, AccessFinding, str | None, str | None, AssociationOwner | None]
ID = f"a-{A.namespace}"
DENY_OUTSIDE = {**DENY_PODS, "Condition": {"StringNotEquals": {"aws:SourceOrgID": "o-1234567890"}}}
CASES: dict[str, tuple[AccountSnapshot, list[Said]]] = {
    "by ours": (
        account(association()),
        [("mxp-backup", AccessFinding.AS_WANTED, STATEMENT, ID, AssociationOwner.THIS_INSTALLATION)],
    ),
    "by ours, and perhaps denied": (
        account(association(), statements=[PODS.render(), DENY_OUTSIDE]),
        [
            (
                "mxp-backup",
                AccessFinding.MAY_BE_DENIED,
                "statement 2 (Sid Quarantine)",
                ID,
                AssociationOwner.THIS_INSTALLATION,
            )
        ],
    ),
    "by an external one": (
        account(association(managed=False)),
        [("mxp-backup", AccessFinding.AS_WANTED, STATEMENT, ID, AssociationOwner.EXTERNAL)],
    ),
    "by an add-on's": (
        account(association(owner_arn=ADDON)),
        [("mxp-backup", AccessFinding.AS_WANTED, STATEMENT, ID, AssociationOwner.ADD_ON)],
    ),
    "by none": (account(), [("mxp-backup", AccessFinding.WANTED_NOT_ASSOCIATED, None, None, None)]),
    "by ours, and no statement allows EKS": (
        account(association(), statements=[]),
        [("mxp-backup", AccessFinding.WANTED_NOT_TRUSTED, None, ID, AssociationOwner.THIS_INSTALLATION)],
    ),
    "by ours, and an external statement": (
        account(association(), statements=[WIDE]),
        [
            (
                "mxp-backup",
                AccessFinding.AS_WANTED,
                "statement 1 (Sid Wide)",
                ID,
                AssociationOwner.THIS_INSTALLATION,
            )
        ],
    ),
    "by ours, and half of what EKS needs": (
        account(association(), statements=[{**WIDE, "Action": "sts:AssumeRole"}]),
        [("mxp-backup", AccessFinding.WANTED_NOT_TRUSTED, None, ID, AssociationOwner.THIS_INSTALLATION)],
    ),
    "by ours, and a Deny": (
        account(association(), statements=[PODS.render(), DENY_PODS]),
        [
            (
                "mxp-backup",
                AccessFinding.DENIED,
                "statement 2 (Sid Quarantine)",
                ID,
                AssociationOwner.THIS_INSTALLATION,
            )
        ],
    ),
    "ours, the role changed by hand": (
        account(association(role=OTHER_ROLE)),
        [
            ("mxp-backup", AccessFinding.WANTED_NOT_ASSOCIATED, None, ID, AssociationOwner.THIS_INSTALLATION),
            ("other", AccessFinding.CHANGED, None, ID, AssociationOwner.THIS_INSTALLATION),
        ],
    ),
    "an add-on's in the way": (
        account(association(role=OTHER_ROLE, owner_arn=ADDON)),
        [
            ("mxp-backup", AccessFinding.WANTED_NOT_ASSOCIATED, None, ID, AssociationOwner.ADD_ON),
            ("other", AccessFinding.EXTERNAL_ASSOCIATION, None, ID, AssociationOwner.ADD_ON),
        ],
    ),
    "another installation's in the way": (
        account(association(role=OTHER_ROLE, tags=Ownership(CLUSTER, "canary").tags())),
        [
            (
                "mxp-backup",
                AccessFinding.WANTED_NOT_ASSOCIATED,
                None,
                ID,
                AssociationOwner.ANOTHER_INSTALLATION,
            ),
            ("other", AccessFinding.EXTERNAL_ASSOCIATION, None, ID, AssociationOwner.ANOTHER_INSTALLATION),
        ],
    ),
    "not allowed to list": (
        replace(account(), associations=FoundAssociations(unread="AccessDenied: no")),
        [("mxp-backup", AccessFinding.NOT_KNOWN, None, None, None)],
    ),
    "the role cannot be read": (
        replace(account(association()), policies={}, unread={ROLE: "AccessDenied: no"}),
        [("mxp-backup", AccessFinding.NOT_KNOWN, None, None, None)],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_each_control_plane_has_its_association_its_owner_and_the_statement(case: str) -> None:
    seen, expected = CASES[case]
    assert _of(A, _lines(seen, A)) == expected


def test_unused_associations_are_reported_and_external_ones_as_external() -> None:
    lines = _lines(account(association(GONE), association(B, managed=False)))
    assert _of(GONE, lines) == [
        (
            "mxp-backup",
            AccessFinding.ASSOCIATED_NOT_WANTED,
            None,
            f"a-{GONE.namespace}",
            AssociationOwner.THIS_INSTALLATION,
        )
    ]
    assert _of(B, lines) == [
        ("mxp-backup", AccessFinding.EXTERNAL_ASSOCIATION, None, f"a-{B.namespace}", AssociationOwner.EXTERNAL)
    ]


def test_an_external_association_of_an_unbound_role_is_left_out() -> None:
    assert _of(B, _lines(account(association(B, role=OTHER_ROLE, managed=False)))) == []


STATEMENTS: dict[str, tuple[list[dict[str, Any]], AccessFinding, str]] = {
    "as it is written": (
        [PODS.render()],
        AccessFinding.POD_IDENTITY,
        "binding backup: EKS assumes it for ServiceAccount",
    ),
    "missing": ([], AccessFinding.WANTED_NOT_TRUSTED, "is missing"),
    "loosened": (
        [LOOSE],
        AccessFinding.CHANGED,
        "as it was changed externally, allows sts:AssumeRole, sts:TagSession",
    ),
}


@pytest.mark.parametrize("case", STATEMENTS)
def test_the_statement_for_pods_has_a_line_of_its_own(case: str) -> None:
    statements, finding, words = STATEMENTS[case]
    (line,) = [one for one in _lines(account(statements=statements)) if one.principal == SERVICE]
    assert (line.finding, words in line.why) == (finding, True), line


def test_a_subject_trusted_by_name_in_a_role_without_the_statement_for_pods_is_as_wanted() -> None:
    irsa = replace(BINDING, name="others", service_account="etcd", mode=Mode.IRSA)
    both, subject = replace(INSTALLATION, bindings=(BINDING, irsa)), Subject(A.namespace, "etcd")
    plane = replace(cluster(A), accounts={(A.namespace, "etcd"): Account(A.namespace, "etcd", ROLE.value)})
    seen = account(statements=[both.own_in(ROLE).render([subject])])
    lines = accesses(both, plane, seen, {})
    assert [one.finding for one in lines if one.principal == str(subject)] == [AccessFinding.AS_WANTED]


def test_trust_from_before_the_change_of_mode_is_reported_beside_the_association() -> None:
    named = INSTALLATION.own_in(ROLE).render([A])
    seen = account(association(), statements=[named, PODS.render()])
    lines = accesses(INSTALLATION, cluster(A, annotation=ROLE.value), seen, {})
    assert [(one.finding, one.association) for one in lines if one.principal == str(A)] == [
        (AccessFinding.AS_WANTED, None),
        (AccessFinding.AS_WANTED, ID),
    ]
