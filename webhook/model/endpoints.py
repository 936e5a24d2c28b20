"""The services of AWS that the program calls, and why one of them cannot be reached."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from webhook.model.bindings import Binding

CANNOT_REACH = "cannot reach"
"""How a sentence begins about an endpoint from which no answer comes."""


class Service(StrEnum):
    """A service, by the name of its client in the SDK."""

    IAM = "iam"
    STS = "sts"
    EKS = "eks"

    def __str__(self) -> str:
        return self.value.upper()


def services_for(bindings: Iterable[Binding]) -> set[Service]:
    """The services that the program calls for these bindings."""
    needed: set[Service] = set()
    for binding in bindings:
        if binding.edits_trust:
            needed |= {Service.IAM, Service.STS}
        if binding.associates:
            needed.add(Service.EKS)
    return needed


class Cause(StrEnum):
    """Why no answer of a service comes."""

    NAME_NOT_FOUND = "name_not_found"
    REFUSED = "connection_refused"
    NO_ROUTE = "no_route"
    TIMED_OUT = "timed_out"
    CLOSED = "connection_closed"
    """Before the request was sent, as a firewall does that knows the name from the TLS handshake."""
    NOT_TRUSTED = "tls_not_trusted"
    TLS_FAILED = "tls_failed"
    DENIED_BY_PROXY = "denied_by_proxy"
    PROXY_FAILED = "proxy_failed"
    NOT_AWS = "not_aws"
    """Another server answers in its place, such as a proxy with a page."""


NOT_AWS = "does a proxy answer? See AWS_ENDPOINT_URL, HTTPS_PROXY and NO_PROXY"
"""What to look at where an answer is not AWS's; completes a sentence."""

_A_WAY = "a VPC endpoint, NAT or HTTPS_PROXY is needed"
_NEXT_STEPS = {
    Cause.NAME_NOT_FOUND: "private DNS of a VPC endpoint, public DNS, HTTPS_PROXY or another AWS_REGION is needed",
    Cause.REFUSED: "see AWS_ENDPOINT_URL, HTTPS_PROXY and NO_PROXY",
    Cause.NO_ROUTE: _A_WAY,
    Cause.TIMED_OUT: _A_WAY,
    Cause.CLOSED: "does a firewall allow this name?",
    Cause.NOT_TRUSTED: "add the CA of the proxy (aws.caBundle of the chart, AWS_CA_BUNDLE)",
    Cause.TLS_FAILED: NOT_AWS,
    Cause.DENIED_BY_PROXY: "allow the name in the proxy, or name it in NO_PROXY",
    Cause.PROXY_FAILED: "see the log of the proxy, or name the host in NO_PROXY",
    Cause.NOT_AWS: NOT_AWS,
}
"""What a person can do; short, because a warning is cut at 256."""

_OF_THE_PROXY = {Cause.DENIED_BY_PROXY, Cause.PROXY_FAILED}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a service is called: `host` has the port where it is not that of HTTPS."""

    service: Service
    host: str

    def __str__(self) -> str:
        return f"{self.service} at {self.host}"


@dataclass(frozen=True, slots=True)
class Unreachable:
    """Why an endpoint cannot be reached. `proxy` is its host and port where one was to be used and failed."""

    endpoint: Endpoint
    cause: Cause
    detail: str
    proxy: str = ""

    def __str__(self) -> str:
        through = f" through the proxy {self.proxy}" if self.proxy else ""
        return f"{CANNOT_REACH} {self.endpoint}{through}: {self.detail}; {self._next_step()}"

    def _next_step(self) -> str:
        if self.proxy and self.cause not in _OF_THE_PROXY:
            return "correct HTTPS_PROXY, or name the host in NO_PROXY"
        return _NEXT_STEPS[self.cause]
