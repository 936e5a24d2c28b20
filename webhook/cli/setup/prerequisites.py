"""The account as it should be, and what it has of that. Policies are in `policies`."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from webhook.iam.statement import OwnStatement, PodStatement
from webhook.model.bindings import Mode
from webhook.model.errors import InvalidNameError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from webhook.cli.account_calls import Document
    from webhook.cli.setup.spaces import Preset
    from webhook.iam.trust_policy import TrustPolicy
    from webhook.model.names import ClusterArn, IssuerUrl, RoleArn, Subject
    from webhook.model.oidc_provider import OidcProvider
    from webhook.model.selectors import NamePattern
    from webhook.podidentity.association import Association

# As the S3 user guide has them ("Bucket naming rules"), and regions as AWS's list of endpoints does.
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_REGION = re.compile(r"[a-z]{2,4}(-[a-z]+)+-\d+")
_KEY = re.compile(r"arn:aws[a-z0-9-]*:kms:[a-z0-9-]+:\d{12}:key/[A-Za-z0-9-]{1,128}")
_PREFIX = re.compile(r"[\w!.*'()-]+(/[\w!.*'()-]+)*", re.ASCII)


def check_bucket_name(name: str) -> None:
    """Raise InvalidNameError for a name that S3 does not allow."""
    if not _BUCKET.fullmatch(name):
        raise InvalidNameError(f"{name!r} is not the name of a bucket; it looks like my-backups")


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket, its region, what the names of its objects begin with, and the key that encrypts them.

    Raises InvalidNameError for a name that S3 or KMS does not allow. A key's alias names no key in a policy, so it
    is not allowed (KMS developer guide, "Using aliases to control access").
    """

    name: str
    region: str
    prefix: str = ""
    key: str | None = None

    def __post_init__(self) -> None:
        check_bucket_name(self.name)
        if not _REGION.fullmatch(self.region):
            raise InvalidNameError(f"{self.region!r} is not the name of a region; it looks like us-west-2")
        if self.prefix and not _PREFIX.fullmatch(self.prefix):
            raise InvalidNameError(f"{self.prefix!r} is not a prefix of objects; it looks like prod/space-1")
        if self.key is not None and not _KEY.fullmatch(self.key):
            raise InvalidNameError(
                f"{self.key!r} is not the ARN of a KMS key; it looks like arn:aws:kms:us-west-2:123456789012:key/"
                "1234abcd-12ab-34cd-56ef-1234567890ab (aws kms describe-key --query KeyMetadata.Arn)"
            )
        if self.key is not None and (place := self.key.split(":")[3]) != self.region:
            raise InvalidNameError(
                f"--kms-key {self.key} is in {place}, but bucket {self.name} in {self.region}: S3 encrypts "
                "with keys of the bucket's region only; name such a key, or correct --region"
            )


@dataclass(frozen=True, slots=True)
class Bound:
    """A workload and the roles that a binding gives it."""

    preset: Preset
    roles: tuple[RoleArn, ...]


@dataclass(frozen=True)
class DesiredAccount:
    """What the account should have: a role for the webhook's ServiceAccount `program`, and those of its bindings.

    The first of `bound` is about backups. `cluster` is known in mode pod-identity, and else where it is given.
    """

    bucket: Bucket
    bound: tuple[Bound, ...]
    own_role: RoleArn
    issuer: IssuerUrl
    program: Subject
    mode: Mode
    pattern: NamePattern
    cluster: ClusterArn | None = None
    roles_before: tuple[RoleArn, ...] = ()
    """Roles that an earlier call allowed the webhook to edit."""

    @property
    def associates(self) -> bool:
        """Whether its bindings, and the webhook itself, get their roles by EKS Pod Identity."""
        return self.mode is Mode.POD_IDENTITY

    @property
    def roles(self) -> tuple[RoleArn, ...]:
        """The roles for backups."""
        return self.bound[0].roles

    @cached_property
    def bound_roles(self) -> tuple[RoleArn, ...]:
        """Every role that a binding names, each once."""
        return tuple(dict.fromkeys(role for one in self.bound for role in one.roles))

    @property
    def editable_roles(self) -> tuple[RoleArn, ...]:
        """Every role that the webhook may edit, each once."""
        return tuple(dict.fromkeys((*self.bound_roles, *self.roles_before)))

    @property
    def provider_arn(self) -> str:
        """The cluster's OIDC provider in the account."""
        return self.issuer.provider_arn(self.own_role.partition, self.own_role.account)

    def own_in(self, role: RoleArn) -> OwnStatement:
        """The statements that the webhook will have in `role`, where its installation has the usual name."""
        installation = self.program.namespace
        pods = () if self.cluster is None or not self.associates else self._pods(role, self.cluster, installation)
        return OwnStatement.for_role(role, self.issuer, installation, pods)

    def _pods(self, role: RoleArn, cluster: ClusterArn, installation: str) -> tuple[PodStatement, ...]:
        return tuple(
            PodStatement(
                installation,
                one.preset.name,
                cluster,
                one.preset.service_account,
                one.preset.pattern(self.pattern),
            )
            for one in self.bound
            if role in one.roles
        )


@dataclass(frozen=True, slots=True)
class FoundRole:
    """A role that exists: its trust policy, and its inline policies by name."""

    trust: TrustPolicy
    policies: Mapping[str, Document]


@dataclass(frozen=True, slots=True)
class FoundAgent:
    """The agent of EKS Pod Identity in the cluster."""

    status: str | None
    """Of the add-on, as EKS has it; None where there is none."""
    is_built_in: bool = False
    """Whether the cluster has it without an add-on (EKS Auto Mode)."""


@dataclass(frozen=True, slots=True)
class Found:
    """What the account has of the prerequisites."""

    provider: OidcProvider
    roles: Mapping[RoleArn, FoundRole] = field(default_factory=dict)
    agent: FoundAgent = FoundAgent(None)
    association: Association | None = None
    """That of the webhook's own ServiceAccount."""

    def policy(self, role: RoleArn, name: str) -> Document | None:
        """A role's inline policy of that name."""
        return self.roles[role].policies.get(name) if role in self.roles else None
