"""The OIDC providers of the bindings' accounts: looked at until they are usable, and again every hour."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from webhook.aws.oidc import provider_problem

if TYPE_CHECKING:
    from webhook.aws.calls import AwsCalls
    from webhook.domain.bindings import Binding
    from webhook.telemetry.progress import Progress
    from webhook.trust.cluster_issuer import ClusterIssuer

log = structlog.get_logger(__name__)

_RETRY_SECONDS = 30.0
_LONGEST_CALL = 120.0


async def report_providers(
    bindings: tuple[Binding, ...], issuer: ClusterIssuer, calls: AwsCalls, progress: Progress
) -> None:
    """Once the issuer is known, log what is wrong with the providers, until nothing is."""
    await issuer.wait()
    wanted = {
        issuer.get().provider_arn(role.partition, role.account)
        for binding in bindings
        if binding.names_subjects
        for role in binding.roles
    }
    while wanted:
        for provider in sorted(wanted):
            with progress.step("providers", _LONGEST_CALL):
                problem = await provider_problem(calls, provider)
            if problem is None:
                log.info("oidc_provider_usable", provider_arn=provider)
                wanted.discard(provider)
            else:
                log.error("oidc_provider_problem", provider_arn=provider, reason=problem)
        await asyncio.sleep(_RETRY_SECONDS)
