"""What a person asked `setup` for, checked before anything is read."""

from __future__ import annotations

from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING

from webhook.cli.setup.prerequisites import Bound, DesiredAccount
from webhook.model.bindings import Mode
from webhook.model.errors import InvalidNameError
from webhook.model.names import RoleArn, is_cluster_name, is_namespace_name

if TYPE_CHECKING:
    from pathlib import Path

    from webhook.cli.setup.prerequisites import Bucket
    from webhook.cli.setup.release import Image
    from webhook.cli.setup.spaces import Preset
    from webhook.model.names import ClusterArn, IssuerUrl, Subject
    from webhook.model.selectors import NamePattern


@dataclass(frozen=True, slots=True)
class Files:
    """Where to write what; None: nowhere."""

    values: Path | None
    spaces_values: Path | None
    backup_config: Path | None


@dataclass(frozen=True, slots=True)
class Asked:
    """The options. `issuer` is None where the API server is asked for it."""

    bucket: Bucket
    mode: Mode
    pattern: NamePattern
    bound: tuple[tuple[Preset, tuple[str, ...]], ...]
    """The bound workloads, each with the names of its roles; the first is about backups."""
    own_role: str
    program: Subject
    release: str
    named_account: bool
    """Whether the ServiceAccount has another name than the release gives it."""
    image: Image | None
    cluster: str | None
    issuer: IssuerUrl | None
    context: str | None
    group: str
    files: Files

    @property
    def needs_cluster(self) -> bool:
        """Whether the cluster's name in EKS is needed."""
        return self.mode is Mode.POD_IDENTITY or self.cluster is not None

    def check(self) -> None:
        """Raise InvalidNameError for names that do not go together, or that AWS or Kubernetes would refuse."""
        if self.cluster is not None and not is_cluster_name(self.cluster):
            raise InvalidNameError(f"--cluster {self.cluster!r} is not the name of an EKS cluster")
        if not is_namespace_name(self.group):
            raise InvalidNameError(f"--group {self.group!r} is not the name of a group, which is a namespace")
        bound = [name for _, names in self.bound for name in names]
        for name in (*bound, self.own_role):
            try:
                is_name = arn_of("aws", "123456789012", name).is_plain
            except InvalidNameError:
                is_name = False
            if not is_name:
                raise InvalidNameError(f"{name!r} is not the name of a role; it looks like mxp-backup")
        if self.own_role.lower() in {name.lower() for name in bound}:
            raise InvalidNameError(
                f"{self.own_role} is --own-role and a workload's role at once: only the webhook may have its "
                "rights"
            )
        # IAM ignores the case of a new role's name (CreateRole, RoleName).
        if alike := next(
            (one for one in bound if any(two != one and two.lower() == one.lower() for two in bound)), None
        ):
            raise InvalidNameError(
                f"{alike!r} is given in another case too, and IAM has only one role of that name"
            )
        files = [path.resolve() for path in astuple(self.files) if path is not None]
        if len(set(files)) < len(files):
            raise InvalidNameError("--values, --spaces-values and --backup-config are to name different files")

    def desired(
        self, partition: str, account: str, issuer: IssuerUrl, cluster: ClusterArn | None
    ) -> DesiredAccount:
        """The account as it should be, in this account and for this cluster."""
        return DesiredAccount(
            bucket=self.bucket,
            bound=tuple(
                Bound(preset, tuple(arn_of(partition, account, name) for name in names))
                for preset, names in self.bound
            ),
            own_role=arn_of(partition, account, self.own_role),
            issuer=issuer,
            program=self.program,
            mode=self.mode,
            pattern=self.pattern,
            cluster=cluster,
        )


def arn_of(partition: str, account: str, name: str) -> RoleArn:
    """The ARN of a role without a path."""
    return RoleArn(f"arn:{partition}:iam::{account}:role/{name}")
