"""The few fields of Kubernetes objects that the program needs, and what they say in domain terms."""

from __future__ import annotations

from datetime import datetime  # noqa: TC003  msgspec reads annotations when it runs
from sys import intern
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec

from webhook.controller.ports import RunningPod
from webhook.model.bindings import Mode
from webhook.model.decisions import Account, LiveNamespace
from webhook.model.names import ROLE_ARN_ANNOTATION

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

# Either means that EKS gave the pod an identity.
_ROLE_VARIABLE = "AWS_ROLE_ARN"
_IDENTITY_VARIABLES = {_ROLE_VARIABLE: Mode.IRSA, "AWS_CONTAINER_CREDENTIALS_FULL_URI": Mode.POD_IDENTITY}
# How people tell EKS's webhook to leave a pod, or containers of it, without one.
_SKIP_POD = "eks.amazonaws.com/skip-pod-identity-webhook"
_SKIP_CONTAINERS = "eks.amazonaws.com/skip-containers"
_ENDED = frozenset({"Succeeded", "Failed"})

_LONGEST_ROLE = 640
"""Characters that are kept of what stands where a role's ARN belongs: no ARN has as many (a path has 512, a name
64), and no more is kept of it than tells it from one (an annotation may have 256 KiB, a variable 1 MiB)."""

_MOST_ROLES = 3
"""Roles of one pod that are kept: each but one is a wrong one."""


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


class OwnerReference(msgspec.Struct, frozen=True):
    """What an object belongs to."""

    kind: str
    name: str
    controller: bool = False
    """Whether it is the owner that makes the object anew."""


class Metadata(msgspec.Struct, rename="camel", frozen=True):
    """Of any object."""

    name: Name = ""
    namespace: Name = ""
    uid: Name = ""
    resource_version: str = ""
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    creation_timestamp: datetime | None = None
    deletion_timestamp: str | None = None
    owner_references: list[OwnerReference] | None = None


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


class Variable(msgspec.Struct, frozen=True):
    """One environment variable; `value` is empty where it stands elsewhere."""

    name: str
    value: str = ""


class Container(msgspec.Struct, frozen=True):
    """One container of a pod."""

    name: str
    env: list[Variable] | None = None

    @property
    def has_identity(self) -> bool:
        """Whether EKS gave it an AWS identity."""
        return bool(self.carries)

    @property
    def carries(self) -> frozenset[Mode]:
        """The ways for which it has variables."""
        return frozenset(
            _IDENTITY_VARIABLES[variable.name]
            for variable in self.env or ()
            if variable.name in _IDENTITY_VARIABLES
        )

    @property
    def roles(self) -> frozenset[str]:
        """The role that it was given by the annotation, if any."""
        return frozenset(
            name_of_role(variable.value)
            for variable in self.env or ()
            if variable.name == _ROLE_VARIABLE and variable.value
        )


class PodLabels(msgspec.Struct, rename={"template_hash": "pod-template-hash", "skipped": _SKIP_POD}, frozen=True):
    """Labels of a pod, of which two count."""

    template_hash: str = ""
    skipped: str | None = None


class PodAnnotations(msgspec.Struct, rename={"skipped_containers": _SKIP_CONTAINERS}, frozen=True):
    """Annotations of a pod, of which one counts."""

    skipped_containers: str = ""


class PodMetadata(msgspec.Struct, rename="camel", frozen=True):
    """Of a pod."""

    name: Name = ""
    namespace: Name = ""
    uid: Name = ""
    labels: PodLabels | None = None
    annotations: PodAnnotations | None = None
    creation_timestamp: datetime | None = None
    deletion_timestamp: str | None = None
    owner_references: list[OwnerReference] | None = None


class PodSpec(msgspec.Struct, rename="camel", frozen=True):
    """What the pod is to run."""

    service_account_name: Name = ""
    containers: list[Container] = []
    init_containers: list[Container] = []


class PodStatus(msgspec.Struct, frozen=True):
    """How far the pod has come."""

    phase: str = ""


class PodObject(msgspec.Struct, frozen=True):
    """A Pod."""

    metadata: PodMetadata
    spec: PodSpec
    status: PodStatus = PodStatus()

    @property
    def is_running(self) -> bool:
        """Whether it has not ended and is not on its way out."""
        return not (self.has_ended or self.is_leaving)

    @property
    def has_ended(self) -> bool:
        """Whether its containers run no more, and will not again."""
        return self.status.phase in _ENDED

    @property
    def is_leaving(self) -> bool:
        """Whether it is on its way out; its containers may run until it is gone."""
        return self.metadata.deletion_timestamp is not None

    @property
    def carries(self) -> frozenset[Mode]:
        """The ways for which any of its containers has variables."""
        return frozenset(way for one in self._containers for way in one.carries)

    @property
    def roles(self) -> frozenset[str]:
        """The roles of its containers that EKS was not told to skip: another's role is not the account's."""
        return frozenset(sorted({role for one in self._meant_by_eks for role in one.roles})[:_MOST_ROLES])

    @property
    def has_identity(self) -> bool:
        """Whether any container has an AWS identity, or EKS was told to skip all: the gate refuses no such pod.

        EKS's webhook gives all of them one at once. One without was added by a later webhook: a new pod is alike.
        """
        meant = self._meant_by_eks
        return not meant or any(one.has_identity for one in meant)

    def running(self) -> RunningPod:
        """The pod, with whether it has its AWS identity."""
        return RunningPod(
            namespace=self.metadata.namespace,
            name=self.metadata.name,
            service_account=self.spec.service_account_name,
            uid=self.metadata.uid,
            has_identity=self.has_identity,
            created=self.metadata.creation_timestamp.timestamp() if self.metadata.creation_timestamp else 0.0,
            deployment=_deployment_of(self.metadata),
            carries=self.carries,
            is_leaving=self.is_leaving,
            roles=self.roles,
        )

    @property
    def _containers(self) -> list[Container]:
        return [*self.spec.containers, *self.spec.init_containers]

    @property
    def _meant_by_eks(self) -> list[Container]:
        """Those that EKS was not told to skip."""
        labels, annotations = self.metadata.labels, self.metadata.annotations
        if labels and labels.skipped is not None:
            return []
        skipped = {name.strip() for name in annotations.skipped_containers.split(",")} if annotations else ()
        return [one for one in self._containers if one.name not in skipped]


def _deployment_of(pod: PodMetadata) -> str | None:
    """The Deployment of a pod: the Deployment controller names a ReplicaSet after it and the template's hash."""
    suffix = f"-{pod.labels.template_hash if pod.labels else ''}"
    for owner in pod.owner_references or ():
        if owner.kind == "ReplicaSet" and owner.name.endswith(suffix):
            return owner.name.removesuffix(suffix)
    return None


Version = Annotated[str, msgspec.Meta(pattern=r"^[0-9]{1,20}\Z")]
"""Of a list or an object: a number of 64 bits, by which versions of one cluster may be compared (KEP-5504)."""

PAGE = 500
"""Objects of a page at most, as client-go reads them."""


class ListMetadata(msgspec.Struct, rename="camel", frozen=True):
    """Of a list: where to watch from, and how to get the next page."""

    resource_version: Version
    continue_: str = msgspec.field(default="", name="continue")


# As fields of a tuple: of a list msgspec counts the items once it has built them all.
_items_decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(
    msgspec.defstruct(
        "Items",
        [(f"item_{number}", msgspec.Raw | msgspec.UnsetType, msgspec.UNSET) for number in range(PAGE)],
        array_like=True,
        forbid_unknown_fields=True,
    )
    | None
)


class Page(msgspec.Struct, frozen=True):
    """A page of a list, its items not read yet. Both parts have to be there: an empty list empties a mirror."""

    metadata: ListMetadata
    items: msgspec.Raw

    def objects(self) -> list[msgspec.Raw]:
        """The JSON of each item. Raises msgspec.MsgspecError where there are more than `PAGE`, however small."""
        items = msgspec.structs.astuple(found) if (found := _items_decoder.decode(self.items)) else ()
        return [item for item in items if item is not msgspec.UNSET]


class WatchEvent(msgspec.Struct, frozen=True):
    """A line of a watch, its object not read yet."""

    type: Literal["ADDED", "MODIFIED", "DELETED", "BOOKMARK", "ERROR"]
    object: msgspec.Raw


class AnyObject(msgspec.Struct, frozen=True):
    """An object of which only the version matters."""

    metadata: ListMetadata


class StatusObject(msgspec.Struct, frozen=True):
    """The API server's own error, as a watch sends it."""

    code: int = 0
    message: str = ""
