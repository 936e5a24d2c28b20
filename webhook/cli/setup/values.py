"""Values of two charts: the webhook's, and of Spaces those that go with it."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any

from webhook.cli.setup.presets import CONTROL_PLANES
from webhook.model.names import ROLE_ARN_ANNOTATION

if TYPE_CHECKING:
    from webhook.cli.setup.documents import DesiredAccount
    from webhook.model.names import RoleArn


def chart_values(desired: DesiredAccount) -> dict[str, Any]:
    """The webhook's chart with its first binding, every control plane backs up, and those of other workloads."""
    backup = {
        "name": "backup",
        "serviceAccount": "mxp-controller",
        "namespaces": deepcopy(CONTROL_PLANES),
        "mode": "irsa",
        "roles": [role.value for role in desired.roles],
    }
    bindings = [backup, *(workload.binding() for workload in desired.workloads)]
    return {"bindings": bindings, "serviceAccount": {"roleArn": desired.own_role.value}}


def spaces_values(desired: DesiredAccount) -> dict[str, Any]:
    """The Spaces chart with the bucket, as the published guides set it.

    With one role Spaces may annotate every ServiceAccount with it too; with several, only the webhook knows which.
    """
    storage = {"provider": "aws", "aws": {"region": desired.bucket.region, "bucket": desired.bucket.name}}
    values: dict[str, Any] = {"backup": {"enabled": True, "storage": storage}}
    if len(desired.roles) == 1:
        _annotate(values, ("controlPlanes", "mxpController", "serviceAccount", "annotations"), desired.roles[0])
    for workload in desired.workloads:
        _annotate(values, workload.preset.annotations_at, workload.role)
    return values


def _annotate(values: dict[str, Any], place: tuple[str, ...], role: RoleArn) -> None:
    for key in place:
        values = values.setdefault(key, {})
    values[ROLE_ARN_ANNOTATION] = role.value
