"""Moving a binding from one way to the other, IRSA or Pod Identity: at which step a ServiceAccount is.

Nothing about a migration is kept anywhere: the step follows from what is there. So the next run continues one that
was cut off, and changes by hand in between count.

Old and new way are both there while pods are replaced, and either works. That order has one exception. EKS prefers
an association to the annotation (amazon-eks-pod-identity-webhook, buildPodPatchConfig), so that on the way back to
IRSA no pod gets the new variables as long as there is one: it is removed before the pods are replaced, not after.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from webhook.model.bindings import Mode
from webhook.model.control_planes import ControlPlanes

if TYPE_CHECKING:
    from webhook.model.bindings import Binding
    from webhook.model.deployments import Deployment
    from webhook.model.names import RoleArn, Subject
    from webhook.planning.plan import Plan


class MigrationStep(StrEnum):
    """What is to be done next about a ServiceAccount."""

    ADD = "add"
    """The new way is not all there yet."""
    SWITCH = "switch"
    """The running program still gives its binding the old way, and would put back what is removed."""
    DETACH = "detach"
    """On the way to IRSA: remove the association, then replace the pods."""
    RESTART = "restart"
    """Pods do not carry the new way's variables: replace them."""
    REMOVE = "remove"
    """No pod needs the old way."""
    MOVED = "moved"
    BLOCKED = "blocked"
    """It stays as it is until a person has done something."""


@dataclass(frozen=True, slots=True)
class ModeReadiness:
    """How far one of the two ways is there for a ServiceAccount."""

    works: bool = False
    """Whether a pod that carries its variables gets credentials."""
    is_ours: bool = False
    """Whether anything of it is managed, and to be removed by us."""
    trouble: str = ""
    """Why only a person can add or remove it."""


@dataclass(frozen=True, slots=True)
class LaggingPods:
    """Pods that belong together and do not carry the new variables, or carry the old ones too."""

    deployment: str
    """The name of their Deployment; empty where they are of none."""
    pods: tuple[str, ...]
    obstacle: str = ""
    """Why they cannot be replaced by a restart."""


@dataclass(frozen=True, slots=True)
class Situation:
    """A ServiceAccount as it was found."""

    subject: Subject
    new: ModeReadiness
    old: ModeReadiness
    workloads: tuple[LaggingPods, ...] = ()

    @property
    def pods(self) -> list[str]:
        """The names of the pods to replace."""
        return [pod for workload in self.workloads for pod in workload.pods]


@dataclass(frozen=True, slots=True)
class Course:
    """The new mode of a binding, and whether the running program's configuration has it already."""

    target: Mode
    switched: bool

    @property
    def detaches(self) -> bool:
        """Whether the old way has to be removed before pods can get the new one's variables."""
        return self.target is Mode.IRSA


@dataclass(frozen=True, slots=True)
class Move:
    """The next step of a ServiceAccount, and why it is that one."""

    situation: Situation
    step: MigrationStep
    why: str

    @property
    def subject(self) -> Subject:
        """Its ServiceAccount."""
        return self.situation.subject


_WHY_SWITCH = "both ways are there: give the binding mode {target} in the running program's configuration"
_WHY_RESTART = "its pods carry the old way's variables"
_WHY_DETACH = "the new way is there: its association is removed, then its pods are replaced"
_WHY_REMOVE = "every pod carries the new way's variables"


def next_move(situation: Situation, course: Course) -> Move:
    """What to do next about a ServiceAccount; each step done leads to the one after it, in the end to MOVED.

    As long as pods carry the old way's variables nothing of it is removed, but for an association whose pods can
    be replaced at once.
    """

    def move(step: MigrationStep, why: str) -> Move:
        return Move(situation, step, why)

    new, old = situation.new, situation.old
    if new.trouble:
        return move(MigrationStep.BLOCKED, new.trouble)
    if not new.works:
        return move(MigrationStep.ADD, "the new way is not all there yet")
    if not (situation.workloads or old.is_ours or old.trouble):
        return move(
            MigrationStep.MOVED, "every pod carries the new way's variables, and nothing of the old way is left"
        )
    if not course.switched:
        return move(MigrationStep.SWITCH, _WHY_SWITCH.format(target=course.target))
    if old.trouble:
        return move(MigrationStep.BLOCKED, old.trouble)
    if obstacle := next((one.obstacle for one in situation.workloads if one.obstacle), ""):
        return move(MigrationStep.BLOCKED, obstacle)
    if course.detaches and old.is_ours:
        return move(MigrationStep.DETACH, _WHY_DETACH)
    if situation.workloads:
        return move(MigrationStep.RESTART, _WHY_RESTART)
    return move(MigrationStep.REMOVE, _WHY_REMOVE)


def obstacle_to_restart(deployment: Deployment | None, service_account: str, named: tuple[str, ...]) -> str:
    """Why a restart of `deployment` would not replace pods of a ServiceAccount; empty where it would.

    `named` are the Deployments that its binding names.
    """
    if deployment is None or deployment.name not in named:
        return "pods of no Deployment that its binding names: have their owner recreate them"
    if deployment.service_account != service_account:
        return f"Deployment {deployment.name} now runs as another ServiceAccount"
    if deployment.is_paused:
        return f"the rollouts of Deployment {deployment.name} are paused: resume it first"
    return ""


@dataclass(frozen=True, slots=True)
class Migration:
    """Where all of a binding's ServiceAccounts are."""

    binding: Binding
    """In its new mode."""
    course: Course
    moves: tuple[Move, ...]
    additions: Plan
    """What is to be written for ServiceAccounts of which the new way is IRSA and not all there."""
    statement_in: tuple[RoleArn, ...] = ()
    """The roles in which the statement for its pods is left, on the way to IRSA."""
    planes: ControlPlanes = field(default_factory=ControlPlanes)
    """The names of the control planes."""

    def at(self, *steps: MigrationStep) -> list[Move]:
        """The moves of these steps, in order."""
        return [move for move in self.moves if move.step in steps]

    @property
    def drops_statement(self) -> bool:
        """Whether the statement for pods can be removed: no pod needs it."""
        return (
            bool(self.statement_in)
            and self.course.switched
            and len(self.at(MigrationStep.MOVED)) == len(self.moves)
        )

    @property
    def waits_for_switch(self) -> bool:
        """Whether something can only go on once the running program has the binding in its new mode."""
        return bool(self.at(MigrationStep.SWITCH)) or (bool(self.statement_in) and not self.course.switched)

    @property
    def can_go_on(self) -> bool:
        """Whether `--approve` would do something now."""
        steps = (MigrationStep.ADD, MigrationStep.DETACH, MigrationStep.RESTART, MigrationStep.REMOVE)
        return bool(self.at(*steps)) or self.drops_statement

    @property
    def is_stuck(self) -> bool:
        """Whether all that is left needs a person."""
        waits = self.waits_for_switch and not self.at(MigrationStep.BLOCKED)
        return not (self.can_go_on or self.at(MigrationStep.SWITCH) or waits)

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to do, by the program or by a person."""
        return len(self.at(MigrationStep.MOVED)) == len(self.moves) and not self.statement_in
