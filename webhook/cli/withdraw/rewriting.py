"""Writing a role's trust policy without managed statements, under the role's lock.

No replica runs, so no grant is pending and nothing writes the managed statement again. What is written differs
from the last read before it in our statements alone.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

from webhook.cli.apply.engine import PATIENCE
from webhook.cli.running import to_its_end
from webhook.cli.withdraw.statements import News, changed_externally, without_managed
from webhook.coordination.lock import REMEMBERED, LockError
from webhook.iam.reasons import with_dangling_principals
from webhook.iam.write_cycle import WRITE_TIME
from webhook.model.aws_errors import AwsError
from webhook.model.errors import InvalidPolicyError
from webhook.runtime.clock import loop_clock, pause_after

if TYPE_CHECKING:
    from webhook.coordination.lock import RoleLock
    from webhook.iam.ports import TrustPolicies
    from webhook.iam.statement import OwnStatement
    from webhook.iam.trust_policy import TrustPolicy
    from webhook.model.names import RoleArn, Subject

_LOOK_SECONDS = 1.0


class Rewriting:
    """One role's policy, rewritten. `wanted` are the subjects that bindings want in the role.

    With `keeps` plain statements take the place of ours.
    """

    def __init__(self, role: RoleArn, own: OwnStatement, wanted: frozenset[Subject], *, keeps: bool) -> None:
        self.role = role
        self._own = own
        self._wanted = wanted
        self._keeps = keeps
        self._clock = loop_clock()
        self._written_at = float("-inf")
        self._news = News()
        """Of all tries: a lock tells the same news once."""

    async def until_shown(self, policies: TrustPolicies, lock: RoleLock) -> str:
        """Write it, and wait until IAM shows it; answers why it does not, or nothing."""
        trouble, failures = f"IAM does not show the change within {PATIENCE:.0f} s", 0
        try:
            async with asyncio.timeout(PATIENCE):
                while True:
                    try:
                        if await self._is_shown(policies):
                            return ""
                        await to_its_end(self._write(policies, lock))
                        failures = 0
                    except (AwsError, LockError) as error:
                        if isinstance(error, AwsError) and not error.kind.passes_soon:
                            raise
                        trouble, failures = str(error), failures + 1
                    await asyncio.sleep(pause_after(failures) if failures else _LOOK_SECONDS)
        except (AwsError, InvalidPolicyError) as error:
            return str(error)
        except TimeoutError:
            return trouble

    async def _is_shown(self, policies: TrustPolicies) -> bool:
        policy = await policies.read(self.role)
        return not any(map(self._own.owns, policy.statements))

    async def _write(self, policies: TrustPolicies, lock: RoleLock) -> None:
        """Write once, unless a write was answered within the last minute: then the last read was too old."""
        if self._clock() - self._written_at < REMEMBERED:
            return
        began = self._clock()
        async with lock.hold(self.role, self._news.learn, lambda: began) as hold:
            policy = await policies.read(self.role)  # the last call before the write: IAM's window stays small
            changed = self._changed(policy)
            if changed is policy:
                return
            try:
                await policies.write(self.role, changed, partial(hold.outlasts, WRITE_TIME))
            except AwsError as error:
                raise with_dangling_principals(error, policy) from error
        self._written_at = self._clock()

    def _changed(self, policy: TrustPolicy) -> TrustPolicy:
        if not self._keeps:
            return without_managed(policy, self._own, None)
        if reason := changed_externally(policy, self._own):
            raise InvalidPolicyError(reason)
        trusted = self._news.trusted(policy.subjects(self._own), self._wanted)
        return without_managed(policy, self._own, trusted)
