"""What plays the controller of a control plane on a real node: unmodified boto3 that asks who it is."""

from typing import Any

from rig.kubernetes import objects
from rig.kubernetes.objects import Object
from rig.node.images import Image
from rig.node.node import Node
from rig.space import Space

GOT, KEPT, FAILED = "got", "kept", "failed"
PAUSE_S = 6
SCRIPT = f"""
import os
import time
import boto3

backup = os.environ.get("BACKUP")
while True:
    try:
        session = boto3.session.Session()
        print("{GOT}", session.client("sts").get_caller_identity()["Arn"], flush=True)
        if backup:
            bucket, _, key = backup.partition("/")
            s3 = session.client("s3")
            s3.put_object(Bucket=bucket, Key=key, Body=session.client("sts").get_caller_identity()["Arn"].encode())
            print("{KEPT}", s3.get_object(Bucket=bucket, Key=key)["Body"].read().decode(), flush=True)
            backup = None
    except Exception as error:
        print("{FAILED}", repr(error), flush=True)
    time.sleep({PAUSE_S})
"""


def aws_variables(space: Space) -> list[dict[str, str]]:
    """Return the variables by which SDKs in pods find the stand-in; with the real AWS there are none."""
    port = space.aws.url.rpartition(":")[2]
    return [
        {"name": "AWS_ENDPOINT_URL", "value": f"http://{space.cluster.place.machine}:{port}"},
        {"name": "AWS_EC2_METADATA_DISABLED", "value": "true"},
    ]


def control_plane(
    space: Space, image: Image, name: str, host: str | None = None, backup: str = ""
) -> list[Object]:
    """Return what Spaces makes for a control plane, with a controller that asks who it is and prints the answer.

    `host` is its host namespace, where it is not of the usual form. With `backup`, a bucket and a key in it, it
    also writes an object once, and prints what it reads there.

    It asks with fresh credentials every few seconds and never tries twice, so its first line says whether it had
    an identity when it started.
    """
    made = objects.control_plane(name, host)
    made[-1]["spec"]["template"]["spec"] |= {"containers": [_container(space, image, backup)], **_SECURITY}
    return made


def first_line(node: Node, pod: dict[str, Any]) -> str | None:
    """Return the first line that a controller has printed, or None so far."""
    lines = node.logs(pod["metadata"]["namespace"], pod["metadata"]["name"]).splitlines()
    return lines[0] if lines else None


_SECURITY: dict[str, Any] = {
    "securityContext": {"runAsNonRoot": True, "runAsUser": 65532, "runAsGroup": 65532, "fsGroup": 65532},
    "terminationGracePeriodSeconds": 0,
}


def line_of(node: Node, pod: dict[str, Any], word: str) -> str | None:
    """Return the first line that begins with a word, or None so far."""
    lines = node.logs(pod["metadata"]["namespace"], pod["metadata"]["name"]).splitlines()
    return next((line for line in lines if line.startswith(word)), None)


def _container(space: Space, image: Image, backup: str) -> dict[str, Any]:
    return {
        "name": "controller",
        "image": image.name,
        "imagePullPolicy": "Never",
        "command": ["python", "-c", SCRIPT],
        "env": [
            *aws_variables(space),
            {"name": "AWS_MAX_ATTEMPTS", "value": "1"},
            *([{"name": "BACKUP", "value": backup}] if backup else []),
        ],
    }
