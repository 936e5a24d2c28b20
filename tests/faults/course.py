"""What happens in a cell: the dependency misbehaves, a control plane is created, the dependency recovers."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rig.faults import MISBEHAVIOURS
from rig.kubernetes import objects
from rig.kubernetes.objects import CONTROL_PLANE_LABEL, SERVICE_ACCOUNT
from rig.space import AUDIENCE, EKS_CLUSTER
from tests.e2e.observe import annotation
from tests.faults.counts import failures, matching
from tests.faults.dependencies import SERVING, START
from tests.faults.lane import CELL_LABEL
from tests.faults.program import OK, UNAVAILABLE, CellError, Program, expect
from tests.support.reviews import annotated
from webhook.model.names import Subject

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.faults.dependencies import Cell
    from tests.faults.lane import Lane
    from tests.faults.stage import Stage
    from tests.support.reviews import Reply

BUDGET_S = 3.0
REVIEW_S = BUDGET_S + 2.0
START_S = 60.0
COUNTED_S = 20.0
LATE_S = 120.0
RECOVERY_S = 30.0
LARGEST_MIB = 256.0

_SCRAPE_S = 0.5
_OF_NO_BINDING = Subject("mxp-unbound-system", SERVICE_ACCOUNT)

_TIMES = 30
_TIMES_S = 120.0
"""Seconds for as many failures of a watch, with pauses of 10 s at most between them."""


@dataclass(frozen=True)
class Outcome:
    """What was measured in a cell."""

    counted: dict[str, float]
    """Failed calls by what /metrics says of them."""
    review_s: float
    recovery_s: float
    peak_mib: float


def play(stage: Stage, cells: Sequence[Cell]) -> Iterator[Outcome | CellError]:
    """Go through cells of one dependency and phase, in turn; those while serving meet the same program.

    After a cell that went wrong the next meets a new one.
    """
    course: Course | None = None
    try:
        for cell in cells:
            try:
                if course is None:
                    course = Course(stage.lane(cell.name, cell.dependency))
                yield course.run(cell)
            except CellError as error:
                said = course.program.last_words() if course and course.program else ""
                yield CellError(f"{cell.name}: {error}\n{said}")
                if course:
                    course.end()
                course = None
    finally:
        if course:
            course.end()


class Course:
    """One program, and the cells that it goes through."""

    def __init__(self, lane: Lane) -> None:
        self._lane = lane
        self._space = lane.space
        self.program: Program | None = None

    def run(self, cell: Cell) -> Outcome:
        """Go through one cell. Raises CellError."""
        lane = self._lane
        before: dict[str, float] = {}
        if cell.phase == START:
            lane.misbehave(cell.misbehaviour)
            program = self._started()
        else:
            program = self.program or self._serving_undisturbed()
            before = failures(cell.dependency, program.metrics())
        subject, took = self._met_while_broken(cell, program)
        if cell.is_met_again:
            program.until(lambda: self._is_met_again(cell, program), f"it is met {_TIMES} times", _TIMES_S)
        counted, problems = self._counted(cell, program, before)
        unready = cell.hides_the_namespace
        ready = program.status("/readyz")
        expect(ready == (UNAVAILABLE if unready else OK), f"/readyz is as documented, it is {ready}")
        lane.behave(cell.misbehaviour)
        recovered = time.monotonic()
        program.until(lambda: self._has_identity(subject), "the subject is trusted after recovery", RECOVERY_S)
        recovery = time.monotonic() - recovered
        if cell.is_of_the_api_server:
            self._unreviewed(program)
        peak = program.peak_mib()
        expect(0 < peak <= LARGEST_MIB, f"it never holds more than {LARGEST_MIB:g} MiB, it held {peak:.0f}")
        expect(not problems, problems)
        return Outcome(counted, took, recovery, peak)

    def end(self) -> None:
        """End the program and close its ports."""
        if self.program:
            self.program.end(self._space.cluster.workspace)
        self._lane.close()

    def _started(self) -> Program:
        self.program = Program(self._lane.start())
        self.program.wait_until_serving(START_S)
        return self.program

    def _serving_undisturbed(self) -> Program:
        """Start with everything well, and have one control plane trusted."""
        lane = self._lane
        if lane.dependency == "sts":  # it is asked once who calls: it must not have answered yet
            lane.fronts["sts"].misbehave(MISBEHAVIOURS["refused"])
        program = self._started()
        program.until(lambda: program.status("/readyz") == OK, "it is ready", START_S)
        if lane.dependency != "sts":
            first = self._namespace()
            reply, _ = program.review(first)
            self._create(first, reply)
            program.until(lambda: self._has_identity(first), "the first subject is trusted", RECOVERY_S)
        return program

    def _met_while_broken(self, cell: Cell, program: Program) -> tuple[Subject, float]:
        """Create a control plane while the dependency misbehaves, and check how its review is answered."""
        is_seen_first = cell.phase == SERVING and cell.breaks_the_whole_api_server
        if cell.phase == SERVING and not is_seen_first:
            self._lane.misbehave(cell.misbehaviour)
        subject = self._namespace()
        if cell.phase == SERVING and cell.dependency == "api-reads":
            program.until(lambda: self._is_written(subject), "a watch has shown the namespace", RECOVERY_S)
        if is_seen_first:
            self._lane.misbehave(cell.misbehaviour)
        reply, took = program.review(subject)
        expect(took <= REVIEW_S, f"a review is answered within {REVIEW_S:g} s, it took {took:.1f}")
        expect(reply.allowed, f"it is allowed: {reply.text}")
        if cell.hides_the_namespace:
            follows = reply.annotation is None and any("follows" in warning for warning in reply.warnings)
            expect(follows, f"a warning says that the annotation follows: {reply.text}")
        elif not self._lane.associates:
            expect(reply.annotation == self._lane.role, f"it is annotated: {reply.text}")
        self._create(subject, reply)
        if cell.phase == SERVING and cell.dependency == "api-reads":
            self._review_what_only_a_read_could_tell_of(program)
        return subject, took

    def _review_what_only_a_read_could_tell_of(self, program: Program) -> None:
        reply, took = program.review(_OF_NO_BINDING)
        expect(took <= REVIEW_S, f"an unknown namespace's review is answered in time, it took {took:.1f} s")
        expect(reply.allowed and bool(reply.warnings), f"it is allowed, with a warning: {reply.text}")

    def _is_met_again(self, cell: Cell, program: Program) -> bool:
        if cell.dependency == "api-reads":
            self._review_what_only_a_read_could_tell_of(program)
        return self._lane.met >= _TIMES

    def _counted(self, cell: Cell, program: Program, before: dict[str, float]) -> tuple[dict[str, float], str]:
        """Failures that /metrics has, and what is wrong with them."""

        def found() -> dict[str, float]:
            return matching(cell, before, failures(cell.dependency, program.metrics()))

        try:
            within = LATE_S if cell.is_noticed_late else COUNTED_S
            return program.until(found, "/metrics has the code", within, _SCRAPE_S), ""
        except CellError as error:
            program.check()
            now = failures(cell.dependency, program.metrics())
            return {}, f"{error}: it has {now}"

    def _unreviewed(self, program: Program) -> None:
        """Create a control plane of which only watches can tell."""
        subject = self._namespace()
        self._space.cluster.create([objects.service_account(subject.namespace)])
        what = "a subject without a review is trusted after recovery"
        program.until(lambda: self._has_identity(subject), what, RECOVERY_S)

    # ---- in the cluster and in the account

    def _namespace(self) -> Subject:
        name = objects.host_namespace_name()
        labels = {CONTROL_PLANE_LABEL: "control-plane", CELL_LABEL: self._lane.label}
        self._space.cluster.create([objects.namespace(name, labels)])
        return Subject(name, SERVICE_ACCOUNT)

    def _create(self, subject: Subject, reply: Reply) -> None:
        """Create the ServiceAccount with what the review's answer adds to it."""
        added = annotated(reply.annotation) if reply.annotation else {}
        self._space.cluster.create([objects.service_account(subject.namespace, annotations=added)])

    def _is_written(self, subject: Subject) -> bool:
        aws, role = self._space.aws, self._lane.role
        if self._lane.associates:
            found = aws.associations(EKS_CLUSTER)
            return any(one.namespace == subject.namespace and one.role_arn == role for one in found)
        name = f"system:serviceaccount:{subject.namespace}:{subject.service_account}"
        return name in aws.history(role.rpartition("/")[2])[-1].document

    def _has_identity(self, subject: Subject) -> bool:
        """Whether it has its annotation and AWS trusts it."""
        if not self._is_written(subject):
            return False
        if self._lane.associates:
            return True
        if annotation(self._space, subject.namespace) != self._lane.role:
            return False
        token = self._space.cluster.token(subject.namespace, SERVICE_ACCOUNT, audience=AUDIENCE)
        return self._lane.stage.is_assumed(self._lane.role, token)
