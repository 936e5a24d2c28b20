"""Sees all that happens, keeps it as a readable schedule, and notes each broken invariant under its name."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from hashlib import sha256
from typing import TYPE_CHECKING

from tests.simulation import checks
from tests.simulation.processes import ProcessLoop

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from tests.simulation.aws import Write
    from tests.simulation.checks import Complaint
    from tests.support.simulated_iam import Document, SimulatedIam
    from webhook.domain.names import RoleArn, Subject


class Witness:
    """One run's record."""

    def __init__(self, iam: SimulatedIam, wanted: Callable[[], set[Subject]]) -> None:
        self.iam = iam
        self._wanted = wanted
        self.ever_wanted: defaultdict[str, set[Subject]] = defaultdict(set)
        self.schedule: list[tuple[float, str, str]] = []
        self.faults: Counter[str] = Counter()
        self.writes: list[Write] = []
        self.applied_writes = 0
        self.lost_edits = 0
        self.drops: list[tuple[float, Write, frozenset[Subject]]] = []
        self.in_two_roles: dict[Subject, float] = {}
        self.complaints: list[Complaint] = []
        self.broken = asyncio.Event()
        self.foreign: dict[RoleArn, Hashable] = {}
        self._confirmed: set[tuple[RoleArn, Subject]] = set()
        self._refused: dict[tuple[str, RoleArn], tuple[float, int]] = {}

    def now(self) -> float:
        """Seconds by the world's clock."""
        loop = asyncio.get_running_loop()
        assert isinstance(loop, ProcessLoop)
        return loop.world_time

    def note(self, who: str, what: str) -> None:
        """Write a line of the schedule."""
        self.schedule.append((self.now(), who, what))

    def met(self, fault: str, who: str, what: str) -> None:
        """A fault happened to somebody."""
        self.faults[fault] += 1
        self.note(who, f"!{fault} {what}")

    def complain(self, complaint: Complaint) -> None:
        """An invariant is broken."""
        self.complaints.append(complaint)
        self.note("BROKEN", f"{complaint[0]}: {complaint[1]}")
        self.broken.set()

    def cluster_changed(self) -> None:
        """Something is wanted now, or no longer."""
        self.ever_wanted["ours"] |= self._wanted()

    def sent(self, write: Write) -> None:
        """A document leaves for IAM."""
        count = len(checks.subjects_in(write.document, write.own))
        self.note(write.process.name, f"writes {write.role.name}: {count} subjects")
        self.writes.append(write)
        quota = self.iam.answered_limit or self.iam.limit
        for complaint in checks.of_sent(write, quota, self.ever_wanted[write.cluster]):
            self.complain(complaint)

    def applied(self, write: Write, before: Document) -> None:
        """A document is in force."""
        self.applied_writes += 1
        self.note("iam", f"applies {write.role.name} of {write.process.name}")
        if gone := checks.dropped(write, before):
            wanted = self._wanted()
            promised = frozenset(who for who in gone & wanted if (write.role, who) in self._confirmed)
            self.drops.append((self.now(), write, promised))
            self.note("iam", f"drops {sorted(one.namespace for one in gone)}, of them promised {len(promised)}")
        if checks.overwrites_a_foreign_edit(write, before):
            self.lost_edits += 1
            self.note("iam", "a foreign edit between the read and this write is lost")
        self._look_for_subjects_in_two_roles(write)

    def confirmed(self, write: Write) -> None:
        """IAM's answer has arrived: whoever is in the document counts as trusted."""
        for subject in checks.subjects_in(write.document, write.own):
            self._confirmed.add((write.role, subject))

    def fingerprint(self) -> str:
        """The same for two runs exactly when everything happened at the same time in the same order."""
        return sha256(repr(self.schedule).encode()).hexdigest()

    def _look_for_subjects_in_two_roles(self, write: Write) -> None:
        others = {role for role in self.iam.roles if role != write.role}
        mine = checks.subjects_in(write.document, write.own)
        for role in others:
            own = type(write.own).for_role(role, write.own.issuer, "mxp-identity")
            for subject in mine & checks.subjects_in(self.iam.document(role), own):
                self.in_two_roles.setdefault(subject, self.now())
