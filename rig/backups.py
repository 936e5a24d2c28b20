"""What a control plane's mxp-controller does with its bucket: as its SharedBackupConfig says, as its pod may.

Without a retry and without following S3 to another region, as Spaces' own client works (thanos-io/objstore).
"""

from dataclasses import dataclass
from typing import Any

from rig.aws.identity import assume
from rig.aws.standin import AwsStandIn
from rig.kubernetes.cluster import Cluster
from rig.kubernetes.objects import SERVICE_ACCOUNT
from rig.kubernetes.spaces_backups import SHARED

AUDIENCE = "sts.amazonaws.com"


class BackupError(Exception):
    """There is no way to a bucket; the message says why."""


def write(s3: Any, bucket: str, key: str, text: str) -> str:
    """List what is there, write a backup, read it and remove an older one; answers what was read.

    Raises botocore's ClientError for what S3 refuses.
    """
    s3.list_objects_v2(Bucket=bucket, Prefix=key.rpartition("/")[0])
    s3.put_object(Bucket=bucket, Key=key, Body=text.encode())
    found = read(s3, bucket, key)
    s3.delete_object(Bucket=bucket, Key=f"{key}-before")
    return found


def read(s3: Any, bucket: str, key: str) -> str:
    """Read a backup. Raises as `write` does."""
    text: bytes = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    return text.decode()


@dataclass(frozen=True)
class Controller:
    """The controller of one control plane, in its host namespace."""

    cluster: Cluster
    aws: AwsStandIn
    namespace: str
    group: str
    name: str

    def write(self, role: str, text: str) -> str:
        """Write a backup; answers what can be read of it. Raises BackupError, and as `write` does."""
        storage = self._storage()
        return write(self._s3(role, storage), storage["bucket"], self._key(storage), text)

    def read(self, role: str) -> str:
        """Read the backup, as a restore does. Raises as `write` does."""
        storage = self._storage()
        return read(self._s3(role, storage), storage["bucket"], self._key(storage))

    def _key(self, storage: dict[str, Any]) -> str:
        return "/".join([*filter(None, [storage.get("prefix", "")]), self.group, self.name, "backup"])

    def _storage(self) -> dict[str, Any]:
        path = f"/apis/{SHARED}/v1alpha1/namespaces/{self.group}/sharedbackupconfigs"
        configs = self.cluster.api.get(path)["items"]
        if not configs:
            raise BackupError(f"group {self.group} has no SharedBackupConfig")
        storage: dict[str, Any] = configs[0]["spec"]["objectStorage"]
        if storage["credentials"]["source"] != "InjectedIdentity":
            raise BackupError("the Secret with the credentials has none")
        return storage

    def _s3(self, role: str, storage: dict[str, Any]) -> Any:
        token = self.cluster.token(self.namespace, SERVICE_ACCOUNT, audience=AUDIENCE)
        assumed = assume(self.aws, role, token, SERVICE_ACCOUNT)
        if assumed.credentials is None:
            raise BackupError(f"STS refuses its token: {assumed.code}: {assumed.message}")
        return self.aws.client("s3", assumed.credentials, region=storage["config"]["region"])
