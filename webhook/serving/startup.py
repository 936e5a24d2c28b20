"""What is found out before the first review: the cluster's issuer, and who we are to AWS."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from webhook.config.errors import ConfigurationError
from webhook.domain.errors import ClusterError, InvalidNameError
from webhook.domain.names import IssuerUrl
from webhook.trust.ports import AwsError

if TYPE_CHECKING:
    from webhook.aws.caller import CallerCheck
    from webhook.cluster.api import KubernetesApi
    from webhook.domain.bindings import Binding

log = structlog.get_logger(__name__)

_PATIENCE_SECONDS = 2.0


async def find_issuer(configured: str | None, api: KubernetesApi) -> IssuerUrl:
    """The cluster's issuer: the API server's word, which a configured one must equal.

    Raises ConfigurationError for an issuer that is malformed or not the API server's, ClusterError where neither
    says.
    """
    try:
        wanted = None if configured is None else IssuerUrl(configured)
    except InvalidNameError as error:
        raise ConfigurationError(f"cluster.issuer: {error}") from error
    try:
        answered = await api.issuer()
    except ClusterError as error:
        if wanted is None:
            raise ClusterError(
                f"{error}; if it never tells its issuer, set cluster.issuer to what "
                "`aws eks describe-cluster --query cluster.identity.oidc.issuer` prints"
            ) from error
        log.warning("issuer_not_compared", issuer=wanted.value, reason=str(error))
        return wanted
    if wanted is not None and wanted.value != answered:
        raise ConfigurationError(
            f"cluster.issuer: is {wanted}, but the API server's tokens are issued by {answered}; correct it, or "
            "leave it out"
        )
    try:
        return IssuerUrl(answered)
    except InvalidNameError as error:
        raise ConfigurationError(f"cluster.issuer: the API server's own issuer cannot be used: {error}") from error


async def check_roles(bindings: tuple[Binding, ...], caller: CallerCheck) -> None:
    """Raise ConfigurationError for a binding whose role must not be written by these credentials.

    Where AWS does not say in time who we are this is not fatal: reviews must be answered without AWS too. No
    trust policy is touched before it has said so.
    """
    roles = {
        role: f"bindings.{index}.roles.{position}"
        for index, binding in enumerate(bindings)
        if binding.edits_trust
        for position, role in enumerate(binding.roles)
    }
    if not roles:
        return
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            identity = await caller.caller()
    except (AwsError, TimeoutError) as error:
        log.warning("caller_unknown", reason=str(error) or f"no answer within {_PATIENCE_SECONDS} s")
        return
    problems = [
        f"{path}: {objection}" for role, path in roles.items() if (objection := identity.objection_to(role))
    ]
    if problems:
        raise ConfigurationError(*problems)
    log.info("caller_known", arn=identity.arn)
