"""The facts that findings are made of: of one control plane, and of what all of them share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from webhook.model.names import RoleArn, Subject
    from webhook.model.oidc_provider import OidcProvider
    from webhook.planning.snapshot import AccountSnapshot, ClusterSnapshot, Installation, TrustedSubjects


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod of the control plane's ServiceAccount, as far as its identity goes."""

    name: str
    phase: str
    waiting: str | None
    """Why a container waits, such as CrashLoopBackOff."""
    variables: Mapping[str, str]
    """AWS_* variables of its containers; those whose value is not in the pod itself are empty."""
    audiences: tuple[str, ...]
    """Audiences of the tokens that it mounts."""
    is_replaced: bool
    """Whether something makes a new one when it is deleted."""

    @property
    def has_identity(self) -> bool:
        """Whether EKS gave it one as it was admitted."""
        return not {"AWS_ROLE_ARN", "AWS_CONTAINER_CREDENTIALS_FULL_URI"}.isdisjoint(self.variables)


@dataclass(frozen=True, slots=True)
class ControlPlane:
    """One control plane: a namespace, and a ServiceAccount in it of a bound name."""

    subject: Subject
    annotations: Mapping[str, str] | None
    """The ServiceAccount's; None where there is none."""
    pods: tuple[Pod, ...] | None
    """None where they could not be listed."""
    pending: str = ""
    """What the program told when it could not have it trusted; empty where nothing is known."""


@dataclass(frozen=True, slots=True)
class Registration:
    """The webhook as the API server knows it."""

    name: str
    failure_policy: str
    certificate_ends: float | None
    """When the last certificate of the caBundle ends, in seconds since 1970; None where none can be read."""


@dataclass(frozen=True, slots=True)
class Own:
    """The program's namespace, and its own pods in it."""

    namespace: str
    pods: tuple[Pod, ...]


@dataclass(frozen=True, slots=True)
class Trial:
    """What became of a ServiceAccount that was sent through admission as a dry run.

    `annotated` is whether the webhook set the annotation; None where the trial was not possible, was refused, or
    shows nothing (then nothing is `said`).
    """

    annotated: bool | None
    said: str = ""


@dataclass(frozen=True, slots=True)
class Shared:
    """What all control planes share."""

    installation: Installation
    cluster: ClusterSnapshot
    account: AccountSnapshot
    trusted: TrustedSubjects
    providers: Mapping[str, OidcProvider | str]
    """The cluster's OIDC provider by its ARN in each account, or why it is not known."""
    registrations: tuple[Registration, ...] | None
    """Those that call a program of this name; None where they could not be listed."""
    deployments: Mapping[str, int] | None = None
    """The program's own, with how many pods each is to have; None where they could not be listed."""
    options: tuple[str, ...] = ()
    """Options of the command line that further commands need too."""
    own_role: RoleArn | None = None
    """The role of the program's ServiceAccount by its annotation; None where that is not known."""
    setup_options: tuple[str, ...] = ()
    """Options with which `setup` means this cluster and this program."""
    now: float = 0.0
    """In seconds since 1970."""
    removable: Mapping[RoleArn, int] = field(default_factory=dict)
    """How many subjects of our statement in a role nobody wants any more."""
    own: Own | None = None
    """None where its pods could not be listed."""
