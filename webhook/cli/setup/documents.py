"""The policies of the two kinds of role: those for backups, and the webhook's own."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from webhook.cli.setup.rights import EDIT_TRUST
from webhook.iam.statement import ASSUME_WITH_TOKEN, OwnStatement
from webhook.model.errors import InvalidNameError
from webhook.model.names import AUDIENCE

if TYPE_CHECKING:
    from webhook.cli.setup.presets import PresetWorkload
    from webhook.model.names import IssuerUrl, RoleArn, Subject

Document = dict[str, Any]

_VERSION = "2012-10-17"


# As the S3 user guide has them ("Bucket naming rules"), and regions as AWS's list of endpoints does.
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_REGION = re.compile(r"[a-z]{2,4}(-[a-z]+)+-\d+")


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket and its region. Raises InvalidNameError for a name that S3 does not allow."""

    name: str
    region: str

    def __post_init__(self) -> None:
        if not _BUCKET.fullmatch(self.name):
            raise InvalidNameError(f"{self.name!r} is not the name of a bucket; it looks like my-backups")
        if not _REGION.fullmatch(self.region):
            raise InvalidNameError(f"{self.region!r} is not the name of a region; it looks like us-west-2")


@dataclass(frozen=True, slots=True)
class DesiredAccount:
    """What is to be there. `program` is the webhook's own ServiceAccount, `own_role` its role; `roles` back up."""

    bucket: Bucket
    roles: tuple[RoleArn, ...]
    own_role: RoleArn
    issuer: IssuerUrl
    program: Subject
    workloads: tuple[PresetWorkload, ...] = ()
    roles_before: tuple[RoleArn, ...] = ()
    """What an earlier call gave to the webhook."""

    @property
    def bound_roles(self) -> tuple[RoleArn, ...]:
        """Every role that a binding names, each once."""
        return tuple(dict.fromkeys((*self.roles, *(workload.role for workload in self.workloads))))

    @property
    def provider_arn(self) -> str:
        """The cluster's OIDC provider in the account."""
        return self.issuer.provider_arn(self.own_role.partition, self.own_role.account)


def bucket_policy(desired: DesiredAccount) -> Document:
    """Backing up to the bucket and restoring from it, and no more."""
    bucket = f"arn:{desired.own_role.partition}:s3:::{desired.bucket.name}"
    objects = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"]
    return {
        "Version": _VERSION,
        "Statement": [
            {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": bucket},
            {"Effect": "Allow", "Action": objects, "Resource": f"{bucket}/*"},
        ],
    }


def first_trust(desired: DesiredAccount, role: RoleArn) -> Document:
    """A trust policy that allows nobody until the first control plane comes: IAM wants a statement.

    It is the webhook's own, which replaces it, where its installation has the usual name.
    """
    own = OwnStatement.for_role(role, desired.issuer, desired.program.namespace)
    return {"Version": _VERSION, "Statement": [own.render_for_nobody()]}


def own_statement(desired: DesiredAccount) -> Document:
    """The statement by which the webhook's own role trusts the webhook."""
    key = desired.issuer.key
    return {
        "Sid": "Webhook",
        "Effect": "Allow",
        "Principal": {"Federated": desired.provider_arn},
        "Action": ASSUME_WITH_TOKEN,
        "Condition": {"StringEquals": {f"{key}:aud": AUDIENCE, f"{key}:sub": str(desired.program)}},
    }


def own_policy(desired: DesiredAccount) -> Document:
    """What the webhook may do, as docs/run/install.md has it: exactly the desired roles, and never its own."""
    roles = [role.value for role in dict.fromkeys((*desired.bound_roles, *desired.roles_before))]
    return {
        "Version": _VERSION,
        "Statement": [
            {"Effect": "Allow", "Action": ["iam:GetRole", EDIT_TRUST], "Resource": roles},
            {"Effect": "Allow", "Action": "iam:GetOpenIDConnectProvider", "Resource": desired.provider_arn},
            {"Effect": "Allow", "Action": "iam:GetAccountSummary", "Resource": "*"},
            {"Effect": "Deny", "Action": "iam:*", "Resource": desired.own_role.value},
        ],
    }
