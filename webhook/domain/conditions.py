"""Reading IAM conditions as far as a ServiceAccount's token decides them.

The answer is True, False, or None where the condition looks at something that the token does not say: whether the
request carries another key, and with which value, is AWS's to know. Callers choose the safe side: a grant counts
only when True, and a Deny is only out of the way when False.

Rules: IAM User Guide, "IAM JSON policy elements: Condition operators" and "Multivalued context keys".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from webhook.domain.wildcards import matches_wildcard

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

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
    return all_hold(
        _operator_holds(operator, key, values, claims)
        for operator, block in condition.items()
        for key, values in (block.items() if isinstance(block, dict) else [("", None)])
    )


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
    wanted = [str(value).lower() if isinstance(value, bool) else value for value in as_list(values)]
    if claim is None or not all(isinstance(value, str) and "${" not in value for value in wanted):
        return None
    # With one value in the token, present, ForAllValues, ForAnyValue and IfExists change nothing.
    name = operator.lower()
    for prefix in _SET_PREFIXES:
        name = name.removeprefix(prefix)
    compare = _COMPARISONS.get(name.removesuffix(_IF_EXISTS))
    return None if compare is None else compare(claim, wanted)


def _equals(claim: str, wanted: list[str]) -> bool:
    return claim in wanted


def _equals_ignoring_case(claim: str, wanted: list[str]) -> bool:
    return claim.lower() in {value.lower() for value in wanted}


def _like(claim: str, wanted: list[str]) -> bool:
    return any(matches_wildcard(value, claim) for value in wanted)


def _is_there(_: str, wanted: list[str]) -> bool:
    return "false" in {value.lower() for value in wanted}


def _not(compare: Callable[[str, list[str]], bool]) -> Callable[[str, list[str]], bool]:
    return lambda claim, wanted: not compare(claim, wanted)


_COMPARISONS: dict[str, Callable[[str, list[str]], bool]] = {
    "stringequals": _equals,
    "stringnotequals": _not(_equals),
    "stringequalsignorecase": _equals_ignoring_case,
    "stringnotequalsignorecase": _not(_equals_ignoring_case),
    "stringlike": _like,
    "stringnotlike": _not(_like),
    "null": _is_there,
}
