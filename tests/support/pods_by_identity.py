"""Pods with and without identity, for the gate that refuses them and for the program that counts them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rig.kubernetes import objects

if TYPE_CHECKING:
    from collections.abc import Mapping

_SKIP_POD = {"eks.amazonaws.com/skip-pod-identity-webhook": "true"}
_SKIP_CONTAINERS = "eks.amazonaws.com/skip-containers"
_NONE: list[dict[str, str]] = []
_OTHER = [{"name": "AWS_REGION", "value": "us-west-2"}]
_ROLE = "arn:aws:iam::123456789012:role/mxp-backup"
_IRSA = [{"name": "AWS_ROLE_ARN", "value": _ROLE}]
_POD_IDENTITY = [{"name": "AWS_CONTAINER_CREDENTIALS_FULL_URI", "value": "http://169.254.170.23/v1/credentials"}]


@dataclass(frozen=True)
class Case:
    """A pod of two containers, `controller` and before it `prepare`, and which of them lack an identity.

    The gate refuses it where EKS `gave_none` to any of them. `roles` are those that it has by its ServiceAccount's
    annotation.
    """

    controller: list[dict[str, str]]
    prepare: list[dict[str, str]]
    lacking: tuple[str, ...] = ()
    gave_none: bool = False
    roles: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)

    def pod(self, namespace: str, name: str) -> objects.Object:
        """The pod, to be created."""
        pod = objects.pod(namespace, name)
        (container,) = pod["spec"]["containers"]
        spec: dict[str, Any] = {
            **pod["spec"],
            "initContainers": [{**container, "name": "prepare", "env": self.prepare}],
            "containers": [{**container, "env": self.controller}],
        }
        metadata = {**pod["metadata"], "labels": dict(self.labels), "annotations": dict(self.annotations)}
        return {**pod, "metadata": metadata, "spec": spec}


CASES = {
    "IRSA": Case(_IRSA, _IRSA, roles=(_ROLE,)),
    "Pod Identity": Case(_POD_IDENTITY, _POD_IDENTITY),
    "one of each": Case([*_OTHER, *_IRSA], _POD_IDENTITY, roles=(_ROLE,)),
    "only the container": Case(_IRSA, _NONE, ("prepare",), roles=(_ROLE,)),
    "only the init container": Case(_NONE, _IRSA, ("controller",), roles=(_ROLE,)),
    "none at all": Case(_OTHER, _NONE, ("controller", "prepare"), gave_none=True),
    "a pod that EKS is told to skip": Case(_NONE, _NONE, labels=_SKIP_POD),
    "a container that EKS is told to skip": Case(
        _NONE, _IRSA, roles=(_ROLE,), annotations={_SKIP_CONTAINERS: "x, controller"}
    ),
    "a role of its own in a container that EKS is told to skip": Case(
        _IRSA, _POD_IDENTITY, annotations={_SKIP_CONTAINERS: "controller"}
    ),
    "a role of its own in a pod that EKS is told to skip": Case(_IRSA, _NONE, labels=_SKIP_POD),
    "a container beside one that EKS is told to skip": Case(
        _NONE, _NONE, ("controller",), gave_none=True, annotations={_SKIP_CONTAINERS: " prepare "}
    ),
}
