"""Carrying out a migration: the new way added, pods replaced, the old way removed, a few at a time.

What is removed is judged again right before: the plan is minutes old then. What is done is noted in
the caller's `done` as soon as it is, for an error or Ctrl-C may come at any moment.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from webhook.cli.apply.engine import (
    add_and_repair,
    note_untrusted,
    obtain,
    open_applier,
    remove,
    written_until_shown,
)
from webhook.cli.judgement import judge_trust
from webhook.cli.migrate.replacing import Replacing
from webhook.cli.migrate.rules import MigrationStep
from webhook.cli.migrate.session import lags
from webhook.cli.output import short
from webhook.controller.live_reads import read_live
from webhook.model.aws_errors import AwsError
from webhook.model.bindings import Mode
from webhook.model.errors import ClusterError, InvalidPolicyError
from webhook.planning.plan import Change, Plan, RoleChange

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from webhook.cli.apply.engine import Applier
    from webhook.cli.migrate.rules import Migration, Move
    from webhook.cli.migrate.session import MigrationSession
    from webhook.cli.output import Done
    from webhook.controller.remediation.rollouts import RolloutLimits
    from webhook.model.decisions import Account
    from webhook.model.names import RoleArn, Subject
    from webhook.podidentity.associations import Associations

_AT_ONCE = 500
"""ServiceAccounts that are associated together: at 20 calls a second to begin with, within the patience."""

_TIME_RUNS = (
    "its association is gone, and its pods keep their credentials for three hours at most, so run this again"
)
"""The agent on a node keeps them for that long (aws/eks-pod-identity-agent, refreshing_cache.go)."""


async def add(
    session: MigrationSession, migration: Migration, progress: Callable[[str], None], done: Done
) -> None:
    """Add the new way where it is not all there, beside the old one. Raises ClusterError, AwsError."""
    subjects = [move.subject for move in migration.at(MigrationStep.ADD)]
    associates = session.binding.associates
    async with open_applier(session.here, done, session.own_in, session.pods if associates else None) as applier:
        if not associates:
            await add_and_repair(applier, migration.additions, progress)
            return
        for first in range(0, len(subjects), _AT_ONCE):
            progress(f"{first} of {len(subjects)} ServiceAccounts")
            some = subjects[first : first + _AT_ONCE]
            outcomes = await obtain(applier, some, lambda _: None)
            if associated := note_untrusted(done, some, outcomes, "not associated: "):
                done.written.append(f"{len(associated)} associated")


async def move_on(
    session: MigrationSession,
    migration: Migration,
    limits: RolloutLimits,
    progress: Callable[[str], None],
    done: Done,
) -> None:
    """Replace the pods that do not carry the new variables, and remove the old way where no pod needs it.

    Interrupted, rollouts continue in the cluster. Raises ClusterError, AwsError.
    """
    moves = migration.at(MigrationStep.DETACH, MigrationStep.RESTART, MigrationStep.REMOVE)
    async with open_applier(session.here, done, session.own_in, session.pods) as applier:
        if applier.engine.associations:
            await applier.engine.associations.wait_until_synced()
        moving = _Moving(session, applier, Replacing(session, limits))
        slots = asyncio.Semaphore(limits.at_a_time)
        passed: list[Subject] = []
        ended = 0

        async def move(one: Move) -> None:
            nonlocal ended
            async with slots:
                reason = await moving.move(one)
            if reason:
                done.failed.append(f"{short(one.subject)}: {reason}")
            else:
                passed.append(one.subject)
            ended += 1
            progress(f"{ended} of {len(moves)} ServiceAccounts")

        try:
            await asyncio.gather(*(move(one) for one in moves))
        finally:
            if passed:
                done.written.append(f"every pod of {len(passed)} ServiceAccounts carries the new variables")
        if session.binding.associates:
            progress("removing what the old way needed")
            await moving.remove_irsa(sorted(passed), progress)


async def drop_statement(session: MigrationSession, migration: Migration, done: Done) -> None:
    """Remove the statement for the binding's pods from its roles, on the way to IRSA, when no pod needs it.

    Raises ClusterError.
    """
    async with open_applier(session.here, done, session.own_at_the_end_in) as applier:
        for role in migration.statement_in:
            if await written_until_shown(
                applier, role, lambda policy: all(one.get("Sid") != session.sid for one in policy.statements)
            ):
                done.written.append(f"{role}: statement {session.sid} removed")


class _Moving:
    """One binding's ServiceAccounts, each moved on from where it is."""

    def __init__(self, session: MigrationSession, applier: Applier, replacing: Replacing) -> None:
        self._session = session
        self._applier = applier
        self._replacing = replacing
        self._detached: set[Subject] = set()
        self._bared = 0
        """How many annotations were removed."""

    async def move(self, move: Move) -> str:
        """Have every pod carry the new variables; answers why that is not so, or nothing."""
        try:
            reason = await self._move(move)
        except (ClusterError, AwsError, InvalidPolicyError) as error:
            reason = str(error)
        except asyncio.CancelledError:
            if move.subject in self._detached:
                self._applier.done.failed.append(f"{short(move.subject)}: {_TIME_RUNS}")
            raise
        return f"{_TIME_RUNS}: {reason}" if reason and move.subject in self._detached else reason

    async def _move(self, move: Move) -> str:
        subject, applier = move.subject, self._applier
        if move.step is MigrationStep.DETACH and applier.engine.associations:
            namespace, account = await read_live(applier.cluster, applier.cache, subject)
            if namespace is None:
                await applier.engine.associations.remove(subject)
                return ""
            if reason := await self._not_to_detach(subject, account):
                return reason
            await self._detach(subject, applier.engine.associations)
        if move.step is not MigrationStep.REMOVE and (reason := await self._replacing.propagated(subject)):
            return reason
        return await self._replacing.replaced(subject)

    async def _detach(self, subject: Subject, associations: Associations) -> None:
        """Delete an association; cut off in the middle, it counts as deleted, because it may be."""
        try:
            await associations.remove(subject)
        except asyncio.CancelledError:
            self._detached.add(subject)
            raise
        self._detached.add(subject)

    async def _not_to_detach(self, subject: Subject, account: Account | None) -> str:
        """Why a ServiceAccount's association must stay for now, by what is there at this moment."""
        named = account.role_annotation if account else None
        role = next((one for one in self._session.binding.roles if one.value == named), None)
        if account is not None and (role is None or not await self._lets_in(role, subject)):
            return "its annotation and its trust are no longer both there: run the command again"
        return await self._replacing.settled(subject)

    async def _lets_in(self, role: RoleArn, subject: Subject) -> bool:
        writer = self._applier.engine.writers[role]
        await writer.wait_until_synced()
        if trust := writer.cache.trusts(subject):
            return not trust.doubt
        policy = await self._applier.policies.read(role)
        return judge_trust(policy, self._session.own_in(role), subject, by_own=False).is_certain

    async def remove_irsa(self, subjects: Iterable[Subject], progress: Callable[[str], None]) -> None:
        """Remove the annotations that pods no longer need, then the trust.

        Pods are read again in between: one created after the annotation is gone cannot carry the role.
        """
        try:
            await self._remove_irsa(subjects, progress)
        except BaseException:  # Ctrl-C too
            if self._bared:
                self._applier.done.written.append(f"{self._bared} annotations removed")
            raise

    async def _remove_irsa(self, subjects: Iterable[Subject], progress: Callable[[str], None]) -> None:
        bare = [subject for subject in subjects if await self._without_annotation(subject)]
        name = self._session.binding.service_account
        lagging = {
            pod.namespace
            for pod in await self._session.here.api.pods_until_gone(name)
            if lags(pod, Mode.POD_IDENTITY)
        }
        removable = {subject for subject in bare if subject.namespace not in lagging}
        self._applier.done.failed.extend(
            f"{short(subject)}: its trust is kept: a pod with the old variables has come"
            for subject in bare
            if subject not in removable
        )
        changes = [await self._change(role, removable) for role in self._session.binding.roles]
        plan = Plan(tuple(change for change in changes if change.removed))
        if plan.roles:
            await remove(self._applier, plan, progress)

    async def _without_annotation(self, subject: Subject) -> bool:
        account = self._applier.cache.account(subject)
        named = account.role_annotation if account else None
        role = next((one for one in self._session.binding.roles if one.value == named), None)
        if role is None:
            return True
        try:
            if await self._session.here.api.take_annotation(subject, role):
                self._bared += 1
                return True
            reason = "it was put back: is the running program in the new mode?"
        except ClusterError as error:
            reason = str(error)
        self._applier.done.failed.append(f"{short(subject)}: its annotation is kept: {reason}")
        return False

    async def _change(self, role: RoleArn, removable: set[Subject]) -> RoleChange:
        policy, own = await self._applier.policies.read(role), self._session.own_in(role)
        there = sorted(policy.subjects(own) & removable)
        removed = tuple(Change(subject, "its pods use Pod Identity") for subject in there)
        return RoleChange(role, own, policy, policy, removed=removed)
