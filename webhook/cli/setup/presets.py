"""Workloads of Spaces that use AWS: backups, and those that have a workload identity guide of Upbound's.

Names of ServiceAccounts, Deployments and Helm values are those of these guides (billing, shared secrets, Space
Backups).
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from webhook.model.control_planes import NAME_LABEL

if TYPE_CHECKING:
    from webhook.model.names import RoleArn

CONTROL_PLANES: dict[str, Any] = {"selector": {"matchExpressions": [{"key": NAME_LABEL, "operator": "Exists"}]}}
"""A binding's namespaces: the host namespace of every control plane."""


@dataclass(frozen=True, slots=True)
class Preset:
    """One workload. `annotations_at` is where the Spaces chart takes annotations of its ServiceAccount."""

    name: str
    service_account: str
    namespaces: dict[str, Any]
    annotations_at: tuple[str, ...]
    deployments: tuple[str, ...] = ()
    """Where their names are not the ServiceAccount's."""

    def binding(self, *roles: RoleArn) -> dict[str, Any]:
        """The chart's binding that gives it these roles."""
        return {
            "name": self.name,
            "serviceAccount": self.service_account,
            "namespaces": deepcopy(self.namespaces),
            "mode": "irsa",
            "roles": [role.value for role in roles],
            **({"deployments": list(self.deployments)} if self.deployments else {}),
        }


BACKUP = Preset(
    "backup", "mxp-controller", CONTROL_PLANES, ("controlPlanes", "mxpController", "serviceAccount", "annotations")
)

PRESETS = {
    preset.name: preset
    for preset in (
        Preset(
            "billing", "vector", CONTROL_PLANES, ("controlPlanes", "vector", "serviceAccount", "customAnnotations")
        ),
        Preset(
            "shared-secrets",
            "external-secrets-controller",
            CONTROL_PLANES,
            ("controlPlanes", "sharedSecrets", "serviceAccount", "customAnnotations"),
            # The guide speaks of a ServiceAccount by the first name and restarts a Deployment of the second.
            deployments=("external-secrets-controller", "external-secrets"),
        ),
        Preset(
            "space-backups",
            "spaces-controller",
            {"pattern": "upbound-system"},
            ("controller", "serviceAccount", "annotations"),
        ),
    )
}
"""By name."""
