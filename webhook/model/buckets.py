"""A bucket, as far as a caller may know it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class BucketState(StrEnum):
    """What HeadBucket answers."""

    THERE = "there"
    MISSING = "missing"
    HIDDEN = "hidden"
    """Another account's, or the caller may not look (s3:ListBucket)."""


@dataclass(frozen=True, slots=True)
class FoundBucket:
    """A bucket, and the region that it is in, where S3 says so."""

    state: BucketState
    region: str | None = None
