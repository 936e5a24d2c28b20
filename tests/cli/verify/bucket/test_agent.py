"""Mode pod-identity: the agent of each kind of node that a control plane's pods run on."""

import pytest

from webhook.cli.verify.bucket.agent import Agents, check_agent
from webhook.cli.verify.findings import ControlPlane, Pod
from webhook.model.names import ClusterArn, Subject

CLUSTER = ClusterArn("arn:aws:eks:us-west-2:123456789012:cluster/spaces-prod")
COMPUTE = "eks.amazonaws.com/compute-type"
NODES = {
    "ec2": {"kubernetes.io/os": "linux"},
    "auto": {COMPUTE: "auto"},
    "fargate": {COMPUTE: "fargate"},
    "hybrid": {COMPUTE: "hybrid"},
    "windows": {"kubernetes.io/os": "windows"},
}
AGENT, HYBRID = "eks-pod-identity-agent", "eks-pod-identity-agent-hybrid"
ADD = "aws eks create-addon --cluster-name spaces-prod --addon-name eks-pod-identity-agent"


def _plane(*nodes: str) -> ControlPlane:
    pods = tuple(Pod(f"pod-{node}", "Running", None, {}, (), is_replaced=True, node=node) for node in nodes)
    return ControlPlane(Subject("mxp-1-system", "mxp-controller"), {}, pods)


CASES: dict[str, tuple[tuple[str, ...], frozenset[str], list[tuple[str, str, str | None]]]] = {
    "there": (("ec2",), frozenset({AGENT}), [("ok", "is there", None)]),
    "missing": (("ec2",), frozenset(), [("broken", f"has no DaemonSet {AGENT}, so that pods of ec2 get", ADD)]),
    "missing, and no pod": ((), frozenset(), [("broken", f"has no DaemonSet {AGENT}, so that pods get", ADD)]),
    "Auto Mode": (("auto",), frozenset(), [("ok", "Auto Mode has the agent built in of auto", None)]),
    "Fargate": (("fargate",), frozenset({AGENT}), [("broken", "Fargate of fargate has no agent", None)]),
    "Windows": (("windows",), frozenset({AGENT}), [("broken", "Windows of windows has no agent", None)]),
    "hybrid": (("hybrid",), frozenset({HYBRID}), [("ok", "is there", None)]),
    "hybrid without": (("hybrid",), frozenset({AGENT}), [("broken", "daemonsets.hybrid.create=true", None)]),
    "several kinds": (
        ("ec2", "auto", "hybrid"),
        frozenset({HYBRID}),
        [("broken", "so that pods of ec2 get", ADD), ("ok", "Auto Mode", None), ("ok", HYBRID, None)],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_the_agent_of_each_kind_of_node_is_looked_for(name: str) -> None:
    nodes, sets, expected = CASES[name]
    found = list(check_agent(_plane(*nodes), Agents(sets, NODES), CLUSTER))
    assert [(one.level.value, one.fix) for one in found] == [(level, fix) for level, _, fix in expected]
    for one, (_, words, _) in zip(found, expected, strict=True):
        assert words in one.message


@pytest.mark.parametrize("agents", [Agents(None, NODES, "403"), Agents(frozenset({AGENT}), None, "403")])
def test_without_a_right_it_is_not_called_missing_nor_there(agents: Agents) -> None:
    (found,) = check_agent(_plane("ec2"), agents, CLUSTER)
    assert (found.level.value, found.message) == ("unknown", "could not be looked for: 403")
