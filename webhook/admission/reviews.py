"""The AdmissionReview as far as this program reads and writes it (admission.k8s.io/v1)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from webhook.admission.answers import API_VERSION, KIND, printable
from webhook.model.names import ROLE_ARN_ANNOTATION

if TYPE_CHECKING:
    from typing import Protocol

    from webhook.admission.answers import Answer

    class Reviewer(Protocol):
        """Answers reviews."""

        @property
        def may_deny(self) -> bool:
            """Whether any setting can have a ServiceAccount denied."""

        @property
        def observes(self) -> bool:
            """Whether it allows everything unchanged, even what cannot be read."""

        async def answer(self, request: Request, seconds: float) -> Answer:
            """Answer one review within `seconds`. Raises InvalidReviewError for an unreadable object."""


_NULL = msgspec.Raw(b"null")

# What msgspec raises for bytes that are not such JSON.
_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError)


_LONGEST_UID = 253
"""Characters; an API server's has 36."""

# An API server writes the uid before anything that comes from the object.
_UID = re.compile(rb'"request":\s*\{\s*"uid":\s*"([\w.-]{1,%d})"' % _LONGEST_UID, re.ASCII)
_UID_WITHIN = 1024
"""Bytes."""

_LONGEST_ARN = 2048
"""Characters that IAM takes."""


class InvalidReviewError(Exception):
    """A body is not a review that can be answered, for the reason in the message."""


class TooDeepError(Exception):
    """A review is nested too deep to be read; `uid` is the one to answer to.

    The managedFields of any ServiceAccount can be nested like that. So it is an error of its own, which must not
    bypass a `deny`.
    """

    def __init__(self, uid: str) -> None:
        super().__init__("the object is nested too deep")
        self.uid = uid


@dataclass(frozen=True, slots=True)
class Metadata:
    """What is kept of an object's metadata: a review can wait for seconds, and annotations can be megabytes."""

    name: str = ""
    role_annotation: str | None = None
    """At most 2,048 characters of it: more than any ARN has."""
    has_annotations: bool = False
    being_deleted: bool = False


@dataclass(frozen=True, slots=True)
class Request:
    """What the API server asks. It holds nothing of the body that it was read from."""

    uid: str
    operation: str
    is_reviewed: bool
    """Whether it creates or updates a ServiceAccount."""
    namespace: str = ""
    name: str = ""
    dry_run: bool = False
    metadata: Metadata = Metadata()
    old_role: str | None = None
    """The role annotation before an UPDATE."""
    unreadable: str = ""
    """Why the object is not a ServiceAccount; empty where it is one."""


class _Annotations(msgspec.Struct, frozen=True):
    role: str | None = msgspec.field(name=ROLE_ARN_ANNOTATION, default=None)


class _Metadata(msgspec.Struct, rename="camel", frozen=True):
    """API servers leave out what is empty."""

    name: str = ""
    annotations: _Annotations | None = None
    deletion_timestamp: str | None = None


class _Object(msgspec.Struct, frozen=True):
    metadata: _Metadata


class _Kind(msgspec.Struct, frozen=True):
    group: str
    kind: str


class _Request(msgspec.Struct, rename="camel", frozen=True):
    uid: str
    kind: _Kind
    operation: str
    namespace: str = ""
    name: str = ""
    dry_run: bool | None = None
    object: msgspec.Raw = _NULL
    old_object: msgspec.Raw = _NULL


class _Review(msgspec.Struct, rename="camel", frozen=True):
    api_version: str
    kind: str
    request: _Request | None = None


_SERVICE_ACCOUNT = _Kind(group="", kind="ServiceAccount")
_REVIEWED_OPERATIONS = frozenset({"CREATE", "UPDATE"})

_review_decoder = msgspec.json.Decoder(_Review)
_object_decoder = msgspec.json.Decoder(_Object)


def parse_review(body: bytes | bytearray) -> Request:
    """The request in an AdmissionReview. Raises TooDeepError, and InvalidReviewError for anything else."""
    try:
        return _request(body)
    except RecursionError as error:
        if (found := _UID.search(body, 0, _UID_WITHIN)) is None:
            raise InvalidReviewError("the body is nested too deep") from error
        raise TooDeepError(found[1].decode("ascii")) from error


def _request(body: bytes | bytearray) -> Request:
    try:
        review = _review_decoder.decode(body)
    except _UNREADABLE as error:
        raise InvalidReviewError(printable(f"the body is not an AdmissionReview: {error}")) from error
    if (review.api_version, review.kind) != (API_VERSION, KIND):
        raise InvalidReviewError(
            f"the body is {_short(review.kind)} of {_short(review.api_version)}, not {KIND} of {API_VERSION}: set "
            "admissionReviewVersions to v1"
        )
    request = review.request
    if request is None or not 0 < len(request.uid) <= _LONGEST_UID:
        raise InvalidReviewError("the AdmissionReview has no request with a uid to answer to")
    is_reviewed = request.kind == _SERVICE_ACCOUNT and request.operation in _REVIEWED_OPERATIONS
    metadata, old, unreadable = Metadata(), Metadata(), ""
    if is_reviewed:
        try:
            metadata = _metadata(request.object)
            if request.operation == "UPDATE" and request.old_object != _NULL:
                old = _metadata(request.old_object)
        except _UNREADABLE as error:
            unreadable = printable(f"the review's object is not a ServiceAccount: {error}")
    return Request(
        uid=request.uid,
        operation=request.operation,
        is_reviewed=is_reviewed,
        namespace=request.namespace,
        name=request.name,
        dry_run=bool(request.dry_run),
        metadata=metadata,
        old_role=old.role_annotation,
        unreadable=unreadable,
    )


def _metadata(raw: msgspec.Raw) -> Metadata:
    metadata = _object_decoder.decode(raw).metadata
    role = metadata.annotations and metadata.annotations.role
    return Metadata(
        name=metadata.name,
        role_annotation=role[:_LONGEST_ARN] if role else None,
        has_annotations=metadata.annotations is not None,
        being_deleted=metadata.deletion_timestamp is not None,
    )


def _short(text: str) -> str:
    return repr(text[:60])
