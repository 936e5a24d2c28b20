"""Values of two charts: the webhook's, and of Spaces those that go with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from webhook.domain.names import ROLE_ARN_ANNOTATION

if TYPE_CHECKING:
    from webhook.blueprint.documents import Wish

CONTROL_PLANE_LABEL = "internal.spaces.upbound.io/controlplane-name"
"""The label of a control plane's host namespace."""


def chart_values(wish: Wish) -> dict[str, Any]:
    """The webhook's chart with its first binding: every control plane backs up."""
    expression = {"key": CONTROL_PLANE_LABEL, "operator": "Exists"}
    binding = {
        "name": "backup",
        "serviceAccount": "mxp-controller",
        "namespaces": {"selector": {"matchExpressions": [expression]}},
        "mode": "irsa",
        "roles": [role.value for role in wish.roles],
    }
    return {"bindings": [binding], "serviceAccount": {"roleArn": wish.own_role.value}}


def spaces_values(wish: Wish) -> dict[str, Any]:
    """The Spaces chart with the bucket, as the published guide sets it.

    With one role Spaces may annotate every ServiceAccount with it too; with several, only the webhook knows which.
    """
    storage = {"provider": "aws", "aws": {"region": wish.bucket.region, "bucket": wish.bucket.name}}
    values: dict[str, Any] = {"backup": {"enabled": True, "storage": storage}}
    if len(wish.roles) == 1:
        annotations = {ROLE_ARN_ANNOTATION: wish.roles[0].value}
        values["controlPlanes"] = {"mxpController": {"serviceAccount": {"annotations": annotations}}}
    return values
