"""Why a subject does not keep a role, by the namespace and the ServiceAccount as they are."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.sites import pool, role, subject
from webhook.model.bindings import Binding, ExistingAnnotation, Mode
from webhook.model.decisions import Account, Grant, LiveNamespace, decide
from webhook.model.removal import RemovalReason, removal_reason
from webhook.model.selectors import NamespaceSelector, Operator, Requirement

FIRST, SECOND = pool(2)
ELSEWHERE = role("another-binding")
EXTERNAL = "arn:aws:iam::123456789012:role/made-by-hand"
SUBJECT = subject(1)
CONTROL_PLANE = NamespaceSelector((Requirement("control-plane", Operator.EXISTS),))
GOLD = NamespaceSelector((Requirement("gold", Operator.EXISTS),))
BINDINGS = (
    Binding("gold", SUBJECT.service_account, GOLD, Mode.ANNOTATE, (FIRST,)),
    Binding("backup", SUBJECT.service_account, CONTROL_PLANE, Mode.IRSA, (FIRST, SECOND)),
)
LIVE = LiveNamespace(SUBJECT.namespace, "uid-1", {"control-plane": "a"})
ACCOUNT = Account(SUBJECT.namespace, SUBJECT.service_account)


@dataclass(frozen=True)
class Case:
    """What the cluster shows of a subject that `FIRST` trusts."""

    cause: RemovalReason | None
    namespace: LiveNamespace | None = LIVE
    account: Account | None = ACCOUNT
    former_uid: str | None = None
    trusted_by: frozenset[str] = frozenset()
    bindings: tuple[Binding, ...] = field(default=BINDINGS)


UNLABELLED = replace(LIVE, labels={})
DENYING = tuple(replace(one, existing_annotation=ExistingAnnotation.DENY) for one in BINDINGS)

CASES = {
    "all is well": Case(None),
    "annotated with this role": Case(None, account=replace(ACCOUNT, role_annotation=FIRST.value)),
    "namespace gone": Case(RemovalReason.NAMESPACE_GONE, namespace=None, account=None),
    "namespace going": Case(None, namespace=replace(LIVE, terminating=True)),
    "label removed": Case(RemovalReason.NOT_BOUND, namespace=UNLABELLED, former_uid="uid-1"),
    "not selected, for an unknown time": Case(RemovalReason.NOT_BOUND, namespace=UNLABELLED),
    "recreated and not selected": Case(RemovalReason.NAMESPACE_REPLACED, namespace=UNLABELLED, former_uid="uid-0"),
    "recreated and selected": Case(None, former_uid="uid-0"),
    "no ServiceAccount": Case(RemovalReason.ACCOUNT_GONE, account=None),
    "ServiceAccount going": Case(None, account=replace(ACCOUNT, being_deleted=True)),
    "annotated with an unmanaged role": Case(
        RemovalReason.EXTERNAL_ROLE, account=replace(ACCOUNT, role_annotation=EXTERNAL)
    ),
    "the same, where it would be refused": Case(
        RemovalReason.EXTERNAL_ROLE, account=replace(ACCOUNT, role_annotation=EXTERNAL), bindings=DENYING
    ),
    "annotated with another role, which trusts it": Case(
        RemovalReason.OTHER_ROLE,
        account=replace(ACCOUNT, role_annotation=SECOND.value),
        trusted_by=frozenset({SECOND.value}),
    ),
    "annotated with another role, which does not": Case(
        None, account=replace(ACCOUNT, role_annotation=SECOND.value)
    ),
    "another binding comes first, which leaves trust to others": Case(
        RemovalReason.NOT_BOUND, namespace=replace(LIVE, labels={"control-plane": "a", "gold": "yes"})
    ),
    "binding removed": Case(RemovalReason.NOT_BOUND, bindings=(BINDINGS[0],)),
    "role removed from the binding": Case(
        RemovalReason.NOT_BOUND,
        bindings=(replace(BINDINGS[1], roles=(SECOND,)), replace(BINDINGS[1], roles=(ELSEWHERE,))),
    ),
}


POD_IDENTITY = (replace(BINDINGS[1], mode=Mode.POD_IDENTITY, roles=(FIRST,)),)
ASSOCIATED = {
    "wanted": Case(None, bindings=POD_IDENTITY),
    "with another role, which is corrected": Case(None, bindings=(replace(POD_IDENTITY[0], roles=(SECOND,)),)),
    "from before the mode was changed": Case(None),
    "from before the mode and the role were changed": Case(
        RemovalReason.NOT_BOUND, bindings=(replace(BINDINGS[1], roles=(SECOND,)),)
    ),
    "annotated with another role, which trusts it": Case(
        None, account=replace(ACCOUNT, role_annotation=SECOND.value), trusted_by=frozenset({SECOND.value})
    ),
    "namespace gone": Case(RemovalReason.NAMESPACE_GONE, namespace=None, account=None, bindings=POD_IDENTITY),
    "recreated and not selected": Case(
        RemovalReason.NAMESPACE_REPLACED, namespace=UNLABELLED, former_uid="uid-0", bindings=POD_IDENTITY
    ),
    "no ServiceAccount": Case(RemovalReason.ACCOUNT_GONE, account=None, bindings=POD_IDENTITY),
    "ServiceAccount going": Case(None, account=replace(ACCOUNT, being_deleted=True), bindings=POD_IDENTITY),
}
AFTER_A_CHANGE_TO_ASSOCIATIONS = {
    "annotated with the role": Case(
        None, account=replace(ACCOUNT, role_annotation=FIRST.value), bindings=POD_IDENTITY
    ),
    "not annotated": Case(RemovalReason.NOT_BOUND, bindings=POD_IDENTITY),
    "no ServiceAccount": Case(RemovalReason.NOT_BOUND, account=None, bindings=POD_IDENTITY),
}


def _cause(case: Case, *, associated: bool = False, may_still_come: bool = False) -> RemovalReason | None:
    return removal_reason(
        FIRST,
        SUBJECT,
        (case.namespace, case.account),
        case.bindings,
        associated=associated,
        former_uid=case.former_uid,
        may_still_come=may_still_come,
        trusted_by=lambda one: one.value in case.trusted_by,
    )


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_the_cause_is_what_the_cluster_shows(case: Case) -> None:
    assert _cause(case) is case.cause


@pytest.mark.parametrize("case", ASSOCIATED.values(), ids=ASSOCIATED.keys())
def test_an_association_is_removed_for_what_the_cluster_shows(case: Case) -> None:
    assert _cause(case, associated=True) is case.cause


@pytest.mark.parametrize(
    "case", AFTER_A_CHANGE_TO_ASSOCIATIONS.values(), ids=AFTER_A_CHANGE_TO_ASSOCIATIONS.keys()
)
def test_after_a_change_to_associations_trust_stays_where_pods_may_use_it_by_annotation(case: Case) -> None:
    assert _cause(case) is case.cause


@pytest.mark.parametrize("associated", [False, True])
def test_in_a_new_namespace_a_missing_service_account_is_no_reason(*, associated: bool) -> None:
    bindings = POD_IDENTITY if associated else BINDINGS
    missing = Case(None, account=None, bindings=bindings)
    assert _cause(missing, associated=associated, may_still_come=True) is None
    gone = replace(missing, namespace=None)
    assert _cause(gone, associated=associated, may_still_come=True) is RemovalReason.NAMESPACE_GONE


def test_only_a_recreated_namespace_is_not_waited_for() -> None:
    assert {cause for cause in RemovalReason if not cause.waits_for_grace} == {RemovalReason.NAMESPACE_REPLACED}


def test_each_cause_has_its_own_words() -> None:
    assert len({cause.sentence for cause in RemovalReason}) == len(RemovalReason)


@given(
    namespace=st.none()
    | st.builds(
        LiveNamespace,
        st.just(SUBJECT.namespace),
        st.sampled_from(["uid-0", "uid-1"]),
        st.dictionaries(st.sampled_from(["control-plane", "gold"]), st.just("x")),
        st.booleans(),
    ),
    account=st.none()
    | st.builds(
        Account,
        st.just(SUBJECT.namespace),
        st.just(SUBJECT.service_account),
        st.sampled_from([None, FIRST.value, SECOND.value, EXTERNAL]),
        st.booleans(),
    ),
    former_uid=st.sampled_from([None, "uid-0", "uid-1"]),
    trusted=st.frozensets(st.sampled_from([FIRST.value, SECOND.value])),
)
def test_no_subject_is_removed_from_the_role_that_a_decision_gives_it(
    namespace: LiveNamespace | None, account: Account | None, former_uid: str | None, trusted: frozenset[str]
) -> None:
    decision = decide(account or ACCOUNT, namespace, BINDINGS)
    cause = _cause(Case(None, namespace, account, former_uid, trusted))
    match decision:
        case Grant(annotated=annotated) if decision.binding.edits_trust and account and annotated in {None, FIRST}:
            assert cause is None
    if cause is None:
        assert namespace is not None
