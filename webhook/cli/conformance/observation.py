"""What was observed of an assumption, and the verdict on it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from webhook.model.aws_errors import AwsError, FailureKind

if TYPE_CHECKING:
    from webhook.cli.conformance.assumptions import Assumption


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


def by_code(error: AwsError, expected: str) -> Observation:
    """The verdict on a refusal that should have the code `expected`.

    Raises the error where it says nothing of that: AWS has not answered, or the caller lacks a right.
    """
    if error.code != expected and (not error.code or error.kind is FailureKind.ACCESS_DENIED):
        raise error
    return judged(error.code, holds=error.code == expected)
