"""The facts that `verify` reads, of one control plane and of what all share, and what a finding is."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from webhook.cli import suggested_commands as commands

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

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
    """Whether a controller recreates it when it is deleted."""
    node: str = ""
    """The node that it runs on; empty until it is scheduled."""
    uid: str = ""

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
    """What the program reported when it could not add its trust; empty where nothing is known."""


@dataclass(frozen=True, slots=True)
class Registration:
    """The webhook as the API server knows it."""

    name: str
    certificate_ends: float | None
    """When the last certificate of the caBundle ends, in seconds since 1970; None where none can be read."""


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
    """How many subjects of our statement in a role are unused."""
    namespace: str = ""
    """The program's."""
    release: str = "mxp-identity-webhook"
    """The program's, in Helm."""
    own_pods: tuple[Pod, ...] | None = None
    """The program's; None where they could not be listed."""
    repairs: Mapping[RoleArn, tuple[int, ...]] = field(default_factory=dict)
    """When the program last repaired its statement in a role, in seconds since 1970, as its Leases say."""


class Check(StrEnum):
    """What a finding is about; the values are those of tables and documents."""

    WEBHOOK = "webhook"
    WEBHOOK_IDENTITY = "webhook-identity"
    NAMESPACE = "namespace"
    SERVICE_ACCOUNT = "service-account"
    ANNOTATION = "annotation"
    AUDIENCE = "audience"
    OIDC_PROVIDER = "oidc-provider"
    ROLE = "role"
    TRUST = "trust"
    ROOM = "room"
    ASSOCIATION = "association"
    PODS = "pods"
    IAM = "iam"
    STS = "sts"
    EKS = "eks"
    TRUST_POLICY = "trust-policy"
    BACKUP_CONFIG = "backup-config"
    SCHEDULE = "schedule"
    BUCKET = "bucket"
    AGENT = "agent"


class Level(StrEnum):
    """How bad it is."""

    BROKEN = "broken"
    """The control plane has no identity, or will lose it."""
    UNKNOWN = "unknown"
    """It could not be read."""
    NOTE = "note"
    OK = "ok"

    @property
    def rank(self) -> int:
        """The worst is 0."""
        return list(Level).index(self)

    @property
    def is_well(self) -> bool:
        """Whether nothing is to be corrected or looked into."""
        return self in {Level.NOTE, Level.OK}


@dataclass(frozen=True, slots=True)
class Finding:
    """`fix` is a command that corrects it, to be run as it stands, where there is one.

    `template` is one that does more, once a person has put what only they know where NAME stands.
    """

    check: Check
    level: Level
    message: str
    fix: str | None = None
    template: str | None = None


def ok(check: Check, message: str) -> Finding:
    """All is well."""
    return Finding(check, Level.OK, message)


def broken(check: Check, message: str, fix: str | None = None) -> Finding:
    """It is not."""
    return Finding(check, Level.BROKEN, message, fix)


def unknown(check: Check, message: str, fix: str | None = None) -> Finding:
    """It is not known."""
    return Finding(check, Level.UNKNOWN, message, fix)


def note(check: Check, message: str, fix: str | None = None) -> Finding:
    """Worth knowing."""
    return Finding(check, Level.NOTE, message, fix)


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The findings about one control plane."""

    subject: Subject
    role: RoleArn | None
    """The role that it should name; None where no binding selects it."""
    findings: tuple[Finding, ...]
    associates: bool = False
    """Whether it gets the role by a Pod Identity association."""

    @property
    def worst(self) -> Level:
        """The worst level among the findings."""
        return min((finding.level for finding in self.findings), key=lambda level: level.rank, default=Level.OK)


def in_context(findings: Iterable[Finding], context: str | None) -> tuple[Finding, ...]:
    """The same findings, with commands for the same cluster; None: the current context."""
    if context is None:
        return tuple(findings)

    def there(command: str | None) -> str | None:
        return None if command is None else commands.in_context(command, context)

    return tuple(replace(one, fix=there(one.fix), template=there(one.template)) for one in findings)


def no_account(subject: Subject) -> Finding:
    """There is no ServiceAccount."""
    why = f"{subject.namespace} has no ServiceAccount {subject.service_account}; Spaces creates it"
    return broken(Check.SERVICE_ACCOUNT, why, commands.create_account(subject))
