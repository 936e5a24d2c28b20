"""Commands that correct what stands between a role and its bucket, and the policies in them.

The commands are run as they are printed. A policy gets one statement more, or a role that a Deny no longer covers.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from webhook.cli.account_calls import compact, policy_of, put_policy
from webhook.cli.setup.policies import bucket_statements, key_statement, statements_of
from webhook.cli.setup.spaces import backup_config, where_s3_is
from webhook.cli.verify.bucket.configs import INJECTED
from webhook.iam.evaluation import as_list
from webhook.model.wildcards import matches_wildcard

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from webhook.cli.account_calls import Document
    from webhook.cli.verify.bucket.configs import BackupConfig
    from webhook.iam.trust_policy import Statement
    from webhook.model.names import RoleArn


_PRINCIPAL = "aws:PrincipalArn"
_EXEMPT = "ArnNotEquals"


def allow_bucket(role: RoleArn, bucket: str, prefix: str) -> str:
    """Allow a role what backups need below a prefix, and replace no other policy: it has a name of its own."""
    document = policy_of(*bucket_statements(role.partition, bucket, prefix))
    return put_policy(role, f"backups-in-{bucket}", document).command()


def allow_key(role: RoleArn, key: str) -> str:
    """Allow a role what objects need that a key encrypts."""
    return put_policy(role, f"backups-with-{key.rpartition('/')[2]}", policy_of(key_statement(key))).command()


def grant_key(role: RoleArn, key: str) -> str:
    """Allow it beside the key's policy, which stays as it is."""
    argv = ["aws", "kms", "create-grant", "--key-id", key, "--grantee-principal", role.value]
    return shlex.join([*argv, "--operations", "GenerateDataKey", "Decrypt", "--region", key.split(":")[3]])


def write_bucket_policy(bucket: str, region: str, document: Mapping[str, Any]) -> str:
    """Replace a bucket's policy; to be read before it is run."""
    argv = ["aws", "s3api", "put-bucket-policy", "--bucket", bucket, "--region", region]
    return shlex.join([*argv, "--policy", compact(document)])


def write_endpoint_policy(endpoint: str, document: Mapping[str, Any]) -> str:
    """Replace the policy of a VPC endpoint; to be read before it is run."""
    argv = ["aws", "ec2", "modify-vpc-endpoint", "--vpc-endpoint-id", endpoint]
    return shlex.join([*argv, "--policy-document", compact(document)])


def write_boundary(arn: str, document: Mapping[str, Any]) -> str:
    """Give a managed policy a new version; the former one stays."""
    argv = ["aws", "iam", "create-policy-version", "--policy-arn", arn]
    return shlex.join([*argv, "--policy-document", compact(document), "--set-as-default"])


def delete_object(bucket: str, key: str, region: str) -> str:
    """Remove one object."""
    return shlex.join(["aws", "s3api", "delete-object", "--bucket", bucket, "--key", key, "--region", region])


@dataclass(frozen=True, slots=True)
class Wanted:
    """A configuration that a group lacks, under the name by which its schedules know it."""

    name: str
    bucket: str
    group: str
    partition: str


def create_config(wanted: Wanted, region: str) -> str:
    """Create a SharedBackupConfig for a group, with the identity of its control planes' pods."""
    item = backup_config(wanted.bucket, where_s3_is(region, wanted.partition), wanted.group)
    item["metadata"]["name"] = wanted.name
    return f"{shlex.join(['printf', '%s', compact(item)])} | kubectl apply -f -"


def use_identity(config: BackupConfig) -> str:
    """Have a configuration use the pod's identity, and no Secret."""
    return _patch(config, {"credentials": {"source": INJECTED, "secretRef": None}})


def use_bucket(config: BackupConfig, bucket: str, region: str, partition: str) -> str:
    """Have a configuration name another bucket, or the region that it is in."""
    return _patch(config, {"bucket": bucket, "config": where_s3_is(region, partition)})


def _patch(config: BackupConfig, storage: Mapping[str, Any]) -> str:
    place = ["-n", config.group] if config.group else []
    patch = compact({"spec": {"objectStorage": storage}})
    argv = ["kubectl", "patch", *place, config.kind.resource, config.name, "--type", "merge", "-p", patch]
    return shlex.join(argv)


def with_statements(document: Mapping[str, Any], statements: Sequence[Statement]) -> Document:
    """The policy with these statements beside its own."""
    return {"Version": "2012-10-17", **document, "Statement": [*statements_of(document), *statements]}


def exempting(document: Mapping[str, Any], role: RoleArn, action: str, resource: str) -> Document | None:
    """The policy whose Denies of the action no longer cover the role, and cover all else as before.

    None where no Deny is about the action and the resource. Conditions are not evaluated: AWS has, and denied.
    """
    changed = [_exempt(one, role) if _denies(one, action, resource) else one for one in statements_of(document)]
    return None if changed == statements_of(document) else {**document, "Statement": changed}


def for_role_alone(statements: Sequence[Statement], role: RoleArn) -> list[Statement]:
    """The same for an endpoint policy: a gateway's names principals by a condition alone (PrivateLink guide)."""
    condition = {"ArnEquals": {_PRINCIPAL: role.value}}
    return [{**one, "Principal": "*", "Condition": condition} for one in statements]


def for_principal(statements: Sequence[Statement], role: RoleArn) -> list[Statement]:
    """The same for a bucket policy."""
    return [{**one, "Principal": {"AWS": role.value}} for one in statements]


def _exempt(statement: Statement, role: RoleArn) -> Statement:
    condition = statement.get("Condition", {})
    exempt = condition.get(_EXEMPT, {})
    key = next((one for one in exempt if one.lower() == _PRINCIPAL.lower()), _PRINCIPAL)
    names = list(dict.fromkeys([*as_list(exempt.get(key, [])), role.value]))
    return {**statement, "Condition": {**condition, _EXEMPT: {**exempt, key: names}}}


def _denies(statement: Statement, action: str, resource: str) -> bool:
    if statement.get("Effect") != "Deny":
        return False
    return _covers(statement, "Action", action.lower(), lower=True) and _covers(
        statement, "Resource", resource, lower=False
    )


def _covers(statement: Statement, element: str, value: str, *, lower: bool) -> bool:
    """Whether Action or Resource, or their negation, covers a value; an absent resource is any."""

    def names(patterns: object) -> bool:
        texts = [str(one).lower() if lower else str(one) for one in as_list(patterns)]
        return any(matches_wildcard(one, value) for one in texts)

    if f"Not{element}" in statement:
        return not names(statement[f"Not{element}"])
    return element not in statement or names(statement[element])
