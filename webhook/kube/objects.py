"""The few fields of Kubernetes objects that the program needs, read into domain types."""

from __future__ import annotations

import re
from datetime import datetime  # noqa: TC003  msgspec reads annotations when it runs
from sys import intern
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import msgspec

from webhook.model.decisions import Account, LiveNamespace
from webhook.model.names import ROLE_ARN_ANNOTATION

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

T = TypeVar("T")

_DEEPEST = 32
"""Levels below which nothing is read: the variables of a pod in a list are nine deep."""

_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|([\[{])|([\]}])', re.DOTALL)
"""A string, the start of an object or list, or its end; possessive, so that a string is looked at once."""

_OPENS, _CLOSES = 1, 2


def decode(text: bytes | bytearray | msgspec.Raw, kind: type[T]) -> T:
    """Read a value, however deeply the rest of the object is nested.

    An owner of an object may nest its `metadata.managedFields` 9,995 levels deep: the API server stores that.
    msgspec skips values that are not needed, but it counts their levels as Python counts calls, and fails at about
    1,000 (Python 3.11), at a number that is fixed at build time (3.12 and 3.13) or at the end of the stack (3.14).

    Raises msgspec.MsgspecError for what is not JSON, or of another type.
    """
    try:
        return msgspec.json.decode(text, type=kind)
    except RecursionError:
        return msgspec.json.decode(_shallow(bytes(text)), type=kind)


def _shallow(text: bytes) -> bytes:
    """The same JSON with null in place of what is nested too deeply; what is no JSON stays none."""
    kept: list[bytes] = []
    depth = start = 0
    for token in _TOKEN.finditer(text):
        if token.lastindex == _OPENS:
            depth += 1
            if depth == _DEEPEST + 1:
                kept.append(text[start : token.start()])
        elif token.lastindex == _CLOSES:
            if depth == _DEEPEST + 1:
                kept.append(b"null")
                start = token.end()
            depth -= 1
    if depth <= _DEEPEST:
        kept.append(text[start:])
    return b"".join(kept)


_LONGEST_ROLE = 640
"""Characters that are kept of what stands where a role's ARN belongs: no ARN has as many (a path has 512, a name
64), and nothing longer is kept (an annotation may have 256 KiB, a variable 1 MiB)."""


def name_of_role(text: str) -> str:
    """What stands where a role's ARN belongs, in a bounded number of bytes: an ARN is ASCII, and `?` is in none.

    It is interned: thousands of objects name one.
    """
    return intern(text[:_LONGEST_ROLE].encode("ascii", "replace").decode())


Name = Annotated[str, msgspec.Meta(pattern=r"^[!-~]{1,253}\Z")]
"""A name as DNS has it, a UID, or what Kubernetes makes of such."""

NamespaceName = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\Z")]
"""A DNS label. Mirrors have it as a key, and what is found under it is worked on."""

Label = Annotated[str, msgspec.Meta(max_length=63)]
"""The value of a label."""


def labels_reader(keys: Collection[str]) -> Callable[[msgspec.Raw], dict[str, str]]:
    """A function that reads those of an object's labels that have one of `keys`, and builds nothing else."""
    ordered = sorted(keys)
    fields = [
        (f"label_{number}", Label | msgspec.UnsetType, msgspec.field(name=key, default=msgspec.UNSET))
        for number, key in enumerate(ordered)
    ]
    decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(msgspec.defstruct("Labels", fields) | None)

    def read(labels: msgspec.Raw) -> dict[str, str]:
        values = msgspec.structs.astuple(found) if (found := decoder.decode(labels)) else ()
        return {key: value for key, value in zip(ordered, values, strict=False) if value is not msgspec.UNSET}

    return read


class Metadata(msgspec.Struct, rename="camel", frozen=True):
    """Of an object of which all annotations matter."""

    name: Name
    namespace: Name = ""
    resource_version: str = ""
    annotations: dict[str, str] | None = None


class AnnotatedObject(msgspec.Struct, frozen=True):
    """An object of any kind with its annotations."""

    metadata: Metadata


class NamespaceStatus(msgspec.Struct, frozen=True):
    """Of a namespace."""

    phase: str = ""


class NamespaceMetadata(msgspec.Struct, rename="camel", frozen=True):
    """Of a namespace; its annotations are passed over, and its labels not read yet: there may be many."""

    name: NamespaceName
    uid: Name
    labels: msgspec.Raw = msgspec.Raw(b"null")
    creation_timestamp: datetime | None = None
    deletion_timestamp: str | None = None


class NamespaceObject(msgspec.Struct, frozen=True):
    """A Namespace."""

    metadata: NamespaceMetadata
    status: NamespaceStatus = NamespaceStatus()

    def live(self, labels: Callable[[msgspec.Raw], dict[str, str]]) -> LiveNamespace:
        """The namespace with those of its labels that `labels` reads.

        Names are interned here and below: thousands of objects, kept for long, name the same few things.
        """
        return LiveNamespace(
            name=intern(self.metadata.name),
            uid=self.metadata.uid,
            labels=labels(self.metadata.labels),
            terminating=self.status.phase == "Terminating" or self.metadata.deletion_timestamp is not None,
            created=self.metadata.creation_timestamp.timestamp() if self.metadata.creation_timestamp else 0.0,
        )


class RoleAnnotation(msgspec.Struct, rename={"role": ROLE_ARN_ANNOTATION}, frozen=True):
    """Annotations, of which one counts."""

    role: str | None = None


class ServiceAccountMetadata(msgspec.Struct, rename="camel", frozen=True):
    """Of a ServiceAccount; annotations other than the role are passed over."""

    name: Name
    namespace: NamespaceName
    resource_version: str
    annotations: RoleAnnotation | None = None
    deletion_timestamp: str | None = None


class ServiceAccountObject(msgspec.Struct, frozen=True):
    """A ServiceAccount."""

    metadata: ServiceAccountMetadata

    def account(self) -> Account:
        """The ServiceAccount as decisions look at it."""
        annotations = self.metadata.annotations
        return Account(
            namespace=intern(self.metadata.namespace),
            name=intern(self.metadata.name),
            role_annotation=name_of_role(annotations.role) if annotations and annotations.role else None,
            being_deleted=self.metadata.deletion_timestamp is not None,
        )

    def annotations_that_count(self) -> dict[str, str] | None:
        """The role annotation, if it is there; None where there are no annotations at all."""
        found = self.metadata.annotations
        if found is None:
            return None
        return {} if found.role is None else {ROLE_ARN_ANNOTATION: found.role}


Version = Annotated[str, msgspec.Meta(pattern=r"^[0-9]{1,20}\Z")]
"""Of a list or an object: a number of 64 bits, by which versions of one cluster may be compared (KEP-5504)."""


class VersionMetadata(msgspec.Struct, rename="camel", frozen=True):
    """Metadata of which only the version matters."""

    resource_version: Version


class AnyObject(msgspec.Struct, frozen=True):
    """An object of which only the version matters."""

    metadata: VersionMetadata


class WebhookClient(msgspec.Struct, rename={"ca_bundle": "caBundle"}, frozen=True):
    """How the API server calls a webhook; msgspec decodes the base64."""

    ca_bundle: bytes = b""


class Webhook(msgspec.Struct, rename="camel", frozen=True):
    """One webhook of a configuration."""

    name: str = ""
    client_config: WebhookClient = WebhookClient()


class WebhookConfiguration(msgspec.Struct, frozen=True):
    """A MutatingWebhookConfiguration."""

    metadata: Metadata
    webhooks: list[Webhook] | None = None


class StatusObject(msgspec.Struct, frozen=True):
    """The API server's own error."""

    code: int = 0
    message: str = ""
