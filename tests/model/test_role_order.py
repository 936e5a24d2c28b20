"""The order in which a subject tries a binding's roles: agreed on without talking, and even."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from webhook.model.bindings import Binding, Mode
from webhook.model.names import RoleArn, Subject
from webhook.model.selectors import NamePattern, NamespaceSelector

ROLES = [RoleArn(f"arn:aws:iam::123456789012:role/mxp-backup-{number}") for number in range(6)]
subjects = st.integers(0, 10**6).map(lambda number: Subject(f"mxp-{number}-system", "mxp-controller"))


def _order(roles: list[RoleArn], subject: Subject) -> list[RoleArn]:
    anywhere = NamespaceSelector(pattern=NamePattern("*"))
    binding = Binding("backup", subject.service_account, anywhere, Mode.IRSA, tuple(roles))
    return list(binding.roles_in_order(subject))


@given(subjects, st.permutations(ROLES))
def test_the_order_is_the_same_however_the_binding_lists_its_roles(
    subject: Subject, listed: list[RoleArn]
) -> None:
    assert _order(listed, subject) == _order(ROLES, subject)
    assert sorted(_order(listed, subject)) == sorted(ROLES)


def test_the_order_is_the_same_in_every_process_and_version() -> None:
    # An order that changed with a release would move every subject to another role.
    order = _order(ROLES, Subject("mxp-1-system", "mxp-controller"))
    assert [role.name[-1] for role in order] == list("534102")


@given(subjects, st.integers(0, len(ROLES) - 1))
def test_a_role_added_to_the_binding_leaves_the_others_relative_order(subject: Subject, added: int) -> None:
    before = [role for role in ROLES if role != ROLES[added]]
    after = [role for role in _order(ROLES, subject) if role != ROLES[added]]
    assert after == _order(before, subject)


def test_subjects_spread_evenly_over_the_roles_in_first_and_second_choice() -> None:
    orders = [_order(ROLES, Subject(f"mxp-{number}-system", "mxp-controller")) for number in range(3000)]
    for choice in (0, 1):
        counts = Counter(order[choice] for order in orders)
        assert set(counts) == set(ROLES)
        assert all(400 < count < 600 for count in counts.values())  # 500 each would be even
    overflow = Counter(order[1] for order in orders if order[0] == ROLES[0])
    assert all(overflow[role] > 50 for role in ROLES[1:])  # a full role's subjects do not all go the same way
