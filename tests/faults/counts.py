"""What /metrics says of failed calls, dependency by dependency."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tests.faults.dependencies import DEPENDENCIES, TOKEN_FILES

if TYPE_CHECKING:
    from rig.kubernetes.metrics import Metrics
    from tests.faults.dependencies import Cell

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


_ANY_ERROR = r"[A-Z]\w*"
"""Some answers are no answer in a way that only an error of a library has a name for."""

_PAGES = {f"html-{status}": f"HTTP_{status}" for status in (401, 403, 407, 429, 500, 503)}
_CODES_OF_AWS = {
    "silence": "ReadTimeoutError|TimeoutError",
    "slow-drip": "ReadTimeoutError|TimeoutError",
    "refused": "EndpointConnectionError",
    "tls-failure": "SSLError",
    "token-missing": "FileNotFoundError",
    **_PAGES,
}
_CODES_OF_KUBERNETES = {
    "silence": "DeadlineError",
    "slow-drip": "DeadlineError",
    "refused": "NewConnectionError",
    "tls-failure": "SSLError",
    "token-missing": "FileNotFoundError",
    "10-mb": "TooLargeError",
    "many-pieces": "ValidationError",
    "one-piece": "ValidationError",
    **_PAGES,
}
_FAILED = "watch_failures"
_CODES_OF_WATCHES = {
    "empty": _FAILED,  # a watch may end, but not at once, time after time
    "10-mb": "ClusterError",  # nothing of it is a change
    **_PAGES,
}


def code_of(cell: Cell) -> str:
    """A pattern of the code that /metrics is to have, whole."""
    if cell.dependency == "credentials-from-agent" and cell.misbehaviour not in TOKEN_FILES:
        return _ANY_ERROR  # the SDK calls by one name whatever became of the agent
    if cell.is_noticed_late:
        return _ANY_ERROR  # of the watch that was cut, where there was one
    return _codes(cell.dependency).get(cell.misbehaviour, _ANY_ERROR)


def _codes(dependency: str) -> dict[str, str]:
    if dependency == "api-watches":
        return _CODES_OF_WATCHES
    return _CODES_OF_KUBERNETES if DEPENDENCIES[dependency].is_kubernetes else _CODES_OF_AWS


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
    found = metrics.find("mxp_identity_kubernetes_request_failures_total")
    failed = metrics.total("mxp_identity_watch_failures_total")
    return {_FAILED: failed, **{sample.labels["code"]: sample.value for sample in found}}


def matching(cell: Cell, before: dict[str, float], now: dict[str, float]) -> dict[str, float]:
    """Failures with the cell's code that there are now and were not before."""
    return {
        name: count - before.get(name, 0)
        for name, count in now.items()
        if count > before.get(name, 0) and re.fullmatch(code_of(cell), name.rpartition(" ")[2])
    }
