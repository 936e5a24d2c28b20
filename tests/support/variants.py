"""Variants of one claim: a few are tried in `make test`, all of them in `make proof`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterable


def variants(values: Iterable[Any], *few: Any) -> list[Any]:
    """Parameters of a test: `make test` runs `few` of these values, or the first one where none is named.

    Raises ValueError for one of `few` that is no value.
    """
    every = list(values)
    chosen = list(few) or every[:1]
    if unknown := [one for one in chosen if one not in every]:
        raise ValueError(f"no variant: {unknown}")
    return [one if one in chosen else pytest.param(one, marks=pytest.mark.proof) for one in every]
