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
