"""How AWS says no, and why one of its services cannot be reached: the failures that the program tells apart."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class FailureKind(StrEnum):
    """Why a call to AWS, or a grant, did not succeed.

    All are tried again, with pauses by `runtime.clock`, except for final ones, which wait for the next pass.
    """

    ACCESS_DENIED = "access_denied"
    THROTTLED = "throttled"
    """Tried again as UNAVAILABLE is; `runtime.rate_limiter` also slows down all other calls."""
    UNAVAILABLE = "unavailable"
    UNEXPECTED = "unexpected_response"
    """An answer that is not AWS's, or a fault before AWS that time does not fix, such as no credentials.

    It says nothing about the role that was asked about.
    """
    NO_SUCH_ROLE = "no_such_role"
    MALFORMED = "malformed"
    FULL = "full"
    DENIED_BY_POLICY = "denied_by_policy"
    NOT_ALLOWED = "not_allowed"
    NOT_FOUND = "not_found"
    IN_USE = "in_use"
    ROLE_NOT_ACCEPTED = "role_not_accepted"
    NO_SUCH_CLUSTER = "no_such_cluster"
    TAKEN = "taken"
    PENDING = "pending"
    LEFT_TO_LEADER = "left_to_leader"
    """The replica that leads makes the association; this replica does not know how far it is."""
    WITHDRAWN = "withdrawn"

    @property
    def passes_soon(self) -> bool:
        """Whether a moment may be enough, so that a review goes on waiting within its budget."""
        return self in {FailureKind.THROTTLED, FailureKind.UNAVAILABLE, FailureKind.ROLE_NOT_ACCEPTED}

    @property
    def needs_a_person(self) -> bool:
        """Whether AWS answers, and only a person can fix the cause. Tried again unless it is final."""
        return not self.passes_soon and self is not FailureKind.UNEXPECTED

    @property
    def is_no_answer(self) -> bool:
        """Whether AWS has not answered: any other call would fail as well, and a write may have happened."""
        return self in {FailureKind.UNAVAILABLE, FailureKind.UNEXPECTED}

    @property
    def is_refusal(self) -> bool:
        """Whether AWS has read the request and refused it."""
        return not self.is_no_answer and self not in {FailureKind.THROTTLED, FailureKind.NOT_ALLOWED}

    @property
    def is_final(self) -> bool:
        """Whether it is not tried again before the next pass: a person has to act first."""
        return self in {
            FailureKind.FULL,
            FailureKind.DENIED_BY_POLICY,
            FailureKind.NOT_ALLOWED,
            FailureKind.TAKEN,
        }


CANNOT_REACH = "cannot reach"
"""How a sentence begins about an endpoint from which no answer comes."""


class Service(StrEnum):
    """A service, by the name of its client in the SDK."""

    IAM = "iam"
    STS = "sts"
    EKS = "eks"

    def __str__(self) -> str:
        return self.value.upper()


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


class AwsError(Exception):
    """AWS did not do what was asked: `kind` for the program, the message for a person.

    `unreachable` is why no answer of AWS came, where that is it; `code` is AWS's own, empty where it gave none.
    """

    def __init__(
        self, kind: FailureKind, message: str, unreachable: Unreachable | None = None, code: str = ""
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.unreachable = unreachable
        self.code = code
