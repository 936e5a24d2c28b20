"""Checks beside the serving: the cluster's issuer, the role that the program runs as, and the EKS cluster.

Each runs until it is known. A contradiction to the configuration is an error at the start. Found later, it stops
the writes that it is about, and the program goes on.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import structlog

from webhook.config.wording import in_binding
from webhook.model.aws_errors import AwsError
from webhook.model.errors import ClusterError, ConfigurationError
from webhook.runtime.clock import pause_after
from webhook.server.issuer import find_issuer
from webhook.server.pod_identity import confirm_cluster
from webhook.telemetry import metrics

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from webhook.aws.caller import CallerCheck
    from webhook.aws.cluster import ClusterCheck
    from webhook.model.bindings import Binding
    from webhook.model.names import IssuerUrl
    from webhook.server.issuer import ClusterIssuer, IssuerSources
    from webhook.telemetry.progress import Progress

log = structlog.get_logger(__name__)

PATIENCE = 2.0
"""Seconds for which the program waits, before it serves, for what contradicts its configuration."""

_LONGEST_ASKING = 120.0
"""Seconds: a few calls of some seconds each, of which one may fetch credentials first."""

_AGAIN_SECONDS = 300.0
"""From one look to the next at what is usable, though it could not be compared yet."""


@dataclass(slots=True)
class Check:
    """One thing to find out. `ask` answers whether it need not be asked again.

    It raises ConfigurationError where the configuration is contradicted, AwsError or ClusterError where that is
    not known yet.
    """

    name: str
    """The value of the metric's label."""
    ask: Callable[[], Awaitable[bool]]
    precondition: Callable[[], Awaitable[None]] | None = None
    """Waits until it makes sense to ask."""
    refusal: ConfigurationError | None = None
    """What contradicts the configuration now."""
    answered: asyncio.Event = field(default_factory=asyncio.Event)
    """Set with the first answer, whichever it is."""

    async def run(self, progress: Progress) -> None:
        """Ask until it is known for good."""
        stopped = metrics.writes_stopped.labels(self.name)
        stopped.set(0)
        failures, logged = 0, ""
        while True:
            if self.precondition:
                await self.precondition()
            try:
                with progress.step(f"check_{self.name}", _LONGEST_ASKING):
                    is_known = await self.ask()
            except ConfigurationError as error:
                self.refusal, reason, failures = error, str(error), failures + 1
                stopped.set(1)
                if reason != logged:
                    log.error("writes_stopped", check=self.name, reason=reason)  # noqa: TRY400  not a bug
                self.answered.set()
            except (AwsError, ClusterError) as error:
                reason, failures = str(error), failures + 1
                if reason != logged:
                    log.warning("check_pending", check=self.name, reason=reason)
            else:
                self.refusal, reason, failures = None, "", 0
                stopped.set(0)
                self.answered.set()
                if is_known:
                    return
            logged = reason
            await asyncio.sleep(pause_after(failures) if failures else _AGAIN_SECONDS)


async def early_contradiction(checks: Sequence[Check]) -> ConfigurationError | None:
    """What contradicts the configuration within `PATIENCE`, while the checks run; None where nothing does."""
    try:
        async with asyncio.timeout(PATIENCE):
            for check in checks:
                await check.answered.wait()
    except TimeoutError:
        log.warning("served_before_checked", checks=[one.name for one in checks if not one.answered.is_set()])
    problems = [problem for check in checks if check.refusal for problem in check.refusal.problems]
    return ConfigurationError(*problems) if problems else None


def issuer_check(configured: IssuerUrl | None, api: IssuerSources, issuer: ClusterIssuer) -> Check:
    """Find the cluster's issuer, and compare a configured one with it."""
    known: list[IssuerUrl] = []

    async def ask() -> bool:
        try:
            found = await find_issuer(configured, api)
            _check_unchanged(known, found.issuer)
        except ConfigurationError as error:
            issuer.reject(str(error))
            raise
        except ClusterError as error:
            issuer.note_failure(str(error))
            raise
        if not known:
            log.info("issuer_known", issuer=found.issuer.value, compared=found.is_compared)
        known[:] = [found.issuer]
        issuer.learn(found.issuer)
        return found.is_compared

    return Check("issuer", ask)


def _check_unchanged(known: list[IssuerUrl], found: IssuerUrl) -> None:
    if known and known[0] != found:
        raise ConfigurationError(
            f"this cluster's tokens are issued by {found} now, and no longer by {known[0]}: restart the program, "
            "so that it writes trust for the new one"
        )


def role_check(bindings: tuple[Binding, ...], caller: CallerCheck) -> Check:
    """Find the program's own identity in AWS, and whether a binding's role must not be written by it.

    No trust policy is touched before that is known.
    """
    roles = {
        role: f"{in_binding(index, binding.name)}roles.{position}"
        for index, binding in enumerate(bindings)
        if binding.edits_trust
        for position, role in enumerate(binding.roles)
    }

    async def ask() -> bool:
        if not roles:
            return True
        identity = await caller.caller()
        problems = [
            f"{path}: {objection}" for role, path in roles.items() if (objection := identity.objection_to(role))
        ]
        if problems:
            raise ConfigurationError(*problems)
        log.info("caller_known", arn=identity.arn)
        return True

    return Check("role", ask)


def cluster_check(cluster: ClusterCheck, issuer: ClusterIssuer) -> Check:
    """Find out whether the EKS cluster of the configured name is this one: nothing is made for it before."""

    async def ask() -> bool:
        await confirm_cluster(cluster)
        log.info("cluster_known", cluster=cluster.name)
        return True

    return Check("cluster", ask, precondition=issuer.wait)
