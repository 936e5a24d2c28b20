"""The condition operators: how one written value is compared with one value of the request.

Source: IAM user guide, reference_policies_elements_condition_operators. An operator's name is
`[ForAllValues:|ForAnyValue:]<base>[IfExists]`; what the prefix and the suffix mean is in `conditions`.
"""

import base64
import binascii
import datetime as dt
import ipaddress
from collections.abc import Callable
from dataclasses import dataclass

from rig.aws.policy.patterns import Context, matches

Comparison = Callable[[str, str, Context | None], bool]

_ARN_PARTS = 6


@dataclass(frozen=True, slots=True)
class Operator:
    """A parsed operator name. `negated` operators hold when nothing compares equal."""

    base: str
    compare: Comparison
    negated: bool
    for_all: bool
    for_any: bool
    if_exists: bool


def operator(name: str) -> Operator | None:
    """Return the operator of that name, or None when IAM has none."""
    prefix, separator, rest = name.rpartition(":")
    if separator and prefix not in {"ForAllValues", "ForAnyValue"}:
        return None
    base = rest.removesuffix("IfExists")
    if base not in _COMPARISONS or (base == "Null" and (separator or base != rest)):
        return None
    compare, negated = _COMPARISONS[base]
    return Operator(
        base=base,
        compare=compare,
        negated=negated,
        for_all=prefix == "ForAllValues",
        for_any=prefix == "ForAnyValue",
        if_exists=base != rest,
    )


def _equal(written: str, value: str, variables: Context | None) -> bool:
    return matches(written, value, wildcards=False, variables=variables)


def _equal_ignoring_case(written: str, value: str, variables: Context | None) -> bool:
    lowered = None if variables is None else {key: _lower(values) for key, values in variables.items()}
    return matches(written.lower(), value.lower(), wildcards=False, variables=lowered)


def _lower(values: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(value.lower() for value in values)


def _like(written: str, value: str, variables: Context | None) -> bool:
    return matches(written, value, wildcards=True, variables=variables)


def _arn_like(written: str, value: str, variables: Context | None) -> bool:
    """Compare ARNs part by part: a wildcard does not reach over a colon, except in the sixth part."""
    ours, theirs = written.split(":", _ARN_PARTS - 1), value.split(":", _ARN_PARTS - 1)
    if len(ours) != _ARN_PARTS or len(theirs) != _ARN_PARTS:
        return False
    return all(_like(mine, other, variables) for mine, other in zip(ours, theirs, strict=True))


def _same_boolean(written: str, value: str, _: Context | None) -> bool:
    return written.lower() in {"true", "false"} and written.lower() == value.lower()


def _same_bytes(written: str, value: str, _: Context | None) -> bool:
    try:
        return base64.b64decode(written, validate=True) == base64.b64decode(value, validate=True)
    except binascii.Error:
        return False


def _in_network(written: str, value: str, _: Context | None) -> bool:
    try:
        return ipaddress.ip_address(value) in ipaddress.ip_network(written, strict=False)
    except ValueError:
        return False


def _ordered(read: Callable[[str], float], holds: Callable[[float, float], bool]) -> Comparison:
    def compare(written: str, value: str, _: Context | None) -> bool:
        try:
            return holds(read(value), read(written))
        except ValueError:
            return False

    return compare


def _moment(text: str) -> float:
    """Read seconds since 1970, given as that number or as a W3C ISO 8601 date."""
    try:
        return float(text)
    except ValueError:
        moment = dt.datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)).timestamp()


def _orders(name: str, read: Callable[[str], float]) -> dict[str, tuple[Comparison, bool]]:
    return {
        f"{name}Equals": (_ordered(read, lambda value, written: value == written), False),
        f"{name}NotEquals": (_ordered(read, lambda value, written: value == written), True),
        f"{name}LessThan": (_ordered(read, lambda value, written: value < written), False),
        f"{name}LessThanEquals": (_ordered(read, lambda value, written: value <= written), False),
        f"{name}GreaterThan": (_ordered(read, lambda value, written: value > written), False),
        f"{name}GreaterThanEquals": (_ordered(read, lambda value, written: value >= written), False),
    }


_COMPARISONS: dict[str, tuple[Comparison, bool]] = {
    "StringEquals": (_equal, False),
    "StringNotEquals": (_equal, True),
    "StringEqualsIgnoreCase": (_equal_ignoring_case, False),
    "StringNotEqualsIgnoreCase": (_equal_ignoring_case, True),
    "StringLike": (_like, False),
    "StringNotLike": (_like, True),
    "ArnEquals": (_arn_like, False),  # the guide: ArnEquals and ArnLike behave identically
    "ArnNotEquals": (_arn_like, True),
    "ArnLike": (_arn_like, False),
    "ArnNotLike": (_arn_like, True),
    "Bool": (_same_boolean, False),
    "BinaryEquals": (_same_bytes, False),
    "IpAddress": (_in_network, False),
    "NotIpAddress": (_in_network, True),
    "Null": (_same_boolean, False),
    **_orders("Numeric", float),
    **_orders("Date", _moment),
}
