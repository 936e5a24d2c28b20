"""The next step of a migration: it leads there from wherever one is, and takes nothing from under a pod."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.sites import binding, role, subject
from webhook.cli.migrate.rules import (
    Course,
    LaggingPods,
    Migration,
    MigrationStep,
    ModeReadiness,
    Move,
    Situation,
    next_move,
    obstacle_to_restart,
)
from webhook.model.bindings import Mode
from webhook.model.deployments import Deployment
from webhook.planning.plan import Plan

if TYPE_CHECKING:
    from collections.abc import Callable

SUBJECT = subject(1)
THERE, MISSING, OURS = ModeReadiness(works=True), ModeReadiness(), ModeReadiness(is_ours=True)
SWITCHED = Course(Mode.POD_IDENTITY, switched=True)
BACK = Course(Mode.IRSA, switched=True)
LAGGING = (LaggingPods("mxp-controller", ("mxp-controller-1",)),)
STUCK = (*LAGGING, LaggingPods("", ("by-hand",), "of no Deployment"))


@dataclass(frozen=True)
class Case:
    """What was found, and the step that follows from it."""

    step: MigrationStep
    new: ModeReadiness = THERE
    old: ModeReadiness = OURS
    workloads: tuple[LaggingPods, ...] = ()
    course: Course = SWITCHED


CASES = {
    "nothing of the new way": Case(MigrationStep.ADD, new=MISSING, workloads=LAGGING),
    "nothing of it, and the program is in the new mode": Case(MigrationStep.ADD, new=MISSING),
    "both ways, the program in the old mode": Case(MigrationStep.SWITCH, course=replace(SWITCHED, switched=False)),
    "pods with old variables, the program in the old mode": Case(
        MigrationStep.SWITCH, old=MISSING, workloads=LAGGING, course=replace(SWITCHED, switched=False)
    ),
    "both ways, pods with old variables": Case(MigrationStep.RESTART, workloads=LAGGING),
    "both ways, no pod with old variables": Case(MigrationStep.REMOVE),
    "the new way alone, pods with old variables": Case(MigrationStep.RESTART, old=MISSING, workloads=LAGGING),
    "the new way alone": Case(MigrationStep.MOVED, old=MISSING),
    "the new way alone, the program in the old mode": Case(
        MigrationStep.MOVED, old=MISSING, course=replace(SWITCHED, switched=False)
    ),
    "no room for the new way": Case(MigrationStep.BLOCKED, new=ModeReadiness(trouble="full"), workloads=LAGGING),
    "a pod that cannot be replaced": Case(MigrationStep.BLOCKED, workloads=STUCK),
    "back: both ways, pods with old variables": Case(MigrationStep.DETACH, workloads=LAGGING, course=BACK),
    "back: both ways, no pods": Case(MigrationStep.DETACH, course=BACK),
    "back: a pod that cannot be replaced keeps the association": Case(
        MigrationStep.BLOCKED, workloads=STUCK, course=BACK
    ),
    "back: cut off after the association went": Case(
        MigrationStep.RESTART, old=MISSING, workloads=LAGGING, course=BACK
    ),
    "back: an external association": Case(
        MigrationStep.BLOCKED, old=ModeReadiness(trouble="external"), workloads=LAGGING, course=BACK
    ),
    "back: an external association, the program in the old mode": Case(
        MigrationStep.SWITCH, old=ModeReadiness(trouble="external"), course=replace(BACK, switched=False)
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_the_step_follows_from_what_is_there(case: Case) -> None:
    move = next_move(Situation(SUBJECT, case.new, case.old, case.workloads), case.course)
    assert move.step is case.step
    assert move.why


@dataclass(frozen=True)
class Way:
    """Where control planes are, and what the binding as a whole waits for."""

    steps: tuple[MigrationStep, ...]
    waits: bool = False
    drops: bool = False
    is_done: bool = False
    statement: bool = False
    course: Course = SWITCHED


HALFWAY = replace(BACK, switched=False)
WAYS = {
    "both ways are there": Way(
        (MigrationStep.MOVED, MigrationStep.SWITCH), waits=True, course=replace(SWITCHED, switched=False)
    ),
    "others have no new way yet": Way((MigrationStep.ADD, MigrationStep.SWITCH), waits=True, course=HALFWAY),
    "nothing but a person to help": Way((MigrationStep.BLOCKED, MigrationStep.MOVED)),
    "pods to replace": Way((MigrationStep.RESTART, MigrationStep.REMOVE, MigrationStep.MOVED)),
    "all moved": Way((MigrationStep.MOVED, MigrationStep.MOVED), is_done=True),
    "no ServiceAccount": Way((), is_done=True),
    "back: all moved but for the statement, the program in the old mode": Way(
        (MigrationStep.MOVED,), waits=True, statement=True, course=HALFWAY
    ),
    "back: all moved but for the statement": Way((MigrationStep.MOVED,), drops=True, statement=True, course=BACK),
    "back: no ServiceAccount, and the statement": Way((), drops=True, statement=True, course=BACK),
    "back: no ServiceAccount, the program in the old mode": Way((), waits=True, statement=True, course=HALFWAY),
    "back: an external association keeps the statement": Way(
        (MigrationStep.BLOCKED, MigrationStep.MOVED), statement=True, course=BACK
    ),
    "back: all moved": Way((MigrationStep.MOVED,), is_done=True, course=BACK),
}


@pytest.mark.parametrize("case", WAYS)
def test_what_waits_for_the_new_mode_in_the_configuration_is_known(case: str) -> None:
    way = WAYS[case]
    moves = tuple(Move(Situation(SUBJECT, THERE, OURS), step, "") for step in way.steps)
    left = (role(),) if way.statement else ()
    found = Migration(binding(role(), mode=way.course.target), way.course, moves, Plan(), left)
    assert (found.waits_for_switch, found.drops_statement, found.is_done) == (way.waits, way.drops, way.is_done)


@pytest.mark.parametrize(
    ("deployment", "words"),
    [
        (None, "of no Deployment"),
        (Deployment("n", "other", "u", "1", "mxp-controller"), "of no Deployment that its binding names"),
        (Deployment("n", "mxp-controller", "u", "1", "default"), "another ServiceAccount"),
        (Deployment("n", "mxp-controller", "u", "1", "mxp-controller", is_paused=True), "paused"),
        (Deployment("n", "mxp-controller", "u", "1", "mxp-controller"), ""),
    ],
)
def test_why_a_restart_would_not_replace_pods(deployment: Deployment | None, words: str) -> None:
    obstacle = obstacle_to_restart(deployment, "mxp-controller", ("mxp-controller",))
    assert words in obstacle
    assert bool(obstacle) == bool(words)


@dataclass
class Pod:
    """A pod with the variables that EKS gave it; one of Pod Identity keeps the credentials it has once got."""

    way: Mode
    has_credentials: bool = False


@dataclass
class World:
    """One control plane in a cluster, with EKS's webhook that hears late, and the running program."""

    annotated: bool
    trusted: bool
    associated: bool
    allows_pods: bool
    target: Mode
    switched: bool = False
    propagated: bool = False
    pods: list[Pod] = field(default_factory=list)

    @classmethod
    def before(cls, target: Mode) -> World:
        """All is as the other mode has it, for long."""
        to_pods = target is Mode.POD_IDENTITY
        return cls(to_pods, to_pods, not to_pods, not to_pods, target, propagated=not to_pods)

    def works(self, pod: Pod) -> bool:
        """Whether the pod's next call goes well."""
        if pod.way is Mode.IRSA:
            return self.trusted
        return pod.has_credentials or (self.associated and self.allows_pods)

    def start_pod(self) -> None:
        """EKS prefers an association; a pod without variables is held back by the gate."""
        if self.propagated:
            self.pods.append(Pod(Mode.POD_IDENTITY))
        elif self.annotated:
            self.pods.append(Pod(Mode.IRSA))

    def replace_pods(self) -> None:
        """As a rollout does."""
        count = len(self.pods)
        self.pods = []
        for _ in range(count):
            self.start_pod()

    def use_credentials(self) -> None:
        """Each pod makes a call."""
        for pod in self.pods:
            pod.has_credentials = pod.has_credentials or self.works(pod)

    def situation(self) -> Situation:
        """What a look finds."""
        irsa = ModeReadiness(self.annotated and self.trusted, self.annotated or self.trusted)
        pods = ModeReadiness(self.associated and self.allows_pods, self.associated)
        new, old = (pods, irsa) if self.target is Mode.POD_IDENTITY else (irsa, pods)
        lagging = [pod for pod in self.pods if pod.way is not self.target]
        return Situation(SUBJECT, new, old, (LaggingPods("mxp-controller", ("pod",)),) if lagging else ())

    def run(self, actions: int) -> MigrationStep:
        """One run of the command's next step, cut off after so many of its actions."""
        step = next_move(self.situation(), Course(self.target, self.switched)).step
        for action in self._actions(step)[:actions]:
            action()
            self.check()
        return step

    def _actions(self, step: MigrationStep) -> list[Callable[[], None]]:
        match step:
            case MigrationStep.ADD if self.target is Mode.IRSA:
                return [self._having(trusted=True), self._having(annotated=True)]
            case MigrationStep.ADD:
                return [self._having(allows_pods=True), self._having(associated=True)]
            case MigrationStep.RESTART:
                return [self.hear, self.replace_pods]
            case MigrationStep.DETACH:
                return [self.use_credentials, self._having(associated=False), self.hear, self.replace_pods]
            case MigrationStep.REMOVE:
                return [self._having(annotated=False), self._having(trusted=False)]
            case _:
                return []

    def _having(self, **changed: bool) -> Callable[[], None]:
        return lambda: vars(self).update(changed)

    def hear(self) -> None:
        """EKS's webhook hears of the association, or that it is gone."""
        self.propagated = self.associated

    def check(self) -> None:
        """No pod is refused."""
        assert all(map(self.works, self.pods)), self


EVENTS = st.one_of(
    st.sampled_from(["pod", "call", "hear", "replace", "switch"]), st.integers(min_value=0, max_value=4)
)


def _happen(world: World, event: str | int) -> None:
    match event:
        case int():
            world.run(event)
        case "pod" if world.propagated == world.associated:
            # On the way back a pod that starts before the change is propagated has no access until it is replaced.
            world.start_pod()
        case "call":
            world.use_credentials()
        case "hear":
            world.hear()
        case "replace" if world.propagated == world.associated:
            world.replace_pods()
        case "switch" if world.run(0) not in {MigrationStep.ADD, MigrationStep.BLOCKED}:
            world.switched = True


@pytest.mark.parametrize("target", [Mode.POD_IDENTITY, Mode.IRSA])
@given(events=st.lists(EVENTS, max_size=40))
def test_whatever_happens_in_between_no_pod_is_refused_and_the_end_is_reached(
    target: Mode, events: list[str | int]
) -> None:
    world = World.before(target)
    world.start_pod()
    world.use_credentials()
    for event in events:
        _happen(world, event)
        world.check()
    for _ in range(4):
        if world.run(0) is not MigrationStep.ADD:
            world.switched = True
        world.run(9)
    assert world.run(9) is MigrationStep.MOVED
    assert all(pod.way is target for pod in world.pods)
    irsa_left = world.annotated or world.trusted
    assert not (irsa_left if target is Mode.POD_IDENTITY else world.associated)
