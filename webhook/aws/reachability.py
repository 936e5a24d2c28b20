"""Which services of AWS are needed and can be reached: noted with every call, asked for without credentials."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import structlog
from botocore.exceptions import ClientError

from webhook.aws.exchange import current
from webhook.model.aws_errors import AwsError, Cause, Service, Unreachable
from webhook.telemetry import metrics
from webhook.telemetry.refusals import LogLimit

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from webhook.aws.calls import AwsCalls
    from webhook.aws.clients import AwsClients
    from webhook.model.bindings import Binding

log = structlog.get_logger(__name__)


class Reachability:
    """Exports for each service whether its last call got an answer, and logs a change. For any thread.

    A service that comes and goes is logged every ten seconds at most; what is logged last is how it stays.
    """

    def __init__(self) -> None:
        self._logged: dict[Service, Cause | None] = {}
        self._lock = threading.Lock()
        self._limit = LogLimit()

    def note_answers(self, services: Iterable[Service]) -> None:
        """These have answered, be it with a refusal."""
        for service in services:
            metrics.aws_endpoint_reachable.labels(service.value).set(1)
            if self._is_news(service, None):
                log.info("aws_endpoint_reachable", service=service.value)

    def note_failure(self, failure: Unreachable) -> None:
        """A call of one came to nothing."""
        endpoint = failure.endpoint
        metrics.aws_endpoint_reachable.labels(endpoint.service.value).set(0)
        if self._is_news(endpoint.service, failure.cause):
            log.warning(
                "aws_endpoint_unreachable",
                service=endpoint.service.value,
                host=endpoint.host,
                cause=failure.cause.value,
                reason=str(failure),
            )

    def _is_news(self, service: Service, cause: Cause | None) -> bool:
        with self._lock:
            if service in self._logged and self._logged[service] is cause:
                return False
            if self._limit.take(service) is None:
                return False
            self._logged[service] = cause
            return True


def services_for(bindings: Iterable[Binding]) -> set[Service]:
    """The services that the program calls for these bindings."""
    needed: set[Service] = set()
    for binding in bindings:
        if binding.edits_trust:
            needed |= {Service.IAM, Service.STS}
        if binding.associates:
            needed.add(Service.EKS)
    return needed


_READS: Mapping[Service, tuple[str, Callable[[Any], object]]] = {
    Service.IAM: ("GetAccountSummary", lambda iam: iam.get_account_summary()),
    Service.STS: ("GetCallerIdentity", lambda sts: sts.get_caller_identity()),
    Service.EKS: ("ListClusters", lambda eks: eks.list_clusters(maxResults=1)),
}
"""A call of each service that a caller without credentials may send: AWS refuses it, and has been reached."""


async def unreached(calls: AwsCalls, services: Collection[Service]) -> dict[Service, AwsError]:
    """Those of `services` that cannot be reached, or of which no answer came, and why.

    All are asked at once and unsigned: where credentials come from STS, those that need them would say nothing of
    their own service.
    """
    wanted = sorted(services)
    found = await asyncio.gather(*(_ask(calls, service) for service in wanted))
    return {service: error for service, error in zip(wanted, found, strict=True) if error}


async def _ask(calls: AwsCalls, service: Service) -> AwsError | None:
    operation, read = _READS[service]

    def ask(clients: AwsClients) -> None:
        try:
            read(clients.without_credentials(service))
        except ClientError:
            exchange = current()
            if exchange is None or service not in exchange.answered:
                raise

    try:
        await calls.call(operation, ask)
    except AwsError as error:
        return error
    return None
