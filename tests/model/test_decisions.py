"""Which ServiceAccounts get a role, are left alone or are refused; the cases are in cases/decisions.yaml."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tests.model.selecting import bindings, labels, namespace_names
from webhook.model.bindings import Binding, ExistingAnnotation, Mode
from webhook.model.decisions import (
    Account,
    Grant,
    Ignore,
    IgnoreReason,
    LiveNamespace,
    Refuse,
    decide,
    wanted_grants,
)
from webhook.model.names import RoleArn, Subject
from webhook.model.selectors import NamePattern, NamespaceSelector, Operator, Requirement

TABLE: dict[str, Any] = yaml.safe_load((Path(__file__).parent / "cases" / "decisions.yaml").read_text())


def _binding(name: str) -> Binding:
    given = TABLE["bindings"][name]
    return Binding(
        name=name,
        service_account=given["service_account"],
        namespaces=NamespaceSelector(
            (Requirement(given["label"], Operator.EXISTS),) if given["label"] else (),
            NamePattern(given["pattern"]),
        ),
        mode=Mode(given["mode"]),
        roles=tuple(map(RoleArn, given["roles"])),
        existing_annotation=ExistingAnnotation(given["existing_annotation"]),
    )


def _account(case: dict[str, Any]) -> Account:
    given = {**TABLE["usual"]["account"], **case.get("account", {})}
    return Account(given["namespace"], given["name"], given.get("annotation"), given.get("being_deleted", False))


def _namespace(case: dict[str, Any]) -> LiveNamespace | None:
    if case.get("namespace", {}) is None:
        return None
    given = {**TABLE["usual"]["namespace"], **case.get("namespace", {})}
    return LiveNamespace(given["name"], "uid", given["labels"], given.get("terminating", False))


@pytest.mark.parametrize("case", TABLE["cases"], ids=lambda case: case["case"])
def test_the_decision_is_the_one_in_the_table(case: dict[str, Any]) -> None:
    bound = tuple(map(_binding, case.get("bindings", TABLE["usual"]["bindings"])))
    account = _account(case)
    match decide(account, _namespace(case), bound):
        case Grant() as decision:
            annotated = RoleArn(case["annotated"]) if "annotated" in case else None
            assert decision == Grant(Subject(account.namespace, account.name), _binding(case["grant"]), annotated)
        case Ignore(reason, warning):
            assert reason == case["ignore"]
            assert (warning is not None) is (reason is IgnoreReason.EXTERNAL_ROLE)
            assert all(words in (warning or "") for words in case.get("says", []))
        case Refuse(reason, instead):
            assert all(words in reason for words in case["refuse"])
            assert (instead.binding.name if instead else None) == case.get("instead")


def test_every_reason_to_ignore_is_in_the_table() -> None:
    assert {case["ignore"] for case in TABLE["cases"] if "ignore" in case} == set(IgnoreReason)


@pytest.mark.parametrize("binding", ["backup", "deny"])
def test_a_very_long_annotation_is_shown_short(binding: str) -> None:
    account = Account("mxp-1-system", "mxp-controller", "x" * 100_000)
    decision = decide(account, _namespace({}), (_binding(binding),))
    assert isinstance(decision, Ignore | Refuse)
    said = decision.warning if isinstance(decision, Ignore) else decision.reason
    assert said
    assert "xxx..." in said
    assert len(said) < 300


accounts = st.builds(
    Account,
    namespace_names,
    st.sampled_from(["mxp-controller", "default", "", "a b"]),
    st.none() | st.sampled_from(["", "arn:aws:iam::123456789012:role/one", "arn:aws:iam::999999999999:role/x"]),
    st.booleans(),
)
namespaces = st.builds(LiveNamespace, namespace_names, st.just("uid"), labels, st.booleans())
binding_lists = st.lists(bindings, max_size=3).map(tuple)


@given(accounts, st.none() | namespaces, binding_lists)
def test_no_role_is_given_in_a_namespace_that_no_binding_selects(
    account: Account, namespace: LiveNamespace | None, bound: tuple[Binding, ...]
) -> None:
    matching = [
        binding
        for binding in bound
        if namespace is not None
        and namespace.name == account.namespace
        and binding.service_account == account.name
        and binding.selects(account.namespace, namespace.labels)
    ]
    decision = decide(account, namespace, bound)
    if isinstance(decision, Grant):
        assert decision.binding == matching[0]
        assert namespace is not None
        assert not namespace.terminating
        assert not account.being_deleted
        assert decision.annotated is None or decision.annotated in decision.binding.roles
    if not matching:
        assert isinstance(decision, Ignore)


@given(st.lists(namespaces, max_size=4, unique_by=lambda namespace: namespace.name), binding_lists, st.data())
def test_what_the_cluster_wants_is_what_each_review_would_be_granted_or_corrected_to(
    live: list[LiveNamespace], bound: tuple[Binding, ...], data: st.DataObject
) -> None:
    """What is there already cannot be refused: where another binding lists its role, it gets its own binding's."""
    names = sorted({binding.service_account for binding in bound})
    there = {
        (namespace.name, name): Account(namespace.name, name, data.draw(accounts).role_annotation)
        for namespace in live
        for name in names
        if data.draw(st.booleans())
    }
    wanted = wanted_grants(live, there, bound)
    reviewed = [
        decide(there.get((namespace.name, name), Account(namespace.name, name)), namespace, bound)
        for namespace in sorted(live, key=lambda namespace: namespace.name)
        for name in names
    ]
    due = [decision.instead if isinstance(decision, Refuse) else decision for decision in reviewed]
    assert wanted == [decision for decision in due if isinstance(decision, Grant)]


def test_a_selected_namespace_is_wanted_before_its_service_account_exists() -> None:
    namespace = _namespace({})
    assert namespace is not None
    (grant,) = wanted_grants([namespace], {}, (_binding("backup"),))
    assert grant.subject == Subject("mxp-1-system", "mxp-controller")


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("annotated", [True, False])
def test_a_new_pod_carries_the_annotated_role_but_not_beside_an_association(mode: Mode, annotated: bool) -> None:  # noqa: FBT001
    role = RoleArn("arn:aws:iam::123456789012:role/mxp-backup")
    everywhere = NamespaceSelector(pattern=NamePattern("mxp-*-system"))
    binding = Binding("backup", "mxp-controller", everywhere, mode, (role,))
    grant = Grant(Subject("mxp-1-system", "mxp-controller"), binding, role if annotated else None)
    assert grant.role_of_pods == (role if annotated and mode is not Mode.POD_IDENTITY else None)
