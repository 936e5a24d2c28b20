"""Wildcards and policy variables: whether a value written in a policy matches a value of the request.

`*` is any run of characters, `?` any one; `${key}` is the request's value of that key, `${key, 'text'}` the same
with a default, and `${*}`, `${?}`, `${$}` are those characters themselves (IAM user guide,
reference_policies_variables). What a variable brings in is never a wildcard.
"""

import re
from collections.abc import Mapping
from functools import lru_cache

Context = Mapping[str, tuple[str, ...]]

_VARIABLE = re.compile(r"\$\{\s*(?P<key>[^},]+?)\s*(?:,\s*'(?P<default>[^']*)'\s*)?\}")


def matches(written: str, value: str, *, wildcards: bool, variables: Context | None = None) -> bool:
    """Whether `written`, out of a policy, matches `value`, out of a request; case-sensitive.

    `variables` is the request's context, or None where `${` is plain text (documents before 2012-10-17). A
    variable the request has no value for makes the whole written value match nothing.
    """
    if variables is None or "${" not in written:
        return _plain(written, wildcards=wildcards).fullmatch(value) is not None if wildcards else written == value
    expanded = _expand(written, variables, wildcards=wildcards)
    return expanded is not None and re.fullmatch(expanded, value, re.DOTALL) is not None


@lru_cache(maxsize=4096)
def _plain(written: str, *, wildcards: bool) -> re.Pattern[str]:
    return re.compile(_escape(written, wildcards=wildcards), re.DOTALL)


def _escape(text: str, *, wildcards: bool) -> str:
    escaped = re.escape(text)
    return escaped.replace(r"\*", ".*").replace(r"\?", ".") if wildcards else escaped


def _expand(written: str, variables: Context, *, wildcards: bool) -> str | None:
    parts, end = [], 0
    for found in _VARIABLE.finditer(written):
        value = _value(found["key"], found["default"], variables)
        if value is None:
            return None
        parts += [_escape(written[end : found.start()], wildcards=wildcards), re.escape(value)]
        end = found.end()
    return "".join([*parts, _escape(written[end:], wildcards=wildcards)])


def _value(key: str, default: str | None, variables: Context) -> str | None:
    if key in {"*", "?", "$"}:
        return key
    values = variables.get(key.lower(), ())
    return values[0] if len(values) == 1 else default
