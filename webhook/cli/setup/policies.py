"""The prerequisites of an account as data: roles, the policies of each, and what a policy allows."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from webhook.cli.iam_calls import policy_of
from webhook.iam.evaluation import as_list
from webhook.iam.statement import ASSUME_WITH_TOKEN, OwnStatement
from webhook.model.errors import InvalidNameError
from webhook.model.names import AUDIENCE, RoleArn

if TYPE_CHECKING:
    from webhook.cli.iam_calls import Document
    from webhook.cli.setup.presets import Preset
    from webhook.model.names import IssuerUrl, Subject

_EDIT_TRUST = "iam:UpdateAssumeRolePolicy"

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
    """What the account should have: `roles` for backups, `own_role` for the webhook's ServiceAccount `program`."""

    bucket: Bucket
    roles: tuple[RoleArn, ...]
    own_role: RoleArn
    issuer: IssuerUrl
    program: Subject
    workloads: tuple[tuple[Preset, RoleArn], ...] = ()
    roles_before: tuple[RoleArn, ...] = ()
    """Roles that an earlier call allowed the webhook to edit."""

    @property
    def bound_roles(self) -> tuple[RoleArn, ...]:
        """Every role that a binding names, each once."""
        return tuple(dict.fromkeys((*self.roles, *(role for _, role in self.workloads))))

    @property
    def provider_arn(self) -> str:
        """The cluster's OIDC provider in the account."""
        return self.issuer.provider_arn(self.own_role.partition, self.own_role.account)


def bucket_policy(desired: DesiredAccount) -> Document:
    """Allows backups to the bucket and restores from it, nothing else."""
    bucket = f"arn:{desired.own_role.partition}:s3:::{desired.bucket.name}"
    objects = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"]
    return policy_of(
        {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": bucket},
        {"Effect": "Allow", "Action": objects, "Resource": f"{bucket}/*"},
    )


def first_trust(desired: DesiredAccount, role: RoleArn) -> Document:
    """A trust policy that allows no subject until the first control plane is created: IAM requires a statement.

    It is the webhook's own statement, which the webhook replaces, where its installation has the usual name.
    """
    return policy_of(OwnStatement.for_role(role, desired.issuer, desired.program.namespace).render_placeholder())


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
    return policy_of(
        {"Effect": "Allow", "Action": ["iam:GetRole", _EDIT_TRUST], "Resource": roles},
        {"Effect": "Allow", "Action": "iam:GetOpenIDConnectProvider", "Resource": desired.provider_arn},
        {"Effect": "Allow", "Action": "iam:GetAccountSummary", "Resource": "*"},
        {"Effect": "Deny", "Action": "iam:*", "Resource": desired.own_role.value},
    )


@dataclass(frozen=True, slots=True, order=True)
class Right:
    """One action on one resource, allowed or denied. Conditions are no part of it."""

    effect: str
    action: str
    resource: str

    def __str__(self) -> str:
        return f"{self.effect} {self.action} on {self.resource}"


def rights_of(policy: Document) -> frozenset[Right]:
    """Every right that a policy allows or denies."""
    return frozenset(
        Right(str(statement.get("Effect")), action, resource)
        for statement in as_list(policy.get("Statement", []))
        if isinstance(statement, dict)
        for action in _named(statement, "Action")
        for resource in _named(statement, "Resource")
    )


def editable_roles(policy: Document) -> tuple[RoleArn, ...]:
    """The roles whose trust policies it allows to be edited; a pattern in place of a role is none."""
    rights = sorted(rights_of(policy))
    resources = [one.resource for one in rights if (one.effect, one.action) == ("Allow", _EDIT_TRUST)]
    return tuple(role for resource in resources if (role := _role(resource)) is not None)


def _role(resource: str) -> RoleArn | None:
    try:
        role = RoleArn(resource)
    except InvalidNameError:
        return None
    return role if role.is_plain else None


def _named(statement: dict[str, Any], element: str) -> list[str]:
    """The values of an element, or of its opposite, such as NotAction."""
    excepted = as_list(statement.get(f"Not{element}", []))
    return [str(value) for value in as_list(statement.get(element, []))] + [f"all but {one}" for one in excepted]
