"""Whether a new subject would find room, by the documents that processes were shown and sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.simulation import checks
from tests.support.sites import own_in, subject
from webhook.iam.trust_policy import TrustPolicy

if TYPE_CHECKING:
    from tests.support.simulated_iam import Document, SimulatedIam
    from webhook.model.names import RoleArn

_ONE_MORE = subject(99_999)
"""All names here are equally long."""

_REMEMBERED = 180.0
"""Seconds for which a process may believe that a role is full: a little more than the program says."""


class Room:
    """When each role was last seen full. Times are seconds by the world's clock."""

    def __init__(self, iam: SimulatedIam, roles: tuple[RoleArn, ...]) -> None:
        self._iam = iam
        self._full = dict.fromkeys(roles, float("-inf"))

    def shown(self, role: RoleArn, document: Document, now: float) -> None:
        """A process has read a document, or sends it."""
        own = own_in(role)
        more = checks.subjects_in(document, own) | {_ONE_MORE}
        if TrustPolicy(document).with_subjects(own, more).size() > self._iam.limit:
            self._full[role] = now

    def was_lacking(self, now: float) -> bool:
        """Whether every role of the pool was full a short time ago, as far as a process could know."""
        return all(at > now - _REMEMBERED for at in self._full.values())
