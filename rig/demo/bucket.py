"""How the demo's story ends: an object in the bucket, written and read as the control plane's pod."""

import json

from rig.aws.callers import Credentials
from rig.backups import write
from rig.node.client import KEPT
from rig.space import Space

BUCKET = "my-backups"
TEXT = "a backup of my-control-plane"


def allow_bucket(space: Space) -> None:
    """Have the roles for backups allow what backups need in the bucket."""
    arn = f"arn:aws:s3:::{BUCKET}"
    objects = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"]
    statements = [
        {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": arn},
        {"Effect": "Allow", "Action": objects, "Resource": f"{arn}/*"},
    ]
    document = json.dumps({"Version": "2012-10-17", "Statement": statements})
    iam = space.aws.admin_client("iam")
    for role in space.roles:
        iam.put_role_policy(RoleName=role.rpartition("/")[2], PolicyName="backup-bucket", PolicyDocument=document)


def key_of(name: str) -> str:
    """Where a control plane of the group `default` has its backup."""
    return f"default/{name}/backup"


def written_by(pod_said: str, space: Space, name: str) -> tuple[str, str]:
    """What to show of the object that a pod has written and read itself: it holds the pod's ARN."""
    read = pod_said.removeprefix(f"{KEPT} ")
    if space.aws.bucket(BUCKET).objects.get(key_of(name)) != read.encode():
        raise RuntimeError(f"the pod read {read!r}, which is not in the bucket")
    return "boto3 in the pod writes an object to the bucket, and reads it again", f"s3://{BUCKET}/{key_of(name)}"


def backed_up(space: Space, credentials: Credentials | None, name: str) -> tuple[str, str]:
    """Write and read an object with the credentials of a simulated pod; answers what to show of it."""
    if credentials is None:
        raise RuntimeError("the pod has no credentials")
    key = key_of(name)
    read = write(space.aws.client("s3", credentials), BUCKET, key, TEXT)
    if read != TEXT or space.aws.bucket(BUCKET).objects[key] != TEXT.encode():
        raise RuntimeError(f"s3://{BUCKET}/{key} holds {read!r}")
    return "With these credentials an object is written to the bucket, and read again", f"s3://{BUCKET}/{key}"
