"""What Spaces has to know: values of its chart 1.17, and a SharedBackupConfig (CRDs v1.13 to v1.17)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from webhook.cli.setup.presets import BILLING
from webhook.model.names import ROLE_ARN_ANNOTATION

if TYPE_CHECKING:
    from webhook.cli.setup.desired import DesiredAccount
    from webhook.cli.setup.presets import Preset
    from webhook.model.names import RoleArn


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


def backup_config(desired: DesiredAccount, group: str) -> dict[str, Any]:
    """A SharedBackupConfig for the control planes of a group, with the identity that their pods have.

    `endpoint` and `region` are what Thanos' object store asks for (thanos-io/objstore, providers/s3).
    """
    bucket = desired.bucket
    domain = "amazonaws.com.cn" if desired.own_role.partition == "aws-cn" else "amazonaws.com"
    storage = {
        "provider": "AWS",
        "bucket": bucket.name,
        **({"prefix": bucket.prefix} if bucket.prefix else {}),
        "config": {"endpoint": f"s3.{bucket.region}.{domain}", "region": bucket.region},
        "credentials": {"source": "InjectedIdentity"},
    }
    return {
        "apiVersion": "spaces.upbound.io/v1alpha1",
        "kind": "SharedBackupConfig",
        "metadata": {"name": bucket.name, "namespace": group},
        "spec": {"objectStorage": storage},
    }
