"""What /metrics says of failed calls, dependency by dependency."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.faults.dependencies import DEPENDENCIES

if TYPE_CHECKING:
    from rig.kubernetes.metrics import Metrics

_OPERATIONS = {
    "iam": {"GetRole", "UpdateAssumeRolePolicy", "GetAccountSummary", "GetOpenIDConnectProvider"},
    "sts": {"GetCallerIdentity"},
    "eks": {
        "DescribeCluster",
        "ListPodIdentityAssociations",
        "DescribePodIdentityAssociation",
        "CreatePodIdentityAssociation",
        "UpdatePodIdentityAssociation",
    },
}
_ANY = _OPERATIONS["iam"] | _OPERATIONS["sts"]


def failures(dependency: str, metrics: Metrics) -> dict[str, float]:
    """How many calls of a dependency failed so far, by code."""
    if DEPENDENCIES[dependency].is_kubernetes:
        return _of_kubernetes(metrics)
    operations = _OPERATIONS.get(dependency, _ANY)
    counts: dict[str, float] = {}
    for sample in metrics.find("mxp_identity_aws_request_duration_seconds_count"):
        if sample.labels["operation"] in operations and sample.labels["code"] != "OK":
            key = f"{sample.labels['operation']} {sample.labels['code']}"
            counts[key] = counts.get(key, 0) + sample.value
    return counts


def _of_kubernetes(metrics: Metrics) -> dict[str, float]:
    counts: dict[str, float] = {}
    for sample in metrics.samples:
        if sample.name == "mxp_identity_watch_failures_total" or "kubernetes_request" in sample.name:
            key = " ".join(["watch" if "watch" in sample.name else "request", *sample.labels.values()])
            counts[key] = counts.get(key, 0) + sample.value
    return counts


def more(before: dict[str, float], now: dict[str, float]) -> dict[str, float]:
    """What there is now and was not before."""
    return {code: count - before.get(code, 0) for code, count in now.items() if count > before.get(code, 0)}
