"""The policies of the desired account: what roles may do, and what may assume them; and what a policy allows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from webhook.cli.account_calls import policy_of
from webhook.iam.evaluation import as_list
from webhook.iam.statement import ASSUME_WITH_TOKEN, SERVICE, PodStatement
from webhook.model.errors import InvalidNameError
from webhook.model.names import AUDIENCE, RoleArn
from webhook.model.selectors import NamePattern

if TYPE_CHECKING:
    from collections.abc import Mapping

    from webhook.cli.account_calls import Document
    from webhook.cli.setup.prerequisites import DesiredAccount
    from webhook.iam.trust_policy import Statement
    from webhook.model.names import ClusterArn

EDIT_TRUST = "iam:UpdateAssumeRolePolicy"

BY_TOKEN, BY_ASSOCIATION = "Webhook", "WebhookPods"
"""Sids of the statements by which the webhook's own role trusts the webhook."""


def bucket_policy(desired: DesiredAccount) -> Document:
    """Allows backups to the bucket and restores from it, with the key that encrypts it; nothing else."""
    statements = bucket_statements(desired.own_role.partition, desired.bucket.name)
    return policy_of(*statements, *([key_statement(desired.bucket.key)] if desired.bucket.key is not None else []))


def bucket_statements(partition: str, bucket: str, prefix: str = "") -> list[Statement]:
    """What backups below a prefix of a bucket need in S3, and restores from there."""
    arn = f"arn:{partition}:s3:::{bucket}"
    objects = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"]
    return [
        {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": arn},
        {"Effect": "Allow", "Action": objects, "Resource": f"{arn}/{prefix}*"},
    ]


def key_statement(key: str) -> Statement:
    """What they need of a key that encrypts the objects.

    A multipart upload decrypts the parts that it has written (S3 user guide, "Using SSE-KMS").
    """
    return {"Effect": "Allow", "Action": ["kms:GenerateDataKey", "kms:Decrypt"], "Resource": key}


def first_trust(desired: DesiredAccount, role: RoleArn) -> Document:
    """A trust policy for a new role: IAM requires a statement, and this one denies no service and no cluster.

    It has the webhook's own statements, where its installation has the usual name: in mode pod-identity those for
    its pods, else the one that allows no subject until the first control plane is created.
    """
    own = desired.own_in(role)
    return policy_of(*(one.render() for one in own.pods) if own.pods else (own.render_placeholder(),))


def own_statements(desired: DesiredAccount) -> dict[str, Statement]:
    """The statements by which the webhook's own role may trust the webhook, by Sid; one for each way."""
    key = desired.issuer.key
    found: dict[str, Statement] = {
        BY_TOKEN: {
            "Sid": BY_TOKEN,
            "Effect": "Allow",
            "Principal": {"Federated": desired.provider_arn},
            "Action": ASSUME_WITH_TOKEN,
            "Condition": {"StringEquals": {f"{key}:aud": AUDIENCE, f"{key}:sub": str(desired.program)}},
        }
    }
    if desired.cluster is not None:
        found[BY_ASSOCIATION] = {**own_pods(desired, desired.cluster).render(), "Sid": BY_ASSOCIATION}
    return found


def own_statement(desired: DesiredAccount) -> Statement:
    """The one that the mode needs."""
    return own_statements(desired)[BY_ASSOCIATION if desired.associates else BY_TOKEN]


def own_pods(desired: DesiredAccount, cluster: ClusterArn) -> PodStatement:
    """The statement that allows EKS to assume the webhook's own role for the webhook's pods."""
    namespace, account = desired.program.namespace, desired.program.service_account
    return PodStatement(namespace, BY_ASSOCIATION, cluster, account, NamePattern(namespace))


def own_policy(desired: DesiredAccount) -> Document:
    """What the webhook may do, as docs/run/install.md has it: exactly the desired roles, and never its own."""
    roles = [role.value for role in desired.editable_roles]
    return policy_of(
        {"Effect": "Allow", "Action": ["iam:GetRole", EDIT_TRUST], "Resource": roles},
        {"Effect": "Allow", "Action": "iam:GetOpenIDConnectProvider", "Resource": desired.provider_arn},
        {"Effect": "Allow", "Action": "iam:GetAccountSummary", "Resource": "*"},
        {"Effect": "Deny", "Action": "iam:*", "Resource": desired.own_role.value},
    )


def association_policy(desired: DesiredAccount, cluster: ClusterArn) -> Document:
    """What it needs beside in mode pod-identity: this cluster's associations, and to pass on exactly its roles."""
    one = ("Describe", "Update", "Delete")
    passed = {"iam:PassedToService": SERVICE, "iam:AssociatedResourceArn": cluster.value}
    return policy_of(
        {
            "Effect": "Allow",
            "Action": [
                "eks:DescribeCluster",
                "eks:ListPodIdentityAssociations",
                "eks:CreatePodIdentityAssociation",
            ],
            "Resource": cluster.value,
        },
        {
            "Effect": "Allow",
            "Action": [*(f"eks:{verb}PodIdentityAssociation" for verb in one), "eks:TagResource"],
            "Resource": cluster.value.replace(":cluster/", ":podidentityassociation/") + "/*",
        },
        {
            "Effect": "Allow",
            "Action": "iam:PassRole",
            "Resource": [role.value for role in desired.editable_roles],
            "Condition": {"StringEquals": passed},
        },
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
        for statement in statements_of(policy)
        for action in _named(statement, "Action")
        for resource in _named(statement, "Resource")
    )


def statements_of(policy: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Its statements; IAM takes a single one without a list."""
    return [one for one in as_list(policy.get("Statement", [])) if isinstance(one, dict)]


def editable_roles(policy: Document) -> tuple[RoleArn, ...]:
    """The roles whose trust policies it allows to be edited; a pattern in place of a role is none."""
    rights = sorted(rights_of(policy))
    resources = [one.resource for one in rights if (one.effect, one.action) == ("Allow", EDIT_TRUST)]
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
