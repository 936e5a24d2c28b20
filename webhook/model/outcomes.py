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
    ALREADY = "already"
    FOREIGN = "foreign"
    UNMANAGED = "unmanaged"


@dataclass(frozen=True, slots=True)
class Trusted:
    """`role` trusts the subject; for UNMANAGED, trust is external."""

    role: RoleArn
    proof: TrustSource
    doubt: str = ""
    """A sentence about an external Deny that may keep it out all the same; empty where none does."""

    @property
    def label(self) -> str:
        """The proof in one word: `uncertain` where a Deny may hold."""
        return "uncertain" if self.doubt else self.proof.value


@dataclass(frozen=True, slots=True)
class Untrusted:
    """`role` does not trust the subject yet; `reason` is a sentence for a person."""

    role: RoleArn
    kind: FailureKind
    reason: str


Outcome = Trusted | Untrusted
