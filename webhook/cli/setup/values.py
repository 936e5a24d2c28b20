"""Values of the webhook's chart with which its release starts."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from webhook.cli.setup.desired import DesiredAccount
    from webhook.cli.setup.release import Image


def chart_values(desired: DesiredAccount, image: Image, region: str, *, named_account: bool) -> dict[str, Any]:
    """A binding for the backups of every control plane and one for each other workload, image and identity.

    In mode pod-identity the cluster's name, its region, which EKS does not set there, and the pod gate: a pod that
    starts before its association is propagated never gets an identity.
    """
    account: dict[str, Any] = {"name": desired.program.service_account} if named_account else {}
    if not desired.associates:
        account["roleArn"] = desired.own_role.value
    bindings = [one.preset.binding(one.roles, desired.mode, desired.pattern) for one in desired.bound]
    values: dict[str, Any] = {
        "image": {key: value for key, value in asdict(image).items() if value},
        "bindings": bindings,
    }
    if account:
        values["serviceAccount"] = account
    if desired.cluster is not None:
        values["cluster"] = {"name": desired.cluster.name}
    if desired.associates:
        values |= {"aws": {"region": region}, "podGate": "deny"}
    return values
