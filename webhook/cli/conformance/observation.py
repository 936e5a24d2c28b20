"""What was observed of an assumption, and the verdict on it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from webhook.model.aws_errors import FailureKind

if TYPE_CHECKING:
    from webhook.cli.conformance.assumptions import Assumption
    from webhook.model.aws_errors import AwsError


class Verdict(StrEnum):
    """Whether AWS behaves as is assumed."""

    HOLDS = "holds"
    VIOLATED = "violated"
    NOT_OBSERVED = "not-observed"
    """Something kept the run from seeing it, such as a missing right."""
    NOT_ASKED = "not-asked"
    """It needs a cluster, and none was named."""


@dataclass(frozen=True, slots=True)
class Observation:
    """What AWS did, in words, and the verdict on it."""

    text: str
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the result."""

    assumption: Assumption
    observation: Observation


def judged(text: str, *, holds: bool) -> Observation:
    """What was observed, with the verdict that it has."""
    return Observation(text, Verdict.HOLDS if holds else Verdict.VIOLATED)


def not_observed(reason: object) -> Observation:
    """Why a row has no verdict."""
    return Observation(str(reason), Verdict.NOT_OBSERVED)


def says_nothing(error: AwsError) -> bool:
    """Whether AWS has not judged the request: no answer of its own came, or it is busy or broken."""
    return not error.code or error.kind in {FailureKind.THROTTLED, FailureKind.UNAVAILABLE}


def by_code(error: AwsError, expected: str) -> Observation:
    """The verdict on a refusal that should have the code `expected`.

    Raises the error where it says nothing of that, or that the caller lacks a right.
    """
    if error.code != expected and (says_nothing(error) or error.kind is FailureKind.ACCESS_DENIED):
        raise error
    return judged(error.code, holds=error.code == expected)
