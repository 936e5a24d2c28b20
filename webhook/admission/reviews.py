"""The AdmissionReview as far as this program reads and writes it (admission.k8s.io/v1)."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING, Any, Final

import msgspec

from webhook.domain.names import ROLE_ARN_ANNOTATION

if TYPE_CHECKING:
    from webhook.domain.patches import Patch

API_VERSION: Final = "admission.k8s.io/v1"
KIND: Final = "AdmissionReview"

_NULL = msgspec.Raw(b"null")

# What msgspec raises for bytes that are no such JSON; RecursionError for a hundred thousand open brackets.
_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)

_LONGEST_WARNING = 256
"""Characters; longer ones may be cut by the API server, which also drops all beyond 4096 in sum."""


class InvalidReviewError(Exception):
    """A body is not a review that can be answered; the message says why."""


class Metadata(msgspec.Struct, rename="camel", frozen=True):
    """An object's metadata; API servers leave out what is empty."""

    name: str = ""
    annotations: dict[str, str] | None = None
    deletion_timestamp: str | None = None


class ReviewedObject(msgspec.Struct, frozen=True):
    """The object under review."""

    metadata: Metadata


class _RoleAnnotation(msgspec.Struct, frozen=True):
    role: str | None = msgspec.field(default=None, name=ROLE_ARN_ANNOTATION)


class _OldMetadata(msgspec.Struct, frozen=True):
    annotations: _RoleAnnotation | None = None


class _OldObject(msgspec.Struct, frozen=True):
    metadata: _OldMetadata


class Kind(msgspec.Struct, frozen=True):
    """Group, version and kind of the object."""

    group: str
    version: str
    kind: str


class Request(msgspec.Struct, rename="camel", frozen=True):
    """What the API server asks."""

    uid: str
    kind: Kind
    operation: str
    namespace: str = ""
    name: str = ""
    dry_run: bool | None = None
    object: msgspec.Raw = _NULL
    old_object: msgspec.Raw = _NULL

    @property
    def is_service_account(self) -> bool:
        """Whether the object is a core ServiceAccount."""
        return self.kind.group == "" and self.kind.kind == "ServiceAccount"

    def reviewed(self) -> Metadata:
        """Metadata of the object. Raises InvalidReviewError if it is not an object with metadata."""
        try:
            return msgspec.json.decode(self.object, type=ReviewedObject).metadata
        except _UNREADABLE as error:
            raise InvalidReviewError(f"the review's object is not a ServiceAccount: {error}") from error

    def old_role_annotation(self) -> str | None:
        """The role that the object named before an UPDATE, None for none; of other annotations nothing is kept.

        Raises InvalidReviewError if what is there is not an object with metadata.
        """
        try:
            old = msgspec.json.decode(self.old_object, type=_OldObject | None)
        except _UNREADABLE as error:
            raise InvalidReviewError(f"the review's oldObject is not a ServiceAccount: {error}") from error
        return old.metadata.annotations.role or None if old and old.metadata.annotations else None


class _Review(msgspec.Struct, rename="camel", frozen=True):
    api_version: str
    kind: str
    request: Request | None = None


_decoder = msgspec.json.Decoder(_Review)


def parse_review(body: bytes) -> Request:
    """The request in an AdmissionReview. Raises InvalidReviewError for anything else."""
    try:
        review = _decoder.decode(body)
    except _UNREADABLE as error:
        raise InvalidReviewError(f"the body is not an AdmissionReview: {error}") from error
    if (review.api_version, review.kind) != (API_VERSION, KIND):
        raise InvalidReviewError(
            f"the body is {_short(review.kind)} of {_short(review.api_version)}, not {KIND} of {API_VERSION}: set "
            "admissionReviewVersions to v1"
        )
    if review.request is None or not review.request.uid:
        raise InvalidReviewError("the AdmissionReview has no request with a uid to answer to")
    return review.request


class Answer(msgspec.Struct, frozen=True):
    """What the program says about one review."""

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
            response["warnings"] = [_deliverable(warning) for warning in self.warnings]
        if self.audit:
            response["auditAnnotations"] = self.audit
        if not self.allowed:
            response["status"] = {"code": self.status, "message": self.refusal}
        return msgspec.json.encode({"apiVersion": API_VERSION, "kind": KIND, "response": response})


def _deliverable(warning: str) -> str:
    """The warning as it gets through: API servers drop one with a control character, such as a line's end."""
    visible = "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in warning
    )
    return visible if len(visible) <= _LONGEST_WARNING else visible[: _LONGEST_WARNING - 3] + "..."


def _short(text: str) -> str:
    return repr(text[:60])
