"""Answers to reviews: what each decision and each outcome of a grant becomes on the wire (admission.k8s.io/v1).

The sentences that a person sees are here, but for those about a review that could not be read (`routes`). They end
with a reason, which is worded where it is found: why AWS does not trust the ServiceAccount in `iam.reasons`, AWS's
errors in `aws.failures`, an annotation of another role in `model.decisions`.
"""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING, Any, Final

import msgspec

from webhook.model.decisions import Ignore, IgnoreReason
from webhook.model.names import ROLE_ARN_ANNOTATION
from webhook.model.patches import annotation_patch

if TYPE_CHECKING:
    from webhook.admission.reviews import Metadata
    from webhook.model.decisions import Grant, Refuse
    from webhook.model.outcomes import Outcome, Trusted, Untrusted
    from webhook.model.patches import Patch

API_VERSION: Final = "admission.k8s.io/v1"
KIND: Final = "AdmissionReview"

SENDER = "mxp-identity"
"""What warnings begin with: kubectl shows those of all webhooks alike, and not who sent them."""

_FORBIDDEN, _UNAVAILABLE = 403, 503

_LONGEST_WARNING = 256
"""Characters. The API server may cut longer warnings, and drops those beyond 4096 characters in sum."""


class Answer(msgspec.Struct, frozen=True):
    """The answer to one review."""

    allowed: bool
    outcome: str
    patch: Patch | None = None
    warnings: list[str] = []
    audit: dict[str, str] = {}
    refusal: str = ""
    status: int = 200

    def render(self, uid: str) -> bytes:
        """The AdmissionReview that goes back."""
        response: dict[str, Any] = {"uid": uid, "allowed": self.allowed}
        if self.patch:
            response["patchType"] = "JSONPatch"
            response["patch"] = b64encode(msgspec.json.encode(self.patch)).decode()
        if self.warnings:
            response["warnings"] = [printable(f"{SENDER}: {warning}") for warning in self.warnings]
        if self.audit:
            response["auditAnnotations"] = self.audit
        if not self.allowed:
            response["status"] = {"code": self.status, "message": self.refusal}
        return msgspec.json.encode({"apiVersion": API_VERSION, "kind": KIND, "response": response})


def ignored(decision: Ignore) -> Answer:
    """The ServiceAccount is allowed unchanged."""
    return Answer(
        allowed=True,
        outcome=decision.reason.value,
        warnings=[decision.warning] if decision.warning else [],
        audit={"ignored": decision.reason.value},
    )


def refused(decision: Refuse) -> Answer:
    """The ServiceAccount is refused because of the role that it names."""
    return Answer(allowed=False, outcome="refused", refusal=decision.reason, status=_FORBIDDEN)


def namespace_unknown(namespace: str) -> str:
    """Why nothing is decided for certain, as a clause."""
    return f"namespace {namespace} could not be looked up"


def refused_unknown(problem: str, reason: str) -> Answer:
    """The ServiceAccount is refused because of `problem`, the clause above."""
    refusal = f"{problem}, so that it is not known whether this is allowed, try again: {reason}"
    return Answer(allowed=False, outcome="refused_unknown_namespace", refusal=refusal, status=_UNAVAILABLE)


def ignored_unknown(problem: str) -> Answer:
    """The ServiceAccount is allowed unchanged, in spite of `problem`, the clause above."""
    warning = f"{problem}: the role annotation follows later, and pods started before it need a restart"
    return ignored(Ignore(IgnoreReason.NO_SUCH_NAMESPACE, warning))


def granted(grant: Grant, metadata: Metadata, outcome: Trusted, *, dry_run: bool) -> Answer:
    """The ServiceAccount is allowed, with the role that trusts it."""
    return Answer(
        allowed=True,
        outcome="dry_run" if dry_run else f"granted_{outcome.label}",
        patch=patch_of(grant, metadata, outcome),
        warnings=[outcome.doubt] if outcome.doubt else [],
        audit=audit_of(grant, outcome) | {"trust": "not-asked" if dry_run else outcome.label},
    )


def audit_of(grant: Grant, outcome: Outcome) -> dict[str, str]:
    """The audit annotations of every grant."""
    return {"binding": grant.binding.name, "role": outcome.role.value}


def patch_of(grant: Grant, metadata: Metadata, outcome: Outcome) -> Patch:
    """The patch that adds the role annotation; other annotations stay as they are."""
    if not grant.binding.annotates:
        return []
    known = {} if metadata.role_annotation is None else {ROLE_ARN_ANNOTATION: metadata.role_annotation}
    return annotation_patch(known if metadata.has_annotations else None, ROLE_ARN_ANNOTATION, outcome.role.value)


def lack(grant: Grant, outcome: Untrusted) -> str:
    """What the ServiceAccount lacks, as a clause."""
    if grant.binding.associates:
        return f"this ServiceAccount is not associated with {outcome.role} yet"
    return f"{outcome.role} does not trust this ServiceAccount yet"


def refused_untrusted(grant: Grant, outcome: Untrusted, audit: dict[str, str]) -> Answer:
    """The ServiceAccount is refused because no role trusts it in time."""
    refusal = f"{lack(grant, outcome)}, try again: {outcome.reason}"
    return Answer(allowed=False, outcome="refused_untrusted", refusal=refusal, status=_UNAVAILABLE, audit=audit)


def warnings_of(grant: Grant, outcome: Untrusted) -> list[str]:
    """Two warnings, the state and the reason, because one with AWS's own words would be cut."""
    if outcome.kind.is_final:
        heal = "a person has to act"
    elif grant.binding.associates:
        heal = "it is tried again until it is, and pods that started before need a restart"
    else:
        heal = "it is tried again until it does, no restart is needed"
    return [f"{lack(grant, outcome)}; {heal}", f"reason: {outcome.reason}"]


def printable(warning: str) -> str:
    """The warning, escaped and cut: API servers drop a warning with a control character, such as a line end."""
    visible = warning
    if not warning.isprintable():
        visible = "".join(
            char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in warning
        )
    return visible if len(visible) <= _LONGEST_WARNING else visible[: _LONGEST_WARNING - 3] + "..."
