"""The OIDC providers of the bindings' accounts, checked for as long as the program runs."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from webhook.aws.oidc import provider_audiences, provider_problem
from webhook.model.aws_errors import AwsError
from webhook.telemetry import metrics

if TYPE_CHECKING:
    from webhook.aws.calls import AwsCalls
    from webhook.model.bindings import Binding
    from webhook.server.cluster_issuer import ClusterIssuer
    from webhook.telemetry.progress import Progress

log = structlog.get_logger(__name__)

AGAIN_SECONDS = 3600.0
"""Until a provider that was usable is checked again."""

RETRY_SECONDS = 30.0
"""The same where it was not, or could not be checked."""

_LONGEST_CALL = 120.0


async def watch_providers(
    bindings: tuple[Binding, ...], issuer: ClusterIssuer, calls: AwsCalls, progress: Progress
) -> None:
    """Once the issuer is known, check them again and again: log what is wrong, and show it as a metric.

    A provider that could not be checked keeps what was last known of it.
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
    known: dict[str, str | None] = {}
    while wanted:
        with progress.step("providers", _LONGEST_CALL * len(wanted)):
            are_usable = [await _is_usable(calls, provider, known) for provider in wanted]
        await asyncio.sleep(AGAIN_SECONDS if all(are_usable) else RETRY_SECONDS)


async def _is_usable(calls: AwsCalls, provider: str, known: dict[str, str | None]) -> bool:
    """Whether AWS says so; what changed against `known` is logged."""
    try:
        problem = provider_problem(provider, await provider_audiences(calls, provider))
    except AwsError as error:
        log.warning("oidc_provider_not_checked", provider_arn=provider, reason=str(error))
        return False
    metrics.oidc_provider_usable.labels(provider).set(problem is None)
    if problem:
        log.error("oidc_provider_problem", provider_arn=provider, reason=problem)
    elif known.get(provider, "") is not None:
        log.info("oidc_provider_usable", provider_arn=provider)
    known[provider] = problem
    return problem is None
