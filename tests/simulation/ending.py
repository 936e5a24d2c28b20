"""What must hold at the end: wanted subjects are trusted, no external statement is lost, nothing is written."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

from tests.simulation import checks
from tests.simulation.plan import ROOMY
from tests.simulation.removals import CLOCK_FAULTS
from tests.simulation.replica import INSTALLATION, neighbours_own_in
from tests.support.invariants import assert_statement_is_whole
from tests.support.sites import own_in
from webhook.controller.leader_election import leader_lease
from webhook.iam.trust_policy import TrustPolicy

if TYPE_CHECKING:
    from tests.simulation.aws import Write
    from tests.simulation.world import World
    from webhook.model.names import RoleArn, Subject

WATCH_FAULTS = frozenset({"silent_watch", "expired_watch", "api_errors", "api_outage", "slow_api", "cut_lists"})
"""With these, a replica does not know yet that a subject is wanted that another has written."""


def check_one_role_each(world: World) -> None:
    """Whether no subject was trusted in two roles of ours at any moment.

    It may happen only in these cases. A role that denies access does not show which subjects it trusts, and those
    that wait for it go to the next. A write that IAM applies long after its answer was given up may find its
    subjects elsewhere. By old reads replicas differ on which role is full, also where a removal makes room in full
    roles. A replica that has not read yet where the subject is trusted may move an annotation. The summary counts
    each case, and it is over when `check_leavers` looks.
    """
    plan = world.plan
    moved = {plane.subject for plane in plan.planes if plane.moved_at is not None}
    twice = world.witness.in_two_roles.keys() - moved
    room_appeared = plan.room_for < ROOMY and world.witness.removals.count
    if twice and not room_appeared and not {"denied", "late_iam_writes", "stale_reads"} & plan.kinds:
        names = ", ".join(sorted(subject.namespace for subject in twice))
        world.witness.complain(("no_subject_is_trusted_in_two_roles", names))


def check_no_subject_dropped(world: World) -> None:
    """Whether no write of ours left out a subject whose trust IAM had confirmed, however old the read was.

    Only a write that comes late may do so, by IAM's doing or because the lock does not keep writers apart, and one
    of a replica that the API server tells too late who is wanted: it does not believe a Lease alone.
    """
    if {"late_iam_writes", *CLOCK_FAULTS, *WATCH_FAULTS} & world.plan.kinds:
        return
    for at, write, promised in world.witness.drops:
        if promised and write.cluster == "ours":
            names = ", ".join(sorted(subject.namespace for subject in promised))
            world.witness.complain(("no_promised_subject_is_dropped", f"{names} at {at:.2f} s"))
            return


def check_recovery(world: World) -> None:
    """Minutes after the last fault."""
    binding = world.plan.binding
    trusting = {role: checks.subjects_in(world.iam.document(role), own_in(role)) for role in binding.roles}
    for subject in sorted(world.wanted()):
        roles = [role for role, subjects in trusting.items() if subject in subjects]
        account = world.api.accounts.get(subject.namespace)
        if not roles and any(_has_room(world, role, subject) for role in trusting):
            world.witness.complain(("everyone_wanted_is_trusted", subject.namespace))
        elif roles and account and account.role_annotation not in {role.value for role in roles}:
            named = account.role_annotation
            world.witness.complain(("the_annotation_names_a_role_that_trusts", f"{subject.namespace}: {named}"))
    for role in trusting:
        try:
            assert_statement_is_whole(world.iam.document(role), own_in(role))
        except (AssertionError, KeyError) as error:
            if not _fits_when_whole(world, role):
                continue  # it was damaged externally and its room filled: only a person can make some
            world.witness.complain(("our_statement_is_whole_at_the_end", f"{role.name}: {error!r}"))
    _check_neighbours(world)
    _check_external(world)


def check_leavers(world: World) -> None:
    """Whether no unused trust is left, but for what waits for the hourly limit, and no subject is in two roles.

    What the leader has seen deleted does not wait. Of the rest nothing waits as long as the limit allows one more.
    """
    wishes, lease = world.wishes, world.api.leases.get(leader_lease(INSTALLATION))
    leader = world.witness.removals.leader()
    trusting = {
        role: checks.subjects_in(world.iam.document(role), own_in(role)) for role in world.plan.binding.roles
    }
    left = [
        (role, subject)
        for role, subjects in trusting.items()
        for subject in sorted(subjects)
        if wishes.unwanted_since(role, subject.namespace) is not None
    ]
    removed = sum(count for _, count in lease.removals) if lease else 0
    most = max(3, (sum(map(len, trusting.values())) + removed) // 5)
    if left and removed >= most:
        world.witness.met("removals_over_limit", "world", f"{len(left)} are left, {removed} were removed")
    for role, subject in left:
        if not _fits_when_whole(world, role):
            continue  # nothing can be written there
        is_free = leader and world.witness.removals.is_free_to_remove(leader, subject.namespace)
        if removed >= most and not is_free:
            continue
        home = wishes.home(subject.namespace)
        if home is None:
            world.witness.complain(("an_unused_subject_is_trusted_nowhere", f"{subject.namespace} in {role.name}"))
        elif subject in trusting[home]:
            world.witness.complain(("a_subject_in_two_roles_is_in_one", f"{subject.namespace} in {role.name}"))


def _check_neighbours(world: World) -> None:
    for role, subjects in world.neighbours.items():
        missing = set(subjects) - checks.subjects_in(world.iam.document(role), neighbours_own_in(role))
        if any(_neighbour_has_room(world, role, subject) for subject in missing):
            world.witness.complain(("the_neighbours_statement_is_whole", f"{role.name}: {len(missing)} missing"))


def _check_external(world: World) -> None:
    for role in world.plan.binding.roles:
        now = checks.part_of_others(world.iam.document(role), own_in(role), neighbours_own_in(role))
        if now != world.witness.external[role]:
            world.witness.complain(("external_statements_are_intact_at_the_end", role.name))


def check_quiet(world: World, writes_before: int) -> None:
    """Five minutes later."""
    more = world.witness.writes[writes_before:]
    if more:
        world.witness.complain(("no_write_when_nothing_changes", f"{len(more)} by {more[0].process.name}"))


def check_mutual_exclusion(world: World) -> None:
    """Whether no two replicas were between a read and its write of one role at the same time."""
    if CLOCK_FAULTS & world.plan.kinds:
        return
    ours = [write for write in world.witness.writes if write.cluster == "ours"]
    for one, other in combinations(ours, 2):
        if one.role == other.role and one.process is not other.process and _overlap(one, other):
            what = f"{one.role.name}: {one.process.name} and {other.process.name} at {other.read_at:.2f} s"
            world.witness.complain(("one_replica_at_a_time_between_read_and_write", what))
            return


def _overlap(one: Write, other: Write) -> bool:
    return one.read_at < other.ended_by and other.read_at < one.ended_by


def _fits_when_whole(world: World, role: RoleArn) -> bool:
    policy, own = TrustPolicy(world.iam.document(role)), own_in(role)
    return policy.with_subjects(own, policy.subjects(own)).size() <= world.iam.limit


def _has_room(world: World, role: RoleArn, subject: Subject) -> bool:
    policy, own = TrustPolicy(world.iam.document(role)), own_in(role)
    return policy.with_subjects(own, policy.subjects(own) | {subject}).size() <= world.iam.limit


def _neighbour_has_room(world: World, role: RoleArn, subject: Subject) -> bool:
    policy, own = TrustPolicy(world.iam.document(role)), neighbours_own_in(role)
    return policy.with_subjects(own, policy.subjects(own) | {subject}).size() <= world.iam.limit
