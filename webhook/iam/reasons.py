"""Sentences for the person who has to do something: why a role does not trust a subject, and what to do.

Reviews end their warnings with these (`admission.answers`). `aws.failures` words AWS's errors, `model.removal` why
a subject is removed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from webhook.iam.amendment import Standing
from webhook.model.aws_errors import AwsError, FailureKind
from webhook.model.outcomes import Outcome, Trusted, TrustSource, Untrusted
from webhook.model.text import legible

if TYPE_CHECKING:
    from collections.abc import Sequence

    from webhook.iam.amendment import Verdict
    from webhook.iam.trust_policy import Place, TrustPolicy
    from webhook.model.names import RoleArn


NOT_CERTAIN = (
    "the watch of namespaces is interrupted, and the namespace may have been recreated since: trust follows when "
    "the watch is back"
)
"""Why a new subject has to wait though AWS answers."""

LEFT_TO_LEADER = "the replica that leads makes the association; this one does not wait for it"
"""Why the outcome is not known."""

NOT_SELECTED = "no binding selects its namespace any more"
MOVED = "another binding selects its namespace now"
ANNOTATED_OTHERWISE = "its annotation names another role now"
NAMESPACE_REPLACED = "its namespace was recreated and no binding selects it"
"""Why a grant is withdrawn."""


def outcome_of(verdict: Verdict, role: RoleArn, quota: int) -> Outcome:
    """The outcome of a grant by the verdict on its subject; `quota` is in characters."""
    doubt = may_be_denied(role, verdict.possible_denial) if verdict.possible_denial else ""
    match verdict.standing:
        case Standing.ADDED:
            return Trusted(role, TrustSource.WRITTEN, doubt)
        case Standing.KEPT:
            return Trusted(role, TrustSource.ALREADY, doubt)
        case Standing.EXTERNAL:
            return Trusted(role, TrustSource.EXTERNAL, doubt)
        case Standing.NO_ROOM:
            return full(role, quota)
        case Standing.DENIED:
            return denied(role, verdict.place)


def denied(role: RoleArn, place: Place | None) -> Untrusted:
    """An external statement denies the subject: a Deny wins over all that our statement allows."""
    reason = f"{place} of the trust policy of {role} denies it: change that statement"
    return Untrusted(role, FailureKind.DENIED_BY_POLICY, reason)


def may_be_denied(role: RoleArn, place: Place) -> str:
    """An external Deny may hold, which only AWS knows; short, because a warning is cut."""
    ask = "only AWS knows what it asks about, so check that statement"
    return f"{place} of the trust policy of {role} may deny it: {ask}"


WAYS_OUT = (
    "raise IAM quota L-C07B4B0D (Role trust policy length), add a role to the binding, or use EKS Pod Identity"
)
"""What a person can do about a full trust policy; completes a sentence, and is short: a warning is cut at 256."""


def full(role: RoleArn, quota: int) -> Untrusted:
    """The role has no room, and how to make some."""
    reason = f"the trust policy of {role} is full ({quota} characters): {WAYS_OUT}"
    return Untrusted(role, FailureKind.FULL, reason)


def all_full(roles: Sequence[RoleArn], binding: str) -> Untrusted:
    """None of a binding's roles, of which there are several, has room; the first is the one to annotate."""
    reason = f"the trust policies of all {len(roles)} roles of binding {binding} are full: {WAYS_OUT}"
    return Untrusted(roles[0], FailureKind.FULL, reason)


def repaired(edited: Sequence[str]) -> str:
    """Why our statements were repaired; `edited` are the changed elements of the one that names subjects."""
    if edited:
        return f"our statement was changed externally: {legible(', '.join(edited))}"
    return "our statements, or subjects in them, were changed or removed externally"


_LONGEST_ERROR = 200
"""Characters."""


def unexpected(error: Exception) -> AwsError:
    """A bug of this program as a failure of a pending grant: the work goes on, and is tried again."""
    what = f"{type(error).__name__}: {error}"[:_LONGEST_ERROR]
    return AwsError(FailureKind.UNAVAILABLE, f"an unexpected error of this program, see its log: {what}")


def with_dangling_principals(error: AwsError, policy: TrustPolicy) -> AwsError:
    """The error, with the place of a deleted principal where that makes IAM refuse every write."""
    dangling = policy.dangling_principals()
    if error.kind is not FailureKind.MALFORMED or not dangling:
        return error
    places = ", ".join(f"{principal} in {place}" for place, principal in dangling)
    return AwsError(
        FailureKind.MALFORMED,
        f"{error}; the policy names a principal that was deleted ({places}): remove it, IAM refuses every "
        "change until then",
    )
