"""Pods, and the AWS identity that EKS's webhook gave them: variables and mounted tokens."""

from __future__ import annotations

from datetime import datetime  # noqa: TC003  msgspec reads annotations when it runs

import msgspec

from webhook.controller.ports import RunningPod
from webhook.kube.objects import Name, name_of_role
from webhook.model.bindings import Mode

# Either means that EKS gave the pod an identity.
_ROLE_VARIABLE = "AWS_ROLE_ARN"
_IDENTITY_VARIABLES = {_ROLE_VARIABLE: Mode.IRSA, "AWS_CONTAINER_CREDENTIALS_FULL_URI": Mode.POD_IDENTITY}
# How people have EKS's webhook skip a pod, or containers of it.
_SKIP_POD = "eks.amazonaws.com/skip-pod-identity-webhook"
_SKIP_CONTAINERS = "eks.amazonaws.com/skip-containers"
_ENDED = frozenset({"Succeeded", "Failed"})

_MOST_ROLES = 3
"""Roles of one pod that are kept: each but one is a wrong one."""


class OwnerReference(msgspec.Struct, frozen=True):
    """What a pod belongs to."""

    kind: str
    name: str
    controller: bool = False
    """Whether it recreates the pod."""


class Variable(msgspec.Struct, frozen=True):
    """One environment variable; `value` is empty where it stands elsewhere."""

    name: str
    value: str = ""


class Container(msgspec.Struct, frozen=True):
    """One container of a pod."""

    name: str
    env: list[Variable] | None = None

    @property
    def carries(self) -> frozenset[Mode]:
        """The modes for which it has variables."""
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


class _Token(msgspec.Struct, frozen=True):
    audience: str = ""


class _VolumeSource(msgspec.Struct, rename="camel", frozen=True):
    service_account_token: _Token | None = None


class _Projected(msgspec.Struct, frozen=True):
    sources: list[_VolumeSource] | None = None


class _Volume(msgspec.Struct, frozen=True):
    projected: _Projected | None = None


class _Labels(msgspec.Struct, rename={"template_hash": "pod-template-hash", "skipped": _SKIP_POD}, frozen=True):
    template_hash: str = ""
    skipped: str | None = None


class _Annotations(msgspec.Struct, rename={"skipped_containers": _SKIP_CONTAINERS}, frozen=True):
    skipped_containers: str = ""


class _Metadata(msgspec.Struct, rename="camel", frozen=True):
    name: Name = ""
    namespace: Name = ""
    uid: Name = ""
    labels: _Labels | None = None
    annotations: _Annotations | None = None
    creation_timestamp: datetime | None = None
    deletion_timestamp: str | None = None
    owner_references: list[OwnerReference] | None = None


class _Spec(msgspec.Struct, rename="camel", frozen=True):
    service_account_name: Name = ""
    containers: list[Container] = []
    init_containers: list[Container] = []
    volumes: list[_Volume] | None = None
    node_name: Name = ""


class _Waiting(msgspec.Struct, frozen=True):
    reason: str = ""


class _State(msgspec.Struct, frozen=True):
    waiting: _Waiting | None = None


class _ContainerStatus(msgspec.Struct, frozen=True):
    state: _State = _State()


class _Status(msgspec.Struct, rename="camel", frozen=True):
    phase: str = ""
    container_statuses: list[_ContainerStatus] | None = None


class PodObject(msgspec.Struct, frozen=True):
    """A Pod. Of its labels and annotations those are read that count."""

    metadata: _Metadata
    spec: _Spec
    status: _Status = _Status()

    @property
    def has_ended(self) -> bool:
        """Whether its containers run no more, and will not again."""
        return self.status.phase in _ENDED

    @property
    def carries(self) -> frozenset[Mode]:
        """The modes for which any of its containers has variables."""
        return frozenset(mode for one in self._containers for mode in one.carries)

    @property
    def roles(self) -> frozenset[str]:
        """The roles of its containers that EKS does not skip: another's role is not the ServiceAccount's."""
        return frozenset(sorted({role for one in self._given_by_eks for role in one.roles})[:_MOST_ROLES])

    @property
    def has_identity(self) -> bool:
        """Whether any container has an AWS identity, or EKS skips all: the gate denies no such pod.

        EKS's webhook gives all of them one at once. One without was added by a later webhook: a new pod is alike.
        """
        given = self._given_by_eks
        return not given or any(one.carries for one in given)

    @property
    def audiences(self) -> tuple[str, ...]:
        """The audiences of the tokens that it mounts."""
        return tuple(
            source.service_account_token.audience
            for volume in self.spec.volumes or ()
            if volume.projected
            for source in volume.projected.sources or ()
            if source.service_account_token
        )

    @property
    def waits_for(self) -> tuple[str, ...]:
        """Why containers of it do not run, such as CrashLoopBackOff."""
        states = (one.state.waiting for one in self.status.container_statuses or ())
        return tuple(waiting.reason for waiting in states if waiting)

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
            is_being_deleted=self.metadata.deletion_timestamp is not None,
            roles=self.roles,
        )

    @property
    def _containers(self) -> list[Container]:
        return [*self.spec.containers, *self.spec.init_containers]

    @property
    def _given_by_eks(self) -> list[Container]:
        """The containers that EKS does not skip."""
        labels, annotations = self.metadata.labels, self.metadata.annotations
        if labels and labels.skipped is not None:
            return []
        skipped = {name.strip() for name in annotations.skipped_containers.split(",")} if annotations else ()
        return [one for one in self._containers if one.name not in skipped]


def _deployment_of(pod: _Metadata) -> str | None:
    """The Deployment of a pod: the Deployment controller names a ReplicaSet after it and the template's hash."""
    suffix = f"-{pod.labels.template_hash if pod.labels else ''}"
    for owner in pod.owner_references or ():
        if owner.kind == "ReplicaSet" and owner.name.endswith(suffix):
            return owner.name.removesuffix(suffix)
    return None
