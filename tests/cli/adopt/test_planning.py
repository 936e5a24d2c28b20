"""The whole plan of an adoption, from snapshots: roles, associations, and what a person asked for."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from tests.iam.policies import ISSUER, OWN, ROLE
from tests.support.associating import (
    ADDON,
    BINDING,
    DANGLING,
    INSTALLATION,
    NAME,
    OTHER_ROLE,
    A,
    B,
    account,
    association,
    cluster,
)
from tests.support.hand_written import guided, wildcard
from tests.support.pods import CLUSTER
from webhook.cli.adopt.command import adoption_document, adoption_lines, summary
from webhook.cli.adopt.planning import Adoption, Asked, check_asked, plan_adoption
from webhook.iam.trust_policy import TrustPolicy
from webhook.model.bindings import Binding, Mode
from webhook.model.decisions import Account
from webhook.model.errors import InvalidNameError
from webhook.model.names import RoleArn
from webhook.model.selectors import NamePattern, NamespaceSelector
from webhook.planning.binding_matches import ProblemKind
from webhook.planning.snapshot import AccountSnapshot, ClusterSnapshot, Installation
from webhook.podidentity.association import Ownership

if TYPE_CHECKING:
    from webhook.podidentity.association import Association

SECOND = RoleArn(OTHER_ROLE)
POOL = Binding("pool", NAME, NamespaceSelector(pattern=NamePattern("mxp-*-system")), Mode.IRSA, (ROLE, SECOND))
IRSA = Installation("mxp-identity", ISSUER, (POOL,))
CANARY = Ownership(CLUSTER, "canary").tags()


def _roles(**statements: list[dict[str, Any]]) -> AccountSnapshot:
    policies = {"first": ROLE, "second": SECOND}
    found = {policies[name]: TrustPolicy({"Statement": some}) for name, some in statements.items()}
    return AccountSnapshot(found, quota=2048)


def _associated(*found: Association, asked: Asked | None = None) -> Adoption:
    return plan_adoption(INSTALLATION, cluster(A, B), account(*found), {}, asked or Asked())


def test_a_hand_made_association_that_gives_the_bound_role_becomes_managed() -> None:
    plan = _associated(association(managed=False), association(B))
    assert [found.subject for found in plan.tagged] == [A]
    assert (plan.untagged, plan.has_changes) == ((), True)
    assert "associations to tag: 1" in summary(plan)


HAND_MADE = f"association a-{A.namespace} created externally"
NO_TAGS = "disables session tags, which the trust policy needs: delete it, and it is recreated with them"
LEFT: dict[str, tuple[Association, Asked, str]] = {
    "of an add-on": (association(managed=False, owner_arn=ADDON), Asked(), f"it is of add-on {ADDON}"),
    "of another installation": (
        association(managed=False, tags=CANARY),
        Asked(),
        f"it is of installation canary in cluster {CLUSTER}",
    ),
    "kept": (
        association(managed=False),
        Asked(keep=frozenset({f"a-{A.namespace}"})),
        "it is kept, as --keep says",
    ),
    "with another role": (
        association(managed=False, role=OTHER_ROLE),
        Asked(),
        f"{HAND_MADE} names {OTHER_ROLE}: delete it, and it is recreated with {ROLE}",
    ),
    "without session tags": (
        association(managed=False, session_tags=False),
        Asked(),
        f"{HAND_MADE} {NO_TAGS}",
    ),
}


@pytest.mark.parametrize(("found", "asked", "why"), LEFT.values(), ids=LEFT)
def test_any_other_external_association_stays(found: Association, asked: Asked, why: str) -> None:
    plan = _associated(found, asked=asked)
    assert plan.tagged == ()
    assert [left.why for left in plan.untagged] == [why]


def test_an_association_that_no_binding_is_for_is_not_looked_at() -> None:
    plan = plan_adoption(INSTALLATION, cluster(A), account(association(B, managed=False)), {}, Asked())
    assert (plan.tagged, plan.untagged) == ((), ())


def test_associations_that_could_not_be_read_are_a_problem() -> None:
    plan = plan_adoption(INSTALLATION, cluster(A), account(unread="ListPodIdentityAssociations: no"), {}, Asked())
    assert [problem.kind for problem in plan.problems] == [ProblemKind.ASSOCIATIONS_UNREAD]


def test_trust_in_a_role_that_the_annotation_does_not_name_stays_where_the_named_one_trusts_it_too() -> None:
    both = _roles(first=[guided(OWN, A)], second=[guided(OWN, A)])
    first, second = plan_adoption(IRSA, cluster(A, annotation=ROLE.value), both, {}, Asked()).roles
    assert [role.has_changes for role in (first, second)] == [True, False]
    assert second.left[0].why == (
        f"{A.namespace}/{NAME}: its annotation names another role of its binding, which trusts it"
    )


def test_one_binding_alone_has_its_own_roles_and_service_accounts_looked_at() -> None:
    others = replace(POOL, name="others", namespaces=NamespaceSelector(pattern=NamePattern("mxp-b-*")))
    installation = replace(IRSA, bindings=(others, POOL))
    there = _roles(first=[guided(OWN, A), guided(OWN, B)])
    asked = Asked(binding="pool")
    (role,) = plan_adoption(installation, cluster(A, B), there, {}, asked).roles
    assert [one.subjects for one in role.taken] == [{A}]
    assert [left.why for left in role.left] == [f"{B.namespace}/{NAME}: binding others selects it"]
    elsewhere = replace(installation, bindings=(replace(others, roles=(SECOND,)), replace(POOL, roles=(ROLE,))))
    assert plan_adoption(elsewhere, cluster(A), there, {}, Asked(binding="others")).roles == ()


def test_a_role_of_the_pool_keeps_a_wildcard_for_those_that_it_is_annotated_for() -> None:
    """One that another role of the pool is annotated for, and one that has none yet, do not use it."""
    accounts = {(A.namespace, NAME): Account(A.namespace, NAME, ROLE.value)}
    there = cluster(A, B)
    there = ClusterSnapshot(there.namespaces, {**there.accounts, **accounts}, there.at)
    (role,) = plan_adoption(
        IRSA,
        there,
        AccountSnapshot({ROLE: TrustPolicy({"Statement": [wildcard(OWN, "system:*")]})}, quota=2048),
        {A: ROLE.value, B: None},
        Asked(replace_wildcards=True),
    ).roles
    assert role.after.subjects(OWN) == {A}
    assert [(one.subject, one.is_annotated) for one in role.losing] == [(B, False)]


def test_a_deleted_principal_is_a_problem_only_where_something_would_be_written() -> None:
    for statements, kinds in (
        ([guided(OWN, A), DANGLING], [ProblemKind.DANGLING]),
        ([guided(OWN, B), DANGLING], []),
    ):
        plan = plan_adoption(IRSA, cluster(A), _roles(first=statements), {}, Asked())
        assert [problem.kind for problem in plan.problems] == kinds


def test_a_role_that_could_not_be_read_is_a_problem() -> None:
    plan = plan_adoption(IRSA, cluster(A), AccountSnapshot({}, {ROLE: "GetRole: AccessDenied"}), {}, Asked())
    assert [(problem.kind, problem.role) for problem in plan.problems] == [(ProblemKind.UNREAD, ROLE)]


WRONG: dict[str, tuple[Asked, str]] = {
    "a binding": (Asked(binding="bakup"), 'no binding "bakup"; available: backup'),
    "a Sid": (
        Asked(keep=frozenset({"Hand"})),
        '--keep: no external statement has the Sid "Hand", and no association that id; Sids: ByHand',
    ),
}


@pytest.mark.parametrize(("asked", "message"), WRONG.values(), ids=WRONG)
def test_a_name_that_there_is_not_is_refused_with_those_that_there_are(asked: Asked, message: str) -> None:
    there = account(association(managed=False), statements=[guided(OWN, A, sid="ByHand"), OWN.render([B])])
    with pytest.raises(InvalidNameError) as refused:
        check_asked(asked, INSTALLATION, there)
    assert str(refused.value) == message
    check_asked(Asked("backup", frozenset({"ByHand", f"a-{A.namespace}"})), INSTALLATION, there)


def test_the_plan_says_what_moves_what_is_replaced_what_loses_access_and_what_stays() -> None:
    statements = [guided(OWN, A, sid="ByHand"), wildcard(OWN, "system:*", sid="Wide"), guided(OWN, B, sid="Old")]
    policy = TrustPolicy({"Version": "2012-10-17", "Statement": statements})
    accounts = {A: ROLE.value, **{replace(B, namespace=f"other-{number:02}"): None for number in range(22)}}
    plan = plan_adoption(
        replace(IRSA, bindings=(replace(POOL, roles=(ROLE,)),)),
        cluster(A),
        AccountSnapshot({ROLE: policy}, quota=2048),
        accounts,
        Asked(replace_wildcards=True),
    )
    lines = [text for text, _ in adoption_lines(plan)]
    assert lines[:4] == [
        str(ROLE),
        f"  ~ statement 1 (Sid ByHand) moves: {A.namespace}/{NAME}",
        f"  ~ statement 2 (Sid Wide) is replaced: system:* by {A.namespace}/{NAME}",
        f"  - other-00/{NAME}  loses access; its annotation does not name the role",
    ]
    (found,) = plan.roles
    size = (
        f"{policy.size()} -> {found.after.size()} characters, room for {found.room_before} -> {found.room_after}"
    )
    counts = {
        "statements to move": 1,
        "wildcards to replace": 1,
        "associations to tag": 0,
        "ServiceAccounts that lose access": 22,
        "left as they are": 1,
        "problems": 0,
    }
    assert lines[23:] == [
        "  - and 2 more, whose annotations do not name the role",
        "  - and every ServiceAccount that is created later and that no binding selects",
        f"  i statement 3 (Sid Old) stays: {B.namespace}/{NAME}: its namespace is gone",
        f"  {OWN.sid}: {size} more",
        "",
        ", ".join(f"{name}: {count}" for name, count in counts.items()),
    ]
    (role,) = adoption_document(plan)["roles"]
    assert len(role["losing"]) == 22, "a document has all of them"
    assert role["taken"][1] == {
        "statement": 2,
        "sid": "Wide",
        "wildcards": ["system:*"],
        "serviceAccounts": [
            {"controlPlane": None, "group": None, "namespace": A.namespace, "serviceAccount": NAME}
        ],
    }


def test_a_binding_that_associates_has_no_statement_of_its_service_accounts_moved() -> None:
    plan = plan_adoption(INSTALLATION, cluster(A), account(statements=[guided(OWN, A)]), {}, Asked())
    assert [left.why for left in plan.roles[0].left] == [
        f"{A.namespace}/{NAME}: no binding wants it in this role",
    ]
    assert BINDING.associates
