"""Control planes with a group, a role and a bucket of their own, on one cluster, whose backups work."""

import json
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from rig.backups import Controller
from rig.kubernetes import objects
from rig.kubernetes.objects import CONTROL_PLANE_LABEL, GROUP_LABEL
from rig.kubernetes.spaces_backups import DEFINITIONS, SHARED, config, schedule, serves_backups
from rig.pods import running_pod
from rig.space import EKS_CLUSTER, Space
from rig.waiting import eventually
from tests.cli.commands import Person
from tests.e2e.scenes import whole_space

ACTIONS = ("s3:ListBucket", "s3:GetObject", "s3:PutObject", "s3:DeleteObject")


@dataclass(frozen=True)
class Plane:
    """A control plane with a group, a role and a bucket of its own."""

    space: Space
    number: int
    namespace: str

    @property
    def group(self) -> str:
        return f"team-{self.number}"

    @property
    def bucket(self) -> str:
        return f"backups-{self.number}"

    @property
    def role(self) -> str:
        return f"mxp-{self.number}"

    @property
    def iam(self) -> Any:
        return self.space.aws.admin_client("iam")

    @property
    def config_path(self) -> str:
        """Where the API has its group's configuration."""
        return f"/apis/{SHARED}/v1alpha1/namespaces/{self.group}/sharedbackupconfigs/backups"

    def back_up(self) -> None:
        """Write and read a backup as its controller does."""
        controller = Controller(self.space.cluster, self.space.aws, self.namespace, self.group, "orders")
        controller.write(self.space.role_arn(self.role), "a backup")

    def allow(self, *actions: str, prefix: str = "") -> None:
        """Have the role allow these actions, and no others."""
        arn = f"arn:aws:s3:::{self.bucket}"
        statement = {"Effect": "Allow", "Action": list(actions), "Resource": [arn, f"{arn}/{prefix}*"]}
        self.iam.put_role_policy(RoleName=self.role, PolicyName="bucket", PolicyDocument=policy(statement))

    def configure(self, **storage: Any) -> None:
        """Change fields of the object storage of its group."""
        self.space.cluster.api.patch(self.config_path, {"spec": {"objectStorage": storage}})

    def encrypt(self, statement: dict[str, Any]) -> None:
        """Have a key of its own encrypt the bucket's objects."""
        self.space.aws.bucket(self.bucket).key = self.space.aws.add_key(policy(statement)).arn

    def forbid(self) -> None:
        """Have the bucket's policy deny all but calls through one endpoint, beside another statement."""
        arn = f"arn:aws:s3:::{self.bucket}"
        deny = {
            "Sid": "OnlyTheVault",
            "Effect": "Deny",
            "Principal": "*",
            "Action": ["s3:ListBucket", "s3:*Object"],
            "Resource": [arn, f"{arn}/*"],
        }
        audit = {"Sid": "Audit", "Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::210987654321:root"}}
        self.space.aws.bucket(self.bucket).policy = policy(
            {**deny, "Condition": {"StringNotEquals": {"aws:SourceVpce": "vpce-1"}}},
            {**audit, "Action": "s3:GetObject", "Resource": f"{arn}/*"},
        )

    def bound_by(self, action: str) -> None:
        """Give the role a permissions boundary with nothing but that action."""
        document = policy({"Effect": "Allow", "Action": action, "Resource": "*"})
        made = self.iam.create_policy(PolicyName=f"boundary-{uuid.uuid4()}", PolicyDocument=document)
        self.iam.put_role_permissions_boundary(RoleName=self.role, PermissionsBoundary=made["Policy"]["Arn"])

    def narrow_the_endpoint(self) -> None:
        """Have a VPC endpoint of S3 that allows something else alone."""
        statement = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject"}
        self.space.aws.add_endpoint(policy({**statement, "Resource": "arn:aws:s3:::images/*"}))

    def start(self) -> None:
        """Have its pod run."""
        self.space.cluster.create([objects.deployment(self.namespace)])
        eventually(lambda: running_pod(self.space.cluster, self.namespace), "its pod runs", timeout=60)


def policy(*statements: dict[str, Any]) -> str:
    """A policy of these statements."""
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


@contextmanager
def serving_backups(count: int) -> Iterator[Space]:
    """A Space that serves the kinds of backups, and has that many roles."""
    with whole_space(roles=[f"mxp-{number}" for number in range(count)], eks_lag=0) as running:
        running.cluster.create(DEFINITIONS)
        eventually(lambda: serves_backups(running.cluster.api), "the API server serves the kinds of backups")
        yield running


def person_of(space: Space, modes: Sequence[str]) -> Person:
    """A person with a binding for each control plane, in these modes."""
    (binding,) = space.configuration()["bindings"]
    bindings = [
        {
            **binding,
            "name": f"backup-{number}",
            "mode": mode,
            "namespaces": {"selector": {"matchLabels": {"number": str(number)}}, "pattern": "mxp-*-system"},
            "roles": [space.role_arn(f"mxp-{number}")],
        }
        for number, mode in enumerate(modes)
    ]
    return Person(space, bindings=bindings, cluster={"name": EKS_CLUSTER})


def planes_of(space: Space, person: Person, count: int) -> list[Plane]:
    """So many control planes whose backups work."""
    made = [Plane(space, number, objects.host_namespace_name()) for number in range(count)]
    for plane in made:
        labels = {"number": str(plane.number), CONTROL_PLANE_LABEL: "orders", GROUP_LABEL: plane.group}
        space.cluster.create(
            [
                objects.namespace(plane.group),
                objects.namespace(plane.namespace, labels),
                objects.service_account(plane.namespace),
                config(plane.group, bucket=plane.bucket),
                schedule(plane.group, "backups", "orders"),
            ]
        )
        space.aws.add_bucket(plane.bucket)
        plane.allow(*ACTIONS)
    applied = person("apply")
    assert applied.code == 0, applied.err
    return made
