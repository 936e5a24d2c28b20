"""What must hold of every removal, and of those who lead: each under its own name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.simulation import checks
from tests.simulation.room import Room
from tests.support.sites import own_in
from webhook.coordination.lock import REMEMBERED

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tests.simulation.aws import Write
    from tests.simulation.checks import Complaint
    from tests.simulation.plan import Plan
    from tests.simulation.processes import Process
    from tests.simulation.sights import Sights
    from tests.simulation.wishes import Wishes
    from tests.support.simulated_iam import SimulatedIam
    from webhook.model.names import RoleArn, Subject

CLOCK_FAULTS = frozenset({"stall", "clock_jump", "leader_stall"})
"""With these, a Lease does not promise that its holders are kept apart."""

_UNTOLD = CLOCK_FAULTS | {
    "crash",
    "leader_crash",
    "rolling_restart",
    "api_errors",
    "lost_api_answers",
    "api_outage",
    "slow_api",
    "late_iam_writes",
}
"""With these, a Lease may lack a removal: its holder died, had no answer in time, or was overtaken."""


_LONGEST_WRITE = 5.0
"""Seconds after which a write without an answer is given up: from then on its removals are told."""


class Removals:
    """Judges each removal when the document leaves its sender: what becomes of it on the way is IAM's doing."""

    def __init__(self, plan: Plan, iam: SimulatedIam, wishes: Wishes, sights: Sights) -> None:
        self._plan = plan
        self._iam = iam
        self._wishes = wishes
        self._sights = sights
        self._leaders: dict[str, Process] = {}
        self._confirmed: set[tuple[str, RoleArn, str]] = set()
        self._removed: set[tuple[RoleArn, Subject]] = set()
        self._sent: dict[tuple[RoleArn, Subject], float] = {}
        """When each was last left out by whoever may remove it, whatever became of that document."""
        self._written_since: set[tuple[RoleArn, Subject]] = set()
        """Those of them that were in a document sent since."""
        self._away: dict[tuple[RoleArn, Subject], float] = {}
        """Since when each is removed, in a document in force, that was not written since."""
        self._approvers: set[str] = set()
        self._counted: set[tuple[RoleArn, Subject]] = set()
        """Those that no person approved, and whose deletion the leader had not witnessed."""
        self._most = 0
        self.room = Room(iam, plan.binding.roles)

    @property
    def count(self) -> int:
        """How many subjects were taken out of a role."""
        return len(self._removed)

    def leader(self) -> Process | None:
        """Who leads now."""
        return next((one for one in self._leaders.values() if not one.dead), None)

    def has_witnessed_deletion(self, process: Process, name: str) -> bool:
        """Whether a process has seen the last namespace end that was selected, and the API server lacks it too."""
        uid = self._wishes.last_selected(name)
        seen = self._sights.has_witnessed_deletion(process.name, name, uid)
        return seen and not self._wishes.is_there(name, uid)

    def is_free_to_remove(self, process: Process, name: str) -> bool:
        """Whether a leader knows that what it witnessed was the end of a selected namespace: it does not count."""
        uid = self._wishes.last_selected(name)
        return self._sights.was_shown_selected(process.name, uid) and self.has_witnessed_deletion(process, name)

    def leads(self, process: Process) -> Iterator[Complaint]:
        """A replica begins to lead."""
        others = [name for name, other in self._leaders.items() if not other.dead]
        self._leaders[process.name] = process
        if others and not CLOCK_FAULTS & self._plan.kinds:
            yield "one_leader_at_a_time", f"{process.name} leads beside {', '.join(others)}"

    def leads_no_longer(self, process: Process) -> None:
        """A replica has ended what it did as the leader."""
        self._leaders.pop(process.name, None)

    def approves(self, process: Process) -> None:
        """A person removes unused subjects, whatever the grace and the limit say."""
        self._approvers.add(process.name)

    def asked(self, process: Process, name: str) -> None:
        """The API server answers a leader's question, at this moment, about a subject that it would remove."""
        for role in self._plan.binding.roles:
            if self._wishes.unwanted_since(role, name) is not None:
                self._confirmed.add((process.name, role, name))

    def applied(self, write: Write, now: float) -> None:
        """A document is in force."""
        for subject in checks.left_out(write):
            if (write.role, subject) in self._removed:
                self._away[write.role, subject] = now
        trusted = sum(len(self._trusted_in(role)) for role in self._plan.binding.roles)
        self._most = max(self._most, trusted)

    def of_sent(self, write: Write, left_out: Iterable[Subject], now: float) -> Iterator[Complaint]:
        """Whether the subjects that a document leaves out may be removed."""
        for subject in sorted(left_out):
            if self._was_removed_by_the_leader(write, subject, now):
                continue  # what was read is older than that
            if write.process.name not in self._leaders.keys() | self._approvers:
                yield "only_the_leader_removes", f"{write.process.name} removes {subject.namespace}"
            if (write.process.name, write.role, subject.namespace) not in self._confirmed:
                yield "the_api_server_confirms_each_removal", f"{subject.namespace} of {write.role.name}"
            yield from self._of_one(write, subject, now)
            self._removed.add((write.role, subject))
            self._sent[write.role, subject] = now
            self._written_since.discard((write.role, subject))
            is_counted = not self.has_witnessed_deletion(write.process, subject.namespace)
            if is_counted and write.process.name not in self._approvers:
                self._counted.add((write.role, subject))
        removed = len(self._counted)
        limit = max(3, (self._most + removed) // 5)  # no run is as long as an hour
        if removed > limit:
            yield "no_more_leave_within_an_hour_than_the_limit", f"{removed} of {limit}"

    def of_all(self, write: Write, subjects: Iterable[Subject], now: float) -> Iterator[Complaint]:
        """Whether all that a document trusts may be in it: a removed subject comes back only if it is wanted."""
        for subject in sorted(subjects):
            self._written_since.add((write.role, subject))
            removed_at = self._away.pop((write.role, subject), None)
            if removed_at is None or now - removed_at >= REMEMBERED or self._plan.kinds & _UNTOLD:
                continue
            since = self._wishes.unwanted_since(write.role, subject.namespace)
            if (
                since is not None
                and since < removed_at
                and not self._wishes.is_selected(subject.namespace)
                and self._sights.up_to_date(write.process.name, subject.namespace)
            ):
                yield "a_removed_subject_is_not_written_again", f"{subject.namespace} of {write.role.name}"

    def of_added(self, write: Write, added: Iterable[Subject]) -> Iterator[Complaint]:
        """Whether the subjects that a document adds may come back."""
        for subject in sorted(added):
            name = subject.namespace
            was_removed = (write.role, subject) in self._removed
            if (
                was_removed
                and self._wishes.was_replaced(name)
                and self._sights.up_to_date(write.process.name, name)
            ):
                yield "a_recreated_namespace_gets_no_trust_back", f"{name} of {write.role.name}"

    def _was_removed_by_the_leader(self, write: Write, subject: Subject, now: float) -> bool:
        """Whether the leader removed it, and nothing has wanted it since, as far as the sender was told.

        A write of it that came late, or of a replica that the Lease did not tell, does not undo that.
        """
        sent = self._sent.get((write.role, subject))
        if sent is None:
            return False
        if (write.role, subject) in self._written_since:
            was_told = not self._plan.kinds & _UNTOLD
            if was_told or now - sent >= REMEMBERED + _LONGEST_WRITE:
                return False
        since = self._wishes.unwanted_since(write.role, subject.namespace)
        return since is not None or not self._sights.up_to_date(write.process.name, subject.namespace)

    def _of_one(self, write: Write, subject: Subject, now: float) -> Iterator[Complaint]:
        name, process = subject.namespace, write.process
        if not self._sights.up_to_date(process.name, name):
            return  # the API server has told it something else
        since = self._wishes.unwanted_since(write.role, name)
        young_since = now + process.wall_clock_ahead - self._plan.rules.grace
        if since is None or self._wishes.waits_for_its_account(name, young_since):
            yield "no_wanted_subject_is_removed", f"{name} of {write.role.name}"
            return
        home = self._wishes.home(name)
        if (
            home is not None
            and subject not in self._trusted_in(home)
            and subject not in process.last_seen.get(home, ())
        ):
            yield "no_wanted_subject_is_removed", f"{name} of {write.role.name}, and {home.name} does not trust it"
        absent_since = self._sights.absent_since(process.name, name)  # by a list that was cut: before it is true
        unwanted_for = now - min(since, since if absent_since is None else absent_since) + process.clock_ahead
        is_early = unwanted_for < self._plan.rules.grace and process.name not in self._approvers
        gives_way = self.has_witnessed_deletion(process, name) and self.room.was_lacking(now)
        if is_early and not (gives_way or self._wishes.was_replaced(name)):
            yield "no_subject_is_removed_before_the_grace", f"{name}, not wanted for {unwanted_for:.2f} s"

    def _trusted_in(self, role: RoleArn) -> frozenset[Subject]:
        return checks.subjects_in(self._iam.document(role), own_in(role))
