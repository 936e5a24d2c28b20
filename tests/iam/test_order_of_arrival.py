"""Two replicas that hear of the same ServiceAccounts in different orders write the same document."""

from collections.abc import Iterable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.iam.policies import (
    OWN,
    external_documents,
    hand_edited_documents,
    shared_documents,
    stored_documents,
    subject_sets,
)
from webhook.iam.amendment import amend
from webhook.iam.trust_policy import TrustPolicy
from webhook.model.names import Subject

_ENDLESS = 131072

any_document = st.one_of(external_documents, stored_documents, shared_documents, hand_edited_documents)


def _in_batches(policy: TrustPolicy, batches: Iterable[list[Subject]]) -> TrustPolicy:
    for batch in [[], *batches]:
        policy = amend(policy, OWN, frozenset(), batch, _ENDLESS).policy
    return policy


@given(any_document, subject_sets, st.data())
def test_the_same_subjects_in_any_order_and_in_any_batches_give_the_same_text(
    document: dict[str, Any], wanted: frozenset[Subject], data: st.DataObject
) -> None:
    one, other = (data.draw(st.permutations(sorted(wanted, key=str))) for _ in range(2))
    cut = data.draw(st.integers(0, len(other)))
    policy = TrustPolicy.parse(document)
    at_once = _in_batches(policy, [list(one)])
    one_by_one = _in_batches(policy, [[subject] for subject in other])
    in_two = _in_batches(policy, [list(other[:cut]), list(other[cut:])])
    assert at_once.text() == one_by_one.text() == in_two.text()
