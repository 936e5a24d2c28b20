"""What happens in a cell: the dependency misbehaves, a control plane is created, the dependency recovers."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import httpx

from rig.faults import MISBEHAVIOURS
from rig.kubernetes import objects
from rig.kubernetes.objects import CONTROL_PLANE_LABEL, SERVICE_ACCOUNT
from rig.space import AUDIENCE, EKS_CLUSTER
from tests.e2e.observe import annotation
from tests.faults.counts import failures
from tests.faults.dependencies import SERVING, START
from tests.faults.stage import CELL_LABEL, TRUST_BUDGET_S
from tests.support.reviews import Reply, annotated, review
from webhook.domain.names import Subject

if TYPE_CHECKING:
    from collections.abc import Callable

    from rig.webhook import Webhook
    from tests.faults.dependencies import Cell
    from tests.faults.stage import Lane, Stage

T = TypeVar("T")

START_S = 60.0
REVIEW_S = TRUST_BUDGET_S + 2.0
COUNTED_S = 20.0
RECOVERY_S = 30.0
LARGEST_MIB = 256.0

_PAUSE_S = 0.1
_HEALTH_S = 1.0
_OK, _UNAVAILABLE = 200, 503


class CellError(AssertionError):
    """What went wrong in a cell."""


@dataclass
class Outcome:
    """What was measured in a cell."""

    review_s: float = 0.0
    recovery_s: float = 0.0
    peak_mib: float = 0.0
    counted: dict[str, float] = field(default_factory=dict)
    """Failed calls by the code that /metrics has for them."""


def play(stage: Stage, cell: Cell) -> Outcome:
    """Go through one cell. Raises CellError."""
    lane = stage.lane(cell)
    course = None
    try:
        course = _Course(lane)
        course.run()
    except (CellError, httpx.HTTPError) as error:
        raise CellError(f"{cell.name}: {error}\n{course.last_words() if course else ''}") from error
    finally:
        if course and course.webhook:
            stage.space.cluster.workspace.forget(course.webhook.process)
        lane.close()
    return course.outcome


class _Course:
    def __init__(self, lane: Lane) -> None:
        self._lane = lane
        self._space = lane.space
        self._cell = lane.cell
        self._looked_at = 0.0
        self._problems: list[str] = []
        self.outcome = Outcome()
        self.webhook: Webhook | None = None

    def last_words(self) -> str:
        """The end of the program's log, and whether the program has ended."""
        if self.webhook is None:
            return ""
        process = self.webhook.process
        ended = "" if process.running else f"it ended with exit code {process.exit_code}\n"
        return f"{ended}--- the end of its log\n{process.log_tail()}"

    def run(self) -> None:
        """Everything in order."""
        if self._cell.phase == START:
            self._lane.break_it()
            self._start()
            before: dict[str, float] = {}
        else:
            self._serve_undisturbed()
            before = self._failures()
        subject = self._met_while_broken()
        self.outcome.counted = self._until(
            lambda: _more(before, self._failures()), "/metrics has the code", COUNTED_S
        )
        self._check_readiness()
        self._lane.heal()
        healed = time.monotonic()
        self._until(lambda: self._has_identity(subject), "the subject is trusted", RECOVERY_S)
        self.outcome.recovery_s = time.monotonic() - healed
        if self._cell.dependency.startswith("api"):
            self._unreviewed()
        self._check_memory()

        if self._problems:
            raise CellError("; ".join(self._problems))

    # ---- parts

    def _start(self) -> None:
        self.webhook = self._lane.start()

        def serves() -> bool:
            assert self.webhook is not None
            return self.webhook._learn_ports()  # noqa: SLF001

        self._until(serves, "it serves", START_S)

    def _serve_undisturbed(self) -> None:
        """Start with everything well, and have one control plane trusted."""
        if self._cell.dependency == "sts":  # it is asked once who calls: it must not have answered yet
            self._lane.fronts["sts"].misbehave(MISBEHAVIOURS["html-503"])
        self._start()
        self._until(self._is_ready, "it is ready", START_S)
        if self._cell.dependency != "sts":
            first = self._namespace()
            self._create(first, self._review(first))
            self._until(lambda: self._has_identity(first), "the first subject is trusted", RECOVERY_S)

    def _met_while_broken(self) -> Subject:
        """Break it, create a control plane, and check how its review is answered."""
        cell = self._cell
        seen_before = cell.phase == SERVING and cell.breaks_the_whole_api_server
        if cell.phase == SERVING and not seen_before:
            self._lane.break_it()
        subject = self._namespace()
        if cell.dependency == "api-reads" and cell.phase == SERVING:
            self._until(lambda: self._is_written(subject), "the watch has shown the namespace", RECOVERY_S)
        if seen_before:
            self._lane.break_it()
        began = time.monotonic()
        reply = self._review(subject)
        self.outcome.review_s = time.monotonic() - began
        self._expect(self.outcome.review_s <= REVIEW_S, f"reviewed in {self.outcome.review_s:.1f} s")
        self._expect(reply.allowed, "allowed")
        if cell.hides_the_namespace:
            self._expect(reply.annotation is None and "follows" in " ".join(reply.warnings), f"{reply.text}")
        elif not self._lane.associates:
            self._expect(reply.annotation == self._lane.role, f"annotated: {reply.text}")
        self._create(subject, reply)
        if cell.dependency == "api-reads" and cell.phase == SERVING:
            self._review_of_an_unknown_namespace()
        return subject

    def _review_of_an_unknown_namespace(self) -> None:
        """One that only a read could tell of."""
        began = time.monotonic()
        reply = self._review(Subject("mxp-of-nobody-system", SERVICE_ACCOUNT))
        self._expect(time.monotonic() - began <= REVIEW_S, "an unknown namespace's is reviewed in time")
        self._expect(reply.allowed and bool(reply.warnings), f"an unknown namespace's: {reply.text}")

    def _unreviewed(self) -> None:
        """Create a control plane of which only watches can tell."""
        subject = self._namespace()
        self._space.cluster.create([objects.service_account(subject.namespace)])
        self._until(lambda: self._has_identity(subject), "a subject without a review is trusted", RECOVERY_S)

    def _look_at_metrics(self, before: dict[str, float]) -> None:
        try:
            counted = self._until(lambda: _more(before, self._failures()), "/metrics has the code", COUNTED_S)
        except CellError:
            self._check_life()
            self._problems.append("/metrics counts no failure")
        else:
            self.outcome.counted = counted

    def _check_readiness(self) -> None:
        unready = self._cell.hides_the_namespace
        status = self._get("/readyz")
        self._expect(status == (_UNAVAILABLE if unready else _OK), f"/readyz is {status}")

    def _check_memory(self) -> None:
        assert self.webhook is not None
        status = Path(f"/proc/{self.webhook.process.pid}/status").read_text()
        found = re.search(r"VmHWM:\s+(\d+) kB", status)
        self.outcome.peak_mib = int(found[1]) / 1024 if found else 0.0
        self._expect(0 < self.outcome.peak_mib <= LARGEST_MIB, f"peak of {self.outcome.peak_mib:.0f} MiB")

    # ---- the cluster and the program

    def _namespace(self) -> Subject:
        name = objects.host_namespace_name()
        labels = {CONTROL_PLANE_LABEL: "control-plane", CELL_LABEL: self._lane.label}
        self._space.cluster.create([objects.namespace(name, labels)])
        return Subject(name, SERVICE_ACCOUNT)

    def _review(self, subject: Subject) -> Reply:
        """Send a review as the API server does."""
        assert self.webhook is not None
        with self.webhook.client(timeout=10.0) as client:
            answer = client.post(f"{self.webhook.url}?timeout=10s", json=review(subject))
        self._expect(
            answer.status_code == _OK, f"a review is answered with {answer.status_code} {answer.text[:200]}"
        )
        return Reply(answer.status_code, answer.text)

    def _create(self, subject: Subject, reply: Reply) -> None:
        """Create the ServiceAccount with what the review's answer adds to it."""
        added = annotated(reply.annotation) if reply.annotation else {}
        self._space.cluster.create([objects.service_account(subject.namespace, annotations=added)])

    def _is_written(self, subject: Subject) -> bool:
        if self._lane.associates:
            found = self._space.aws.associations(EKS_CLUSTER)
            return any(one.namespace == subject.namespace and one.role_arn == self._lane.role for one in found)
        name = f"system:serviceaccount:{subject.namespace}:{subject.service_account}"
        return name in self._space.aws.history(self._lane.role.rpartition("/")[2])[-1].document

    def _has_identity(self, subject: Subject) -> bool:
        """Whether it has its annotation and AWS trusts it."""
        if not self._is_written(subject):
            return False
        if self._lane.associates:
            return True
        space = self._space
        is_annotated = annotation(space, subject.namespace) == self._lane.role
        if not is_annotated:
            return False
        token = space.cluster.token(subject.namespace, SERVICE_ACCOUNT, audience=AUDIENCE)
        return self._lane.stage.is_assumed(self._lane.role, token)

    def _failures(self) -> dict[str, float]:
        assert self.webhook is not None
        return failures(self._cell.dependency, self.webhook.metrics())

    def _is_ready(self) -> bool:
        return self._get("/readyz") == _OK

    def _get(self, path: str) -> int:
        assert self.webhook is not None
        try:
            return httpx.get(f"{self.webhook.plain_url}{path}", trust_env=False).status_code
        except httpx.TransportError:
            self._expect(self.webhook.process.running, f"it lives (exit code {self.webhook.process.exit_code})")
            raise

    # ---- waiting

    def _until(self, condition: Callable[[], T | None], what: str, seconds: float) -> T:
        """Wait for something, while the process lives and is healthy."""
        deadline = time.monotonic() + seconds
        while True:
            self._check_life()
            if value := condition():
                return value
            self._expect(time.monotonic() < deadline, f"{what}, within {seconds:g} s")
            time.sleep(_PAUSE_S)

    def _check_life(self) -> None:
        webhook = self.webhook
        assert webhook is not None
        self._expect(webhook.process.running, f"it lives (exit code {webhook.process.exit_code})")
        now = time.monotonic()
        if webhook.plain_url and now - self._looked_at > _HEALTH_S:
            self._looked_at = now
            status = self._get("/healthz")
            self._expect(status == _OK, f"/healthz is {status}")

    def _expect(self, holds: bool, what: str) -> None:  # noqa: FBT001
        if not holds:
            raise CellError(f"not so: {what}")


def _more(before: dict[str, float], now: dict[str, float]) -> dict[str, float]:
    return {code: count - before.get(code, 0) for code, count in now.items() if count > before.get(code, 0)}
