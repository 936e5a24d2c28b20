"""Which namespaces a selector means, with Kubernetes' own semantics, and when one takes all of another."""

import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.model.selecting import bindings, labels, namespace_names, patterns, requirements, selectors
from webhook.model.bindings import Binding, first_match
from webhook.model.errors import InvalidNameError
from webhook.model.selectors import NamePattern, NamespaceSelector, Operator, Requirement
from webhook.model.wildcards import matches_wildcard

ABSENT: dict[str, str] = {}


@pytest.mark.parametrize(
    ("operator", "values", "held_by"),
    [
        (Operator.IN, ["gold"], [{"tier": "gold"}]),
        (Operator.IN, ["gold", ""], [{"tier": "gold"}, {"tier": ""}]),
        (Operator.NOT_IN, ["gold"], [{"tier": "silver"}, {"tier": ""}, ABSENT]),
        (Operator.EXISTS, [], [{"tier": "gold"}, {"tier": "silver"}, {"tier": ""}]),
        (Operator.DOES_NOT_EXIST, [], [ABSENT]),
    ],
    ids=str,
)
def test_operators_mean_what_they_mean_to_kubernetes(
    operator: Operator, values: list[str], held_by: list[dict[str, str]]
) -> None:
    requirement = Requirement("tier", operator, frozenset(values))
    for given_labels in ({"tier": "gold"}, {"tier": "silver"}, {"tier": ""}, ABSENT):
        assert requirement.holds({**given_labels, "other": "gold"}) is (given_labels in held_by)


@given(selectors, namespace_names, labels)
def test_all_that_is_given_must_hold(selector: NamespaceSelector, name: str, given_labels: dict[str, str]) -> None:
    fits = selector.pattern is None or selector.pattern.matches(name)
    assert selector.selects(name, given_labels) is (
        fits and all(r.holds(given_labels) for r in selector.requirements)
    )


def test_an_empty_selector_is_refused() -> None:
    with pytest.raises(InvalidNameError, match="every namespace"):
        NamespaceSelector()


@pytest.mark.parametrize("key", ["", "a b", "-a", "a-", "a/b/c", "/a", "a/", "A.com/x", "a" * 64, "tier\n"])
def test_what_cannot_be_a_label_key_is_refused(key: str) -> None:
    with pytest.raises(InvalidNameError, match="not the key of a label"):
        Requirement(key, Operator.EXISTS)


@pytest.mark.parametrize("key", ["a", "A_b.c-9", "a" * 63, "internal.spaces.upbound.io/controlplane-name"])
def test_what_can_be_a_label_key_is_taken(key: str) -> None:
    assert Requirement(key, Operator.EXISTS).holds({key: ""})


@pytest.mark.parametrize("value", ["a b", "a/b", "-", "a" * 64])
def test_what_cannot_be_a_label_value_is_refused(value: str) -> None:
    with pytest.raises(InvalidNameError, match="not the value of a label"):
        Requirement("tier", Operator.IN, frozenset(["gold", value]))


@pytest.mark.parametrize("operator", Operator)
def test_values_are_given_exactly_where_the_operator_takes_them(operator: Operator) -> None:
    takes_values = operator in {Operator.IN, Operator.NOT_IN}
    with pytest.raises(InvalidNameError, match="at least one value" if takes_values else "takes no values"):
        Requirement("tier", operator, frozenset() if takes_values else frozenset(["gold"]))


@pytest.mark.parametrize(
    ("pattern", "fits", "fits_not"),
    [
        ("mxp-*-system", ["mxp-1-system", "mxp--system"], ["mxp-system", "amxp-1-system", "mxp-1-system-a"]),
        ("mxp-1", ["mxp-1"], ["mxp-11", "mxp-", "MXP-1", "mxp-1\n"]),
        ("*", ["a", "", "kube-system"], []),
        ("**", ["a", ""], []),
        ("a*", ["a", "ab"], ["ba"]),
        ("*a", ["a", "ba"], ["ab"]),
        ("a*a", ["aa", "aba"], ["a"]),
        ("*ab*ba*", ["abba", "xabxbax"], ["aba", "baab"]),
        ("a*bc*c", ["abcc", "abcbcc"], ["abc"]),
        ("a-b", ["a-b"], ["aXb"]),
    ],
)
def test_a_star_is_any_run_of_characters_and_all_else_is_itself(
    pattern: str, fits: list[str], fits_not: list[str]
) -> None:
    assert [name for name in (*fits, *fits_not) if NamePattern(pattern).matches(name)] == fits


@pytest.mark.parametrize(
    "pattern", ["", "-a", "a-", "MXP-*", "mxp_*", "mxp-?", "mxp.*", "a b", "[ab]", "a\n", "*-"]
)
def test_what_is_no_namespace_pattern_is_refused(pattern: str) -> None:
    with pytest.raises(InvalidNameError, match=r"mxp-\*-system"):
        NamePattern(pattern)


def _matches_slowly(pattern: str, text: str) -> bool:
    """Wildcards by their definition."""
    if not pattern:
        return not text
    if pattern[0] == "*":
        return any(_matches_slowly(pattern[1:], text[start:]) for start in range(len(text) + 1))
    return bool(text) and pattern[0] in {"?", text[0]} and _matches_slowly(pattern[1:], text[1:])


@given(st.text("ab*?.\n", max_size=7), st.text("ab.\n", max_size=7))
@example("*a?b*", "aab")
@example("a**a", "a")
def test_wildcards_match_as_they_are_defined(pattern: str, text: str) -> None:
    assert matches_wildcard(pattern, text) is _matches_slowly(pattern, text)


def test_a_pattern_of_many_stars_is_judged_at_once() -> None:
    started = time.process_time()
    assert not NamePattern("*a" * 30 + "*b").matches("a" * 63)
    assert not matches_wildcard("*?a" * 300 + "b", "a" * 3000)
    assert time.process_time() - started < 5


@given(selectors, selectors, namespace_names, labels)
def test_a_selector_that_covers_another_selects_all_that_the_other_selects(
    first: NamespaceSelector, second: NamespaceSelector, name: str, given_labels: dict[str, str]
) -> None:
    if first.covers(second) and second.selects(name, given_labels):
        assert first.selects(name, given_labels)


@given(requirements, requirements, labels)
def test_a_requirement_that_follows_from_another_holds_where_the_other_does(
    one: Requirement, other: Requirement, given_labels: dict[str, str]
) -> None:
    if one.follows_from(other) and other.holds(given_labels):
        assert one.holds(given_labels)


@given(patterns, patterns, namespace_names)
def test_a_pattern_that_covers_another_fits_all_that_the_other_fits(
    first: NamePattern, second: NamePattern, name: str
) -> None:
    if first.covers(second) and second.matches(name):
        assert first.matches(name)


@given(selectors)
def test_a_selector_covers_itself(selector: NamespaceSelector) -> None:
    assert selector.covers(selector)


@pytest.mark.parametrize(
    ("first", "second", "covers"),
    [
        ("*", "mxp-*-system", True),
        ("mxp-*", "mxp-*-system", True),
        ("mxp-*-system", "mxp-1-system", True),
        ("a*b", "a*c*b", True),
        ("mxp-*-system", "mxp-*", False),
        ("mxp-1", "mxp-*", False),
        ("a*b*c", "a*c", False),
        ("*ab*", "*a*b*", False),
    ],
)
def test_patterns_cover_what_is_narrower(first: str, second: str, covers: bool) -> None:  # noqa: FBT001
    assert NamePattern(first).covers(NamePattern(second)) is covers


_EXISTS = Requirement("tier", Operator.EXISTS)
_ABSENT = Requirement("tier", Operator.DOES_NOT_EXIST)
_GOLD = Requirement("tier", Operator.IN, frozenset(["gold"]))
_METAL = Requirement("tier", Operator.IN, frozenset(["gold", "silver"]))
_NOT_GOLD = Requirement("tier", Operator.NOT_IN, frozenset(["gold"]))
_NOT_METAL = Requirement("tier", Operator.NOT_IN, frozenset(["gold", "silver"]))
_SILVER = Requirement("tier", Operator.IN, frozenset(["silver"]))


@pytest.mark.parametrize(
    ("given_one", "follows"),
    [
        (_GOLD, [_EXISTS, _GOLD, _METAL]),
        (_METAL, [_EXISTS, _METAL]),
        (_SILVER, [_EXISTS, _METAL, _NOT_GOLD, _SILVER]),
        (_EXISTS, [_EXISTS]),
        (_ABSENT, [_ABSENT, _NOT_GOLD, _NOT_METAL]),
        (_NOT_METAL, [_NOT_GOLD, _NOT_METAL]),
        (_NOT_GOLD, [_NOT_GOLD]),
    ],
    ids=["gold", "gold or silver", "silver", "there", "not there", "neither gold nor silver", "not gold"],
)
def test_every_implication_between_requirements_is_seen(
    given_one: Requirement, follows: list[Requirement]
) -> None:
    everything = [_EXISTS, _ABSENT, _GOLD, _METAL, _NOT_GOLD, _NOT_METAL, _SILVER]
    assert {one for one in everything if one.follows_from(given_one)} == set(follows)
    assert not any(Requirement("other", one.operator, one.values).follows_from(given_one) for one in everything)


@given(st.lists(bindings, max_size=4).map(tuple), namespace_names, labels)
def test_a_binding_that_an_earlier_one_covers_never_matches(
    bound: tuple[Binding, ...], name: str, given_labels: dict[str, str]
) -> None:
    for account in ("mxp-controller", "default"):
        match = first_match(bound, account, name, given_labels)
        for index, later in enumerate(bound):
            if any(earlier.covers(later) for earlier in bound[:index]):
                assert match is not later


@given(selectors, namespace_names, labels, labels)
def test_labels_that_a_selector_does_not_read_change_nothing(
    selector: NamespaceSelector, name: str, given_labels: dict[str, str], others: dict[str, str]
) -> None:
    seen = {key: value for key, value in given_labels.items() if key in selector.label_keys()}
    unseen = {key: value for key, value in others.items() if key not in selector.label_keys()}
    assert selector.selects(name, seen | unseen) is selector.selects(name, given_labels)
