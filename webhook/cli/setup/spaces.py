"""Workloads of Spaces that use AWS, and what Spaces has to know of their roles and their bucket.

Names of ServiceAccounts, Deployments and Helm values are those of Upbound's workload identity guides (billing,
shared secrets, Space Backups) and of the Spaces chart 1.17; SharedBackupConfig is that of the CRDs v1.13 to v1.17.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from webhook.model.control_planes import NAME_LABEL
from webhook.model.errors import InvalidNameError
from webhook.model.names import ROLE_ARN_ANNOTATION, is_service_account_name
from webhook.model.selectors import NamePattern

if TYPE_CHECKING:
    from collections.abc import Iterable

    from webhook.cli.setup.prerequisites import DesiredAccount
    from webhook.model.bindings import Mode
    from webhook.model.names import RoleArn

SPACES_NAMESPACE = "upbound-system"


@dataclass(frozen=True, slots=True)
class Preset:
    """One workload. `annotations_at` is where the Spaces chart takes annotations of its ServiceAccount."""

    name: str
    service_account: str
    annotations_at: tuple[str, ...]
    namespace: str | None = None
    """Where it runs; None: in the host namespace of every control plane."""
    deployments: tuple[str, ...] = ()
    """Where their names are not the ServiceAccount's."""

    def pattern(self, control_planes: NamePattern) -> NamePattern:
        """The pattern of its namespaces, where that of control planes' host namespaces is given."""
        return control_planes if self.namespace is None else NamePattern(self.namespace)

    def binding(self, roles: Iterable[RoleArn], mode: Mode, control_planes: NamePattern) -> dict[str, Any]:
        """The chart's binding that gives it these roles."""
        expression = {"key": NAME_LABEL, "operator": "Exists"}
        selector = {} if self.namespace else {"selector": {"matchExpressions": [expression]}}
        return {
            "name": self.name,
            "serviceAccount": self.service_account,
            "namespaces": {**selector, "pattern": self.pattern(control_planes).value},
            "mode": mode.value,
            "roles": [role.value for role in roles],
            **({"deployments": list(self.deployments)} if self.deployments else {}),
        }


BACKUP = Preset("backup", "mxp-controller", ("controlPlanes", "mxpController", "serviceAccount", "annotations"))
BILLING = Preset("billing", "vector", ("controlPlanes", "vector", "serviceAccount", "customAnnotations"))
SHARED_SECRETS = Preset(
    "shared-secrets",
    "external-secrets-controller",
    ("controlPlanes", "sharedSecrets", "serviceAccount", "customAnnotations"),
    # The guide speaks of a ServiceAccount by the first name and restarts a Deployment of the second.
    deployments=("external-secrets-controller", "external-secrets"),
)
SPACE_BACKUPS = "space-backups"


def presets(spaces_release: str) -> dict[str, Preset]:
    """The workloads beside backups, by name; the Space's own ServiceAccount is named for the release of Spaces.

    Raises InvalidNameError for a name that Helm does not allow.
    """
    if not is_service_account_name(spaces_release):
        raise InvalidNameError(f"--spaces-release {spaces_release!r} is not the name of a Helm release")
    own = Preset(
        SPACE_BACKUPS,
        f"{spaces_release}-controller",
        ("controller", "serviceAccount", "annotations"),
        namespace=SPACES_NAMESPACE,
    )
    return {preset.name: preset for preset in (BILLING, SHARED_SECRETS, own)}


def spaces_values(desired: DesiredAccount) -> dict[str, Any]:
    """The Spaces chart with the workloads, as it takes them; where backups go is no value of it.

    A workload with one role is annotated by Spaces too. With several roles only the webhook knows which, and in
    mode pod-identity a role in an annotation would be used until the association is propagated.
    """
    values: dict[str, Any] = {}
    for one in desired.bound:
        if one.preset == BILLING:
            # Without `enabled` there is no Vector; with a Secret, its default, Vector uses that and not the role.
            storage = {"provider": "aws", "secretRef": {"name": ""}}
            values["billing"] = {"enabled": True, "storage": storage}
        if len(one.roles) == 1 and not desired.associates:
            _annotate(values, one.preset, one.roles[0])
    return values


def _annotate(values: dict[str, Any], preset: Preset, role: RoleArn) -> None:
    for key in preset.annotations_at:
        values = values.setdefault(key, {})
    values[ROLE_ARN_ANNOTATION] = role.value


def where_s3_is(region: str, partition: str) -> dict[str, str]:
    """What Thanos' object store has to know of a region (thanos-io/objstore, providers/s3)."""
    domain = "amazonaws.com.cn" if partition == "aws-cn" else "amazonaws.com"
    return {"endpoint": f"s3.{region}.{domain}", "region": region}


def backup_config(bucket: str, config: dict[str, str], group: str, prefix: str = "") -> dict[str, Any]:
    """A SharedBackupConfig for the control planes of a group, with the identity that their pods have.

    `config` is what Thanos' object store has to know.
    """
    storage = {
        "provider": "AWS",
        "bucket": bucket,
        **({"prefix": prefix} if prefix else {}),
        "config": config,
        "credentials": {"source": "InjectedIdentity"},
    }
    return {
        "apiVersion": "spaces.upbound.io/v1alpha1",
        "kind": "SharedBackupConfig",
        "metadata": {"name": bucket, "namespace": group},
        "spec": {"objectStorage": storage},
    }
