"""Reading IAM conditions as far as a ServiceAccount's token decides them.

The answer is True, False, or None where the condition looks at something that the token does not say: whether the
request carries another key, and with which value, is AWS's to know. Callers choose the safe side: a grant counts
only when True, and a Deny is only out of the way when False.

Rules: IAM User Guide, "IAM JSON policy elements: Condition operators" and "Multivalued context keys".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from webhook.model.wildcards import as_expression

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    Test = Callable[[str], bool]

_SET_PREFIXES = ("forallvalues:", "foranyvalue:")
_IF_EXISTS = "ifexists"


def conditions_hold(condition: Any, claims: Mapping[str, str]) -> bool | None:
    """Whether a statement's Condition block holds for a token.

    `claims` maps lower-case condition keys (`<issuer>:sub`) to the token's values. Blocks and keys are joined by
    AND, so one False decides; an unknown part leaves the answer unknown.
    """
    if condition is None:
        return True
    if not isinstance(condition, dict):
        return None
    return all_hold(_operator_holds(*part, claims) for part in _parts(condition))


def by_claim(condition: Any, claims: Mapping[str, str], key: str) -> Callable[[str], bool | None] | None:
    """`conditions_hold` by the value of one claim more, `key` in lower case; None where it never holds.

    All else is judged once, so that thousands of values are judged quickly.
    """
    if not isinstance(condition, dict | None):
        return lambda _: None
    tests: list[Test] = []
    rest: list[bool | None] = []
    for operator, name, values in _parts(condition or {}):
        test = _test(operator, values) if name.lower() == key else None
        if test is not None:
            tests.append(test)
        else:
            rest.append(_operator_holds(operator, name, values, claims))
    others = all_hold(rest)
    if others is False:
        return None

    def holds(value: str) -> bool | None:
        for test in tests:  # no generator: this is where the time goes
            if not test(value):
                return False
        return others

    return holds


def _parts(condition: dict[str, Any]) -> list[tuple[str, str, Any]]:
    """Operator, key and values of each condition; a block that is none has no key."""
    return [
        (operator, key, values)
        for operator, block in condition.items()
        for key, values in (block.items() if isinstance(block, dict) else [("", None)])
    ]


def all_hold(answers: Iterable[bool | None]) -> bool | None:
    """Parts joined by AND: one False decides, else one that is unknown leaves all of it unknown."""
    known = True
    for answer in answers:
        if answer is False:
            return False
        known = known and answer is not None
    return True if known else None


def as_list(value: Any) -> list[Any]:
    """IAM writes a one-element list as the element alone."""
    return value if isinstance(value, list) else [value]


def _operator_holds(operator: str, key: str, values: Any, claims: Mapping[str, str]) -> bool | None:
    claim = claims.get(key.lower())
    test = None if claim is None else _test(operator, values)
    return None if claim is None or test is None else test(claim)


def _test(operator: str, values: Any) -> Test | None:
    """What an operator asks of a claim; None where that is not read here."""
    wanted = [str(value).lower() if isinstance(value, bool) else value for value in as_list(values)]
    if not all(isinstance(value, str) and "${" not in value for value in wanted):
        return None
    # With one value in the token, present, ForAllValues, ForAnyValue and IfExists change nothing.
    name = operator.lower()
    for prefix in _SET_PREFIXES:
        name = name.removeprefix(prefix)
    make = _TESTS.get(name.removesuffix(_IF_EXISTS))
    return None if make is None else make(wanted)


def _equals(wanted: list[str]) -> Test:
    return frozenset(wanted).__contains__


def _equals_ignoring_case(wanted: list[str]) -> Test:
    lower = {value.lower() for value in wanted}
    return lambda claim: claim.lower() in lower


def _like(wanted: list[str]) -> Test:
    fits = as_expression(tuple(wanted)).fullmatch
    return lambda claim: fits(claim) is not None


def _is_there(wanted: list[str]) -> Test:
    is_wanted = "false" in {value.lower() for value in wanted}
    return lambda _: is_wanted


def _not(make: Callable[[list[str]], Test]) -> Callable[[list[str]], Test]:
    def negated(wanted: list[str]) -> Test:
        test = make(wanted)
        return lambda claim: not test(claim)

    return negated


_TESTS: dict[str, Callable[[list[str]], Test]] = {
    "stringequals": _equals,
    "stringnotequals": _not(_equals),
    "stringequalsignorecase": _equals_ignoring_case,
    "stringnotequalsignorecase": _not(_equals_ignoring_case),
    "stringlike": _like,
    "stringnotlike": _not(_like),
    "null": _is_there,
}
