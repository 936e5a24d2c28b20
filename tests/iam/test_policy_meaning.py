"""When two documents are the same policy: never by their text, always by what IAM makes of them."""

import copy
import json
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from rig.oracle import TrustOracle
from tests.iam.judging import let_in
from tests.iam.policies import (
    OWN,
    SUBJECTS,
    as_stored,
    external_documents,
    hand_edited_documents,
    shared_documents,
    stored_documents,
    subject_sets,
)
from webhook.iam.trust_policy import TrustPolicy
from webhook.model.names import Subject

any_document = st.one_of(external_documents, stored_documents, shared_documents, hand_edited_documents)


def _folded(value: Any) -> Any:
    """The same conditions with other capitals in their keys."""
    if isinstance(value, dict):
        return {key.swapcase() if key.startswith("oidc") else key: _folded(inner) for key, inner in value.items()}
    return [_folded(inner) for inner in value] if isinstance(value, list) else value


@given(st.data(), any_document)
def test_a_document_shuffled_and_unwrapped_by_iam_means_the_same(
    data: st.DataObject, document: dict[str, Any]
) -> None:
    stored = data.draw(as_stored(document))
    assert TrustPolicy.parse(stored).same_meaning(TrustPolicy.parse(document))


@given(any_document, st.sampled_from([2, "\t", "\n\n"]))
def test_white_space_means_nothing_and_takes_no_room(document: dict[str, Any], indent: int | str) -> None:
    spaced = TrustPolicy.parse(json.loads(json.dumps(document, indent=indent)))
    assert spaced.same_meaning(TrustPolicy.parse(document))
    assert spaced.size() == TrustPolicy.parse(document).size()


@given(any_document)
def test_condition_keys_mean_the_same_in_any_case(document: dict[str, Any]) -> None:
    assert TrustPolicy.parse(_folded(document)).same_meaning(TrustPolicy.parse(document))


@given(any_document)
def test_a_missing_version_is_the_oldest(document: dict[str, Any]) -> None:
    without = {key: value for key, value in document.items() if key != "Version"}
    policy = TrustPolicy.parse(without)
    assert policy.same_meaning(TrustPolicy.parse({"Version": "2008-10-17", **without}))
    assert not policy.same_meaning(TrustPolicy.parse({**without, "Version": "2012-10-17"}))


def _leaves(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of everything inside a document that can be taken away or replaced."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    found = [path] if path else []
    for key, member in inner:
        found += _leaves(member, (*path, key))
    return found


_REPLACEMENTS = ("Allow", "Deny", OWN.provider_arn, "sts:*", "*", *map(str, SUBJECTS), {}, [])


def _changed(document: dict[str, Any], data: st.DataObject) -> dict[str, Any]:
    path = data.draw(st.sampled_from(_leaves(document)))
    changed = copy.deepcopy(document)
    parent = changed
    for step in path[:-1]:
        parent = parent[step]
    if data.draw(st.booleans()):
        del parent[path[-1]]
    else:
        parent[path[-1]] = data.draw(st.sampled_from(_REPLACEMENTS))
    return changed


@given(st.data(), any_document)
def test_any_change_that_the_evaluator_sees_is_a_change_of_meaning(
    oracle: TrustOracle, data: st.DataObject, document: dict[str, Any]
) -> None:
    changed = _changed(document, data)
    try:
        seen = let_in(oracle, changed) != let_in(oracle, document)
    except ValueError:  # a document that IAM would not store
        assume(False)  # noqa: FBT003  hypothesis' way
    if seen:
        assert not TrustPolicy.parse(changed).same_meaning(TrustPolicy.parse(document))


@given(stored_documents, subject_sets, subject_sets)
def test_other_subjects_are_another_meaning(
    document: dict[str, Any], some: frozenset[Subject], others: frozenset[Subject]
) -> None:
    policy = TrustPolicy.parse(document)
    same = policy.with_subjects(OWN, some).same_meaning(policy.with_subjects(OWN, others))
    assert same is (some == others)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"Effect": "Allow"}, {"Effect": "allow"}),
        ({"Sid": "One"}, {"Sid": "one"}),
        ({"Condition": {"Bool": {"aws:SecureTransport": "true"}}}, {"Condition": {}}),
        ({"Condition": {"StringLike": {"a:sub": []}}}, {"Condition": {"StringLike": {}}}),
        ({"Principal": {"AWS": "1"}}, {"Principal": {"Federated": "1"}}),
        ({"Action": ["sts:TagSession", "sts:AssumeRole"]}, {"Action": "sts:AssumeRole"}),
    ],
    ids=str,
)
def test_what_differs_for_iam_differs_for_us(one: dict[str, Any], other: dict[str, Any]) -> None:
    first, second = (TrustPolicy.parse({"Statement": [statement]}) for statement in (one, other))
    assert not first.same_meaning(second)


@pytest.mark.parametrize(("written", "stored"), [(True, "true"), (False, ["false"]), (5, "5"), ([5, "5"], "5")])
def test_numbers_and_booleans_mean_the_same_with_and_without_quotes(written: object, stored: object) -> None:
    first, second = (
        TrustPolicy.parse({"Statement": {"Condition": {"Bool": {"aws:SecureTransport": value}}}})
        for value in (written, stored)
    )
    assert first.same_meaning(second)


def test_statements_in_another_order_mean_the_same() -> None:
    statements = [{"Sid": "A", "Effect": "Allow"}, {"Sid": "B", "Effect": "Deny"}]
    first, second = (TrustPolicy.parse({"Statement": order}) for order in (statements, statements[::-1]))
    assert first.same_meaning(second)
