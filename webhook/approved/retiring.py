"""Removing our statement for good, by a writer whose cluster wants nobody in the role."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from webhook.cluster.leases import Leases
from webhook.config.whereabouts import process_identity
from webhook.trust.leases import LeaseLock
from webhook.trust.ports import AwsError
from webhook.trust.writer import RoleWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from webhook.approved.carrying_out import Done
    from webhook.domain.names import RoleArn, Subject
    from webhook.domain.plan import Plan, RoleChange
    from webhook.survey.session import Session

_PATIENCE = 120.0
_LOOK_SECONDS = 1.0


class NobodyWanted:
    """The `Demand` of a cluster that is gone, and of a role that nothing is bound to."""

    def wanted_in(self, role: RoleArn) -> Collection[Subject]:  # noqa: ARG002  the port's
        """Nobody."""
        return ()

    def may_want(self, role: RoleArn, subject: Subject) -> bool:  # noqa: ARG002  the port's
        """Never."""
        return False

    def may_leave(self, role: RoleArn, subject: Subject) -> bool:  # noqa: ARG002  the port's
        """Always."""
        return True

    def is_another(self, role: RoleArn, subject: Subject) -> bool:  # noqa: ARG002  the port's
        """Never: nobody comes back here."""
        return False


async def retire(here: Session, plan: Plan, done: Done, progress: Callable[[str], None]) -> None:
    """Remove the statements that the plan removes, and wait until IAM shows it."""
    lock = LeaseLock(Leases(here.connection, here.namespace), process_identity())
    policies = here.policies_to_write()
    for number, change in enumerate(plan.roles, 1):
        progress(f"{number} of {len(plan.roles)} roles")
        await _retire_from(here, change, RoleWriter(change.role, change.own, policies, lock, NobodyWanted()), done)


async def _retire_from(here: Session, change: RoleChange, writer: RoleWriter, done: Done) -> None:
    try:
        async with asyncio.timeout(_PATIENCE):
            writer.leave({item.subject for item in change.removed})
            await writer.first_look()
            while not writer.needs_a_person and await _is_there(here, change):
                writer.check()
                await asyncio.sleep(_LOOK_SECONDS)
    except (AwsError, TimeoutError) as error:
        done.failed.append(f"{change.role}: {str(error) or f'not within {_PATIENCE:.0f} s'}")
    else:
        if writer.needs_a_person and writer.trouble:
            done.failed.append(f"{change.role}: {writer.trouble.reason}")
        else:
            done.written.append(f"{change.role}: statement {change.own.sid} removed")
    finally:
        await writer.close()


async def _is_there(here: Session, change: RoleChange) -> bool:
    policy = await here.policies.read(change.role)
    return any(change.own.owns(statement) for statement in policy.statements)
