"""Commands that correct what stands between a role and its bucket, to be run as they are printed."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from webhook.cli.account_calls import policy_of, put_policy
from webhook.cli.setup.policies import bucket_statements, key_statement
from webhook.cli.setup.spaces import backup_config, where_s3_is
from webhook.cli.verify.bucket.configs import INJECTED

if TYPE_CHECKING:
    from collections.abc import Mapping

    from webhook.cli.verify.bucket.configs import BackupConfig
    from webhook.model.names import RoleArn


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
    return shlex.join([*argv, "--policy", _text(document)])


def write_endpoint_policy(endpoint: str, document: Mapping[str, Any]) -> str:
    """Replace the policy of a VPC endpoint; to be read before it is run."""
    argv = ["aws", "ec2", "modify-vpc-endpoint", "--vpc-endpoint-id", endpoint]
    return shlex.join([*argv, "--policy-document", _text(document)])


def write_boundary(arn: str, document: Mapping[str, Any]) -> str:
    """Give a managed policy a new version; the former one stays."""
    argv = ["aws", "iam", "create-policy-version", "--policy-arn", arn]
    return shlex.join([*argv, "--policy-document", _text(document), "--set-as-default"])


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
    return f"{shlex.join(['printf', '%s', _text(item)])} | kubectl apply -f -"


def use_identity(config: BackupConfig) -> str:
    """Have a configuration use the pod's identity, and no Secret."""
    return _patch(config, {"credentials": {"source": INJECTED, "secretRef": None}})


def use_bucket(config: BackupConfig, bucket: str, region: str, partition: str) -> str:
    """Have a configuration name another bucket, or the region that it is in."""
    return _patch(config, {"bucket": bucket, "config": where_s3_is(region, partition)})


def _patch(config: BackupConfig, storage: Mapping[str, Any]) -> str:
    place = ["-n", config.group] if config.group else []
    patch = _text({"spec": {"objectStorage": storage}})
    argv = ["kubectl", "patch", *place, config.kind.resource, config.name, "--type", "merge", "-p", patch]
    return shlex.join(argv)


def _text(document: Mapping[str, Any]) -> str:
    return json.dumps(document, separators=(",", ":"))
