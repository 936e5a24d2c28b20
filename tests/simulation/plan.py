"""What a seed stands for: the size of the world, what is created when, and which faults happen when."""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from tests.support.sites import binding as binding_of
from tests.support.sites import pool, subject
from webhook.model.bindings import Binding, Mode
from webhook.model.names import RoleArn, Subject
from webhook.model.removal import PruneRules
from webhook.model.selectors import NamePattern, NamespaceSelector, Operator, Requirement

if TYPE_CHECKING:
    from collections.abc import Callable

LABEL = "internal.spaces.upbound.io/controlplane-name"

BUSY_SECONDS = 60.0
"""Within so many seconds everything is created, and every fault begins."""

ROOMY = 40
"""Subjects for which a role has room that is never full."""

FAULTS = (
    "throttling",
    "iam_errors",
    "lost_iam_answers",
    "lost_iam_requests",
    "late_iam_writes",
    "iam_outage",
    "denied",
    "slow_iam",
    "stale_reads",
    "api_errors",
    "lost_api_answers",
    "api_outage",
    "cut_lists",
    "slow_api",
    "silent_watch",
    "expired_watch",
    "crash",
    "rolling_restart",
    "stall",
    "clock_jump",
    "leader_crash",
    "leader_stall",
    "terraform",
    "neighbour",
    "hand_edit",
    "refused_size",
)


@dataclass(frozen=True, slots=True)
class ControlPlane:
    """One control plane: what is created when, seconds from the start."""

    subject: Subject
    at: float
    labelled_after: float
    account_after: float
    rejected_times: int
    dry_run_first: bool
    deleted_at: float | None
    stripped_at: float | None
    unlabelled_at: float | None
    moved_at: float | None
    account_deleted_at: float | None
    account_again_after: float | None
    remade_after: float | None
    """Seconds after its deletion until a namespace of the same name is made."""
    remade_with_label: bool


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: its kind, when it begins, how long it lasts, and a number that says which or how many."""

    kind: str
    at: float
    seconds: float
    number: int


@dataclass(frozen=True, slots=True)
class Plan:
    """One world."""

    seed: int
    replicas: int
    binding: Binding
    planes: tuple[ControlPlane, ...]
    faults: tuple[Fault, ...]
    kinds: frozenset[str]
    interval: float
    rules: PruneRules
    wall_clocks_ahead: tuple[float, ...]
    budget: float
    latency: float
    room_for: int
    fails_closed: bool
    refuses_without_trust: bool
    neighbours: tuple[Subject, ...] = field(default=())
    admitted: float | None = None
    """Calls of IAM that all replicas and the neighbour may make a second while there are faults; None for any."""
    approved_at: tuple[float, ...] = ()
    """When a person approves all removals, seconds from the start."""

    def describe(self) -> str:
        """One line for a person."""
        faults = ", ".join(sorted(self.kinds)) or "none"
        admitted = f" and {self.admitted:.1f} calls a second" if self.admitted else ""
        return (
            f"{self.replicas} replicas, {len(self.binding.roles)} roles with room for {self.room_for}, "
            f"{len(self.planes)} planes, IAM {self.latency * 1000:.0f} ms{admitted}, "
            f"interval {self.interval:.0f} s, grace {self.rules.grace:.0f} s; faults: {faults}"
        )


def draw(seed: int) -> Plan:
    """The plan of a seed."""
    dice = random.Random(seed)
    roles = pool(dice.choices([1, 2, 3], [5, 3, 2])[0])
    count = dice.choices([dice.randint(3, 8), dice.randint(9, 15), dice.randint(16, 25)], [6, 3, 1])[0]
    leaving = dice.choices([0.08, 0.5], [9, 1])[0]
    planes = tuple(_control_plane(dice, number, leaving) for number in range(count)) + _short_lived(seed)
    kinds = frozenset(dice.sample(FAULTS, dice.choice([0, 1, 2, 2, 3, 3, 4, 6])))
    tight = dice.random() < 0.25
    replicas = dice.choices([1, 2, 3], [3, 5, 3])[0]
    return Plan(
        seed=seed,
        replicas=replicas,
        binding=_selecting_by_label(binding_of(*roles)),
        planes=planes,
        faults=tuple(sorted(_faults(dice, kinds), key=lambda fault: fault.at)),
        kinds=kinds,
        interval=60.0,
        rules=PruneRules(dice.choice([30.0, 60.0, dice.uniform(30, 120)]), 0.2),
        wall_clocks_ahead=tuple(dice.choice([0.0, 0.0, dice.uniform(-20, 20)]) for _ in range(replicas)),
        budget=dice.choice([0.5, 3.0, 3.0]),
        latency=dice.choice([0.03, 0.15, 0.15, 0.5]),
        room_for=max(1, count // len(roles) - dice.randint(-1, 2)) if tight else ROOMY,
        fails_closed=dice.random() < 0.7,
        refuses_without_trust=dice.random() < 0.2,
        neighbours=tuple(subject(9000 + number) for number in range(dice.randint(1, 4))),
        admitted=dice.choice([None, None, dice.uniform(0.5, 6.0)]),
        approved_at=_approvals(dice),
    )


def _short_lived(seed: int) -> tuple[ControlPlane, ...]:
    """In some worlds: more that live for seconds, as simulations and upgrade tests do; dice of their own."""
    dice = random.Random(f"short-lived {seed}")
    if dice.random() < 0.75:
        return ()
    many = [_control_plane(dice, 100 + number, 0.0) for number in range(dice.randint(4, 16))]
    return tuple(
        replace(
            plane,
            deleted_at=plane.at + dice.uniform(1, 15),
            remade_after=plane.remade_after if dice.random() < 0.5 else None,
            rejected_times=0,
        )
        for plane in many
    )


def _approvals(dice: random.Random) -> tuple[float, ...]:
    return tuple(dice.uniform(5, BUSY_SECONDS) for _ in range(dice.choice([0, 0, 1, 3])))


def _selecting_by_label(binding: Binding) -> Binding:
    selector = NamespaceSelector((Requirement(LABEL, Operator.EXISTS),), NamePattern("mxp-*-system"))
    return Binding(binding.name, binding.service_account, selector, Mode.IRSA, binding.roles)


def _control_plane(dice: random.Random, number: int, leaving: float) -> ControlPlane:
    """`leaving` is how likely it is to be deleted; a wrong hand deletes many at once."""
    at = dice.choice([1.0, 10.0, dice.uniform(0, 0.6 * BUSY_SECONDS)]) + dice.uniform(0, 0.5)

    def sometimes(chance: float, value: Callable[[], float]) -> float | None:
        return value() if dice.random() < chance else None

    return ControlPlane(
        subject=subject(number),
        at=at,
        labelled_after=sometimes(0.15, lambda: dice.uniform(0, 8)) or 0.0,
        account_after=dice.choice([0.0, 0.02, 0.3, dice.uniform(0, 4)]),
        rejected_times=dice.choices([0, 1, 8], [88, 10, 2])[0],
        dry_run_first=dice.random() < 0.05,
        deleted_at=sometimes(leaving, lambda: at + dice.uniform(2, 40)),
        stripped_at=sometimes(0.08, lambda: at + dice.uniform(2, 40)),
        unlabelled_at=sometimes(leaving / 2, lambda: at + dice.uniform(2, 40)),
        moved_at=sometimes(0.05, lambda: at + dice.uniform(2, 40)),
        account_deleted_at=sometimes(0.05, lambda: at + dice.uniform(2, 40)),
        account_again_after=sometimes(0.5, lambda: dice.uniform(0.5, 60)),
        remade_after=sometimes(0.3, lambda: dice.choice([dice.uniform(0, 3), dice.uniform(3, 100)])),
        remade_with_label=dice.random() < 0.5,
    )


def _faults(dice: random.Random, kinds: frozenset[str]) -> list[Fault]:
    return [
        Fault(
            kind,
            dice.uniform(0, BUSY_SECONDS),
            dice.choice([0.5, 3.0, 8.0, dice.uniform(5, 40)]),
            dice.randrange(1000),
        )
        for kind in sorted(kinds)
        for _ in range(dice.choice([1, 1, 2, 3]))
    ]


__all__ = ["BUSY_SECONDS", "FAULTS", "LABEL", "ControlPlane", "Fault", "Plan", "RoleArn", "draw"]
