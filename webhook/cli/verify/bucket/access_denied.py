"""What AWS says when it denies a request: which action, on what, and the kind of policy that denies it.

The forms are those of "Troubleshoot access denied error messages" (IAM user guide) and "Troubleshoot access denied
(403 Forbidden) errors in Amazon S3" (S3 user guide). A denial across accounts has no kind: AWS then says "Access
Denied" alone.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum


class PolicyKind(StrEnum):
    """The kinds of policy, in AWS's words."""

    IDENTITY = "identity-based policy"
    RESOURCE = "resource-based policy"
    BOUNDARY = "permissions boundary"
    ENDPOINT = "VPC endpoint policy"
    SESSION = "session policy"
    SERVICE_CONTROL = "service control policy"
    RESOURCE_CONTROL = "resource control policy"


_KINDS = "|".join(PolicyKind)
_ACTION = re.compile(r"is not\s+authorized to perform:\s*(?P<action>[A-Za-z0-9-]+:[A-Za-z0-9]+)")
_RESOURCE = re.compile(r"on resource:\s*\"?(?P<resource>[^\s\"]+)\"?")
_IMPLICIT = re.compile(rf"because no (?P<kind>{_KINDS}) allows", re.IGNORECASE)
_EXPLICIT = re.compile(rf"with an explicit deny in an? (?P<kind>{_KINDS})", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Denial:
    """A denial as far as AWS explains it. `said` are AWS's own words."""

    said: str
    action: str = ""
    resource: str = ""
    kind: PolicyKind | None = None
    explicit: bool = False
    """Whether a statement denies it; else no statement of that kind allows it."""


def read_denial(said: str) -> Denial:
    """Read AWS's message; what it does not say stays empty."""
    text = " ".join(said.split())
    action, resource = _ACTION.search(text), _RESOURCE.search(text)
    explicit = _EXPLICIT.search(text)
    found = explicit or _IMPLICIT.search(text)
    return Denial(
        said=text,
        action=action["action"] if action else "",
        resource=resource["resource"] if resource else "",
        kind=_kind(found["kind"]) if found else None,
        explicit=explicit is not None,
    )


def _kind(words: str) -> PolicyKind:
    return next(kind for kind in PolicyKind if kind.lower() == words.lower())
