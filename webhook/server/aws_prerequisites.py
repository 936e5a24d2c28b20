"""What the bindings need of AWS beside their roles: services that answer, and each account's OIDC provider.

Both are logged and exported, and stop nothing.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from webhook.aws.cluster import read_provider
from webhook.aws.reachability import services_for, unreached
from webhook.model.aws_errors import AwsError
from webhook.telemetry import metrics

if TYPE_CHECKING:
    from webhook.aws.calls import AwsCalls
    from webhook.model.bindings import Binding
    from webhook.server.issuer import ClusterIssuer
    from webhook.telemetry.progress import Progress

log = structlog.get_logger(__name__)

AGAIN_SECONDS = 3600.0
"""Until a provider that was usable is checked again."""

RETRY_SECONDS = 30.0
"""Until what was not reached, not usable or not checked is tried again."""

_LONGEST_CALL = 120.0


async def watch_endpoints(bindings: tuple[Binding, ...], calls: AwsCalls, progress: Progress) -> None:
    """Ask each service until it has answered once; the calls log and export what is not reached, then and later.

    A private cluster may reach none of them. Where credentials come from STS, calls of the others fail before they
    are sent, so that only STS would be named.
    """
    waiting = services_for(bindings)
    while waiting:
        with progress.step("endpoints", _LONGEST_CALL):
            waiting = set(await unreached(calls, waiting))
        if waiting:
            await asyncio.sleep(RETRY_SECONDS)


async def watch_providers(
    bindings: tuple[Binding, ...], issuer: ClusterIssuer, calls: AwsCalls, progress: Progress
) -> None:
    """Once the issuer is known, check the providers for ever: log what is wrong, and export it as a metric.

    The metric of a provider that could not be checked keeps its value.
    """
    await issuer.wait()
    wanted = sorted(
        {
            issuer.get().provider_arn(role.partition, role.account)
            for binding in bindings
            if binding.names_subjects
            for role in binding.roles
        }
    )
    usable: dict[str, bool] = {}
    while wanted:
        with progress.step("providers", _LONGEST_CALL * len(wanted)):
            are_usable = [await _check_provider(calls, provider, usable) for provider in wanted]
        await asyncio.sleep(AGAIN_SECONDS if all(are_usable) else RETRY_SECONDS)


async def _check_provider(calls: AwsCalls, arn: str, usable: dict[str, bool]) -> bool:
    """Whether IAM says that the provider is usable. Logs a problem each time, and when it becomes usable."""
    try:
        provider = await read_provider(calls, arn)
    except AwsError as error:
        log.warning("oidc_provider_not_checked", provider_arn=arn, reason=str(error))
        return False
    is_usable = provider.problem is None
    metrics.oidc_provider_usable.labels(arn).set(is_usable)
    if not is_usable:
        log.error("oidc_provider_problem", provider_arn=arn, reason=f"{provider.problem}; run `{provider.fix}`")
    elif not usable.get(arn):
        log.info("oidc_provider_usable", provider_arn=arn)
    usable[arn] = is_usable
    return is_usable
