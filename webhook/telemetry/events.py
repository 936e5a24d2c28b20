"""Kubernetes Events: what the owner of an object sees with `kubectl describe`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

TRUST_PENDING = "TrustPending"
"""The reason of an Event: a ServiceAccount was created before its role trusts it, or is associated with it."""


@dataclass(frozen=True, slots=True)
class EventSubject:
    """The object that an Event is about."""

    kind: Literal["ServiceAccount", "Pod", "Deployment"]
    namespace: str
    name: str
    uid: str | None = None


class Events(Protocol):
    """Where Events go. Never raises and never waits: an Event that cannot be written is logged and dropped."""

    def warn(self, about: EventSubject, reason: str, message: str) -> None:
        """Write a Warning."""

    def note(self, about: EventSubject, reason: str, message: str) -> None:
        """Write a Normal Event."""
