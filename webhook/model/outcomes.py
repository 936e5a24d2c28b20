"""What became of a grant."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from webhook.model.aws_errors import FailureKind
    from webhook.model.names import RoleArn


class TrustSource(StrEnum):
    """How we know that the subject is trusted."""

    WRITTEN = "written"
    """We have written it just now."""
    ALREADY = "already"
    """Our statement, or our association, was there already."""
    EXTERNAL = "external"
    """An external statement, or an external association, gives it."""
    UNMANAGED = "unmanaged"
    """Nothing was asked: trust is external in mode annotate, and a dry run makes no call."""


@dataclass(frozen=True, slots=True)
class Trusted:
    """`role` trusts the subject, or is taken to do so (UNMANAGED)."""

    role: RoleArn
    source: TrustSource
    doubt: str = ""
    """A sentence about an external Deny that may deny the subject all the same; empty where there is none."""

    @property
    def label(self) -> str:
        """The source in one word; `uncertain` where a Deny may hold."""
        return "uncertain" if self.doubt else self.source.value


@dataclass(frozen=True, slots=True)
class Untrusted:
    """`role` does not trust the subject yet; `reason` is a sentence for a person."""

    role: RoleArn
    kind: FailureKind
    reason: str


Outcome = Trusted | Untrusted
