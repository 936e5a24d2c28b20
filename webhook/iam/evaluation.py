"""Whether one statement of a trust policy concerns a request: True, False, or None where it may.

AWS knows more of a request than we do, and its grammar grows. So an element, a principal or a condition that is
not read here leaves the answer open (None). Callers choose the safe side: a grant counts only if True, and a Deny
is ruled out only if False.

Rules: IAM User Guide, "IAM JSON policy elements: Condition operators" and "Multivalued context keys".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from webhook.model.wildcards import as_expression, matches_wildcard

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from webhook.iam.trust_policy import Statement

    ByClaim = Callable[[str], bool | None]
    Test = Callable[[str], bool]

_READ_HERE = frozenset({"Sid", "Effect", "Principal", "Action", "NotAction", "Condition"})
_SET_PREFIXES = ("forallvalues:", "foranyvalue:")
_IF_EXISTS = "ifexists"


def allows(
    statement: Statement, kind: str, principal: str, actions: Iterable[str], claims: Mapping[str, str]
) -> bool | None:
    """Whether the statement names the principal and allows it all of `actions`.

    `claims` are the values of the request by lower-case condition key.
    """
    concerned = _is_allowed(statement, kind, principal, actions)
    return all_hold([concerned, conditions_hold(statement.get("Condition"), claims)])


def denies(
    statement: Statement, kind: str, principal: str, actions: Iterable[str], claims: Mapping[str, str]
) -> bool | None:
    """Whether it denies the principal any of `actions`."""
    concerned = _is_denied(statement, kind, principal, actions)
    return all_hold([concerned, conditions_hold(statement.get("Condition"), claims)])


def allows_by(  # noqa: PLR0913, PLR0917  as `allows`, and the claim that varies
    statement: Statement, kind: str, principal: str, actions: Iterable[str], claims: Mapping[str, str], key: str
) -> ByClaim | None:
    """`allows` as a function of one more claim, whose condition key is `key`; None where it never allows."""
    return _statement_by_claim(_is_allowed(statement, kind, principal, actions), statement, claims, key)


def denies_by(  # noqa: PLR0913, PLR0917  as `denies`, and the claim that varies
    statement: Statement, kind: str, principal: str, actions: Iterable[str], claims: Mapping[str, str], key: str
) -> ByClaim | None:
    """`denies` as a function of one more claim, likewise."""
    return _statement_by_claim(_is_denied(statement, kind, principal, actions), statement, claims, key)


def may_allow_any(
    statement: Statement, kind: str, principal: str, actions: Iterable[str], of: Iterable[Mapping[str, str]]
) -> bool:
    """Whether it allows, or may allow, a request with one `of` several sets of claims."""
    return any(allows(statement, kind, principal, actions, claims) is not False for claims in of)


def unnamed_claims(
    statement: Statement, claims: Mapping[str, str], key: str, unnamed: str
) -> list[dict[str, str]]:
    """`claims` with values of `key`, in lower case, that the statement does not name.

    One is `unnamed`. The others fit its patterns, one each.
    """
    patterns = [
        str(value)
        for _, name, values in conditions_of(statement)
        for value in values
        if name.lower() == key and not {"*", "?"}.isdisjoint(str(value))
    ]
    fitting = [pattern.replace("*", unnamed).replace("?", "x") for pattern in patterns]
    return [{**claims, key: value} for value in (unnamed, *fitting)]


def conditions_of(statement: Statement) -> Iterator[tuple[str, str, list[Any]]]:
    """Operator, key and values of each of its conditions; what is no block of them is left out."""
    condition = statement.get("Condition")
    for operator, block in condition.items() if isinstance(condition, dict) else ():
        for key, values in block.items() if isinstance(block, dict) else ():
            yield operator, key, as_list(values)


def principals(statement: Statement, kind: str) -> list[str]:
    """Its principals of one kind."""
    principal = statement.get("Principal")
    if not isinstance(principal, dict):
        return []
    return [value for value in as_list(principal.get(kind, [])) if isinstance(value, str)]


def _is_allowed(statement: Statement, kind: str, principal: str, actions: Iterable[str]) -> bool | None:
    if statement.get("Effect") != "Allow" or principal not in principals(statement, kind):
        return False
    return all_hold([*(covers(statement, action) for action in actions), _is_understood(statement)])


def _is_denied(statement: Statement, kind: str, principal: str, actions: Iterable[str]) -> bool | None:
    if statement.get("Effect") != "Deny":
        return False
    covered = [covers(statement, action) for action in actions]
    covers_any = True if True in covered else None if None in covered else False
    return all_hold([_concerns(statement, kind, principal), covers_any, _is_understood(statement)])


def _statement_by_claim(
    concerned: bool | None,  # noqa: FBT001  as the functions above answer
    statement: Statement,
    claims: Mapping[str, str],
    key: str,
) -> ByClaim | None:
    holds = None if concerned is False else conditions_by_claim(statement.get("Condition"), claims, key)
    if holds is None or concerned:
        return holds
    # Whether the statement concerns the request is not known, so that it holds is no certain answer.
    return lambda value: False if holds(value) is False else None


def _is_understood(statement: Statement) -> bool | None:
    return True if statement.keys() <= _READ_HERE else None


def _concerns(statement: Statement, kind: str, principal: str) -> bool | None:
    """Whether its principals include this one, by its name or by `*`."""
    named = statement.get("Principal")
    if named == "*" or "*" in principals(statement, "AWS"):
        return True
    if not isinstance(named, dict):
        return None  # NotPrincipal: all that it does not name, by rules that need the account's own names
    return not {principal, "*"}.isdisjoint(principals(statement, kind))


def covers(statement: Statement, action: str) -> bool | None:
    """Whether a statement is about an action; None where that is not known."""
    if "NotAction" in statement:
        named = _names(statement["NotAction"], action)
        return None if named is None else not named
    return _names(statement.get("Action", []), action)


def _names(patterns: Any, action: str) -> bool | None:
    if not all(isinstance(pattern, str) for pattern in as_list(patterns)):
        return None
    return any(matches_wildcard(pattern.lower(), action.lower()) for pattern in as_list(patterns))


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


def conditions_by_claim(
    condition: Any, claims: Mapping[str, str], key: str
) -> Callable[[str], bool | None] | None:
    """`conditions_hold` as a function of one more claim, `key` in lower case; None where it never holds.

    All other conditions are judged once, so that thousands of values are judged quickly.
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
    """Operator, key and values of each condition; what is not a block counts as one without a key."""
    return [
        (operator, key, values)
        for operator, block in condition.items()
        for key, values in (block.items() if isinstance(block, dict) else [("", None)])
    ]


def all_hold(answers: Iterable[bool | None]) -> bool | None:
    """Parts joined by AND: one False decides; else one unknown part leaves the answer unknown."""
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
    # The claim is there, with one value: then ForAllValues, ForAnyValue and IfExists change nothing.
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
