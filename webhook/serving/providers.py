"""The OIDC providers of the bindings' accounts: looked at until they are usable, and again every hour."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from webhook.aws.oidc import ask_for_provider, problem_of
from webhook.telemetry import metrics

if TYPE_CHECKING:
    from webhook.aws.calls import AwsCalls
    from webhook.domain.bindings import Binding
    from webhook.telemetry.progress import Progress
    from webhook.trust.cluster_issuer import ClusterIssuer

log = structlog.get_logger(__name__)

_RETRY_SECONDS = 30.0
_AGAIN_SECONDS = 3600.0
_LONGEST_CALL = 120.0


async def report_providers(
    bindings: tuple[Binding, ...], issuer: ClusterIssuer, calls: AwsCalls, progress: Progress
) -> None:
    """Once the issuer is known, look at the providers every hour, and soon again where something is wrong."""
    await issuer.wait()
    wanted = {
        issuer.get().provider_arn(role.partition, role.account)
        for binding in bindings
        if binding.names_subjects
        for role in binding.roles
    }
    said: dict[str, str | None] = {}
    while wanted:
        for provider in sorted(wanted):
            with progress.step("providers", _LONGEST_CALL):
                answer = await ask_for_provider(calls, provider)
            problem = problem_of(provider, answer)
            if answer.exists is not None:
                metrics.oidc_provider_usable.labels(provider).set(0 if problem else 1)
            if problem:
                log.error("oidc_provider_problem", provider_arn=provider, reason=problem)
            elif provider not in said or said[provider]:
                log.info("oidc_provider_usable", provider_arn=provider)
            said[provider] = problem
        await asyncio.sleep(_RETRY_SECONDS if any(said.values()) else _AGAIN_SECONDS)
