"""JSON patches (RFC 6902) that set one annotation and leave all others as they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

Patch = list[dict[str, Any]]

_ANNOTATIONS = "/metadata/annotations"


def annotation_patch(annotations: Mapping[str, str] | None, key: str, value: str) -> Patch:
    """The patch that makes annotation `key` say `value`; empty where it does.

    `annotations` is None where the object has none or has null there. Only `add` operations: `add` replaces a
    member that exists (RFC 6902, section 4.1), so applying the patch twice changes nothing more.
    """
    if annotations is None:
        return [{"op": "add", "path": _ANNOTATIONS, "value": {key: value}}]
    if annotations.get(key) == value:
        return []
    return [{"op": "add", "path": f"{_ANNOTATIONS}/{_escaped(key)}", "value": value}]


def _escaped(token: str) -> str:
    """A member name as a JSON pointer writes it (RFC 6901, section 3)."""
    return token.replace("~", "~0").replace("/", "~1")
