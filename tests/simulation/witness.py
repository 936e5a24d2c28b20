"""Sees all that happens, keeps it as a readable schedule, and notes each broken invariant under its name."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from hashlib import sha256
from typing import TYPE_CHECKING

from tests.simulation import checks
from tests.simulation.processes import ProcessLoop
from tests.simulation.replica import neighbours_own_in
from tests.support.sites import own_in

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from tests.simulation.aws import Write
    from tests.simulation.checks import Complaint
    from tests.simulation.processes import Process
    from tests.simulation.removals import Removals
    from tests.support.simulated_iam import Document, SimulatedIam
    from webhook.model.names import RoleArn, Subject


class Witness:
    """One run's record."""

    def __init__(
        self,
        iam: SimulatedIam,
        selected: Callable[[], set[Subject]],
        wanted: Callable[[], set[Subject]],
        removals: Removals,
    ) -> None:
        self.iam = iam
        self.removals = removals
        self.removers: list[asyncio.Future[Process]] = []
        self._selected = selected
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
        self.external: dict[RoleArn, Hashable] = {}
        self._confirmed: set[tuple[RoleArn, Subject]] = set()
        self._refused: dict[tuple[str, RoleArn], tuple[float, int]] = {}

    def now(self) -> float:
        """Seconds by the world's clock."""
        loop = asyncio.get_running_loop()
        assert isinstance(loop, ProcessLoop)
        return loop.world_time

    def note(self, caller: str, what: str) -> None:
        """Write a line of the schedule."""
        self.schedule.append((self.now(), caller, what))

    def met(self, fault: str, caller: str, what: str) -> None:
        """A fault happened to a process."""
        self.faults[fault] += 1
        self.note(caller, f"!{fault} {what}")

    def complain(self, complaint: Complaint) -> None:
        """An invariant is broken."""
        self.complaints.append(complaint)
        self.note("BROKEN", f"{complaint[0]}: {complaint[1]}")
        self.broken.set()

    def cluster_changed(self) -> None:
        """Something is wanted now, or no longer."""
        self.ever_wanted["ours"] |= self._selected()

    def sent(self, write: Write) -> None:
        """A document leaves for IAM."""
        count = len(checks.subjects_in(write.document, write.own))
        self.note(write.process.name, f"writes {write.role.name}: {count} subjects")
        self.writes.append(write)
        quota = self.iam.answered_limit or self.iam.limit
        for complaint in checks.of_sent(write, quota, self.ever_wanted[write.cluster]):
            self.complain(complaint)
        if left_out := checks.left_out(write):
            self._look_at_removals(write, left_out)
        self.removals.room.shown(write.role, write.document, self.now())
        if write.cluster == "ours":
            named = checks.subjects_in(write.document, write.own)
            for complaint in self.removals.of_added(write, checks.added(write)):
                self.complain(complaint)
            for complaint in self.removals.of_all(write, named, self.now()):
                self.complain(complaint)

    def leads(self, process: Process) -> None:
        """A replica begins to lead."""
        self.note(process.name, "leads")
        for complaint in self.removals.leads(process):
            self.complain(complaint)

    def leads_no_longer(self, process: Process) -> None:
        """It has ended what it did as the leader."""
        self.note(process.name, "leads no longer")
        self.removals.leads_no_longer(process)

    def confirms_a_removal(self, process: Process, name: str) -> None:
        """A leader asks the API server about a subject that is due; tell the fault that waits for that."""
        self.note(process.name, f"asks whether {name} may leave")
        while self.removers:
            waiting = self.removers.pop()
            if not waiting.done():
                waiting.set_result(process)

    def applied(self, write: Write, before: Document) -> None:
        """A document is in force."""
        self.applied_writes += 1
        self.removals.applied(write, self.now())
        self.note("iam", f"applies {write.role.name} of {write.process.name}")
        if gone := checks.dropped(write, before):
            wanted = self._wanted()
            promised = frozenset(subject for subject in gone & wanted if (write.role, subject) in self._confirmed)
            self.drops.append((self.now(), write, promised))
            self.note("iam", f"drops {sorted(one.namespace for one in gone)}, of them promised {len(promised)}")
        if checks.overwrites_an_external_edit(write, before):
            self.lost_edits += 1
            self.edited(write.role, write.document)
            self.note("iam", "an external edit between the read and this write is lost")
        self._look_for_subjects_in_two_roles(write)

    def edited(self, role: RoleArn, document: Document) -> None:
        """What other people have in a role is from now on what this document says."""
        self.external[role] = checks.part_of_others(document, own_in(role), neighbours_own_in(role))

    def confirmed(self, write: Write) -> None:
        """IAM's answer has arrived: whoever is in the document counts as trusted."""
        for subject in checks.subjects_in(write.document, write.own):
            self._confirmed.add((write.role, subject))

    def fingerprint(self) -> str:
        """The same for two runs exactly when everything happened at the same time in the same order."""
        return sha256(repr(self.schedule).encode()).hexdigest()

    def _look_at_removals(self, write: Write, left_out: frozenset[Subject]) -> None:
        names = ", ".join(sorted(subject.namespace for subject in left_out))
        self.note(write.process.name, f"removes {names} from {write.role.name}")
        self._confirmed -= {(write.role, subject) for subject in left_out}
        if write.cluster != "ours":
            self.complain(("a_program_that_never_prunes_removes_nothing", names))
            return
        for complaint in self.removals.of_sent(write, left_out, self.now()):
            self.complain(complaint)

    def _look_for_subjects_in_two_roles(self, write: Write) -> None:
        others = {role for role in self.iam.roles if role != write.role}
        mine = checks.subjects_in(write.document, write.own)
        for role in others:
            own = type(write.own).for_role(role, write.own.issuer, "mxp-identity")
            for subject in mine & checks.subjects_in(self.iam.document(role), own):
                self.in_two_roles.setdefault(subject, self.now())
