"""What is needed of the place that replicas share, and of the place that callers trust."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Stored:
    """What the store held at a version. `origin` is the store's own object, so that other fields are kept."""

    data: Mapping[str, bytes] = field(repr=False)
    version: str
    origin: Any = field(default=None, repr=False)


@dataclass(frozen=True)
class Announced:
    """The authorities that callers trust, as PEM, once for each place that names them, at a version."""

    bundles: tuple[bytes, ...]
    version: str


class Store(Protocol):
    """One object that all replicas share, changed only by compare-and-swap. All raise StoreError.

    The object itself is made by others, with nothing in it; where it is missing is a StoreError too.
    """

    async def read(self) -> Stored:
        """What it holds now."""

    async def write(self, data: Mapping[str, bytes], replacing: Stored) -> Stored | None:
        """Write `data` in the place of that version; None where it has changed since."""


class Trust(Protocol):
    """Where callers read which authorities to trust. Both raise StoreError."""

    async def announced(self) -> Announced | None:
        """What callers trust now, or None where no webhook is registered, so that there are no callers."""

    async def announce(self, ca_bundle: bytes, replacing: Announced) -> bool:
        """Have callers trust `ca_bundle`, in all places; False where that version has changed since."""
