"""Mode pod-identity: whether the nodes of a control plane's pods have the agent that gives them credentials.

Sources: EKS user guide (Pod Identity considerations, Auto Mode, "Configure add-ons for hybrid nodes") and the
agent's chart, whose DaemonSets are `cloud` without a suffix, and `hybrid`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from webhook.cli.account_calls import AGENT, create_agent
from webhook.cli.verify.findings import Check, Finding, broken, ok, unknown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from webhook.cli.verify.findings import ControlPlane
    from webhook.model.names import ClusterArn

_COMPUTE, _OS = "eks.amazonaws.com/compute-type", "kubernetes.io/os"
_AUTO, _FARGATE, _HYBRID = "auto", "fargate", "hybrid"
_HYBRID_AGENT = f"{AGENT}-hybrid"


@dataclass(frozen=True, slots=True)
class Agents:
    """The agent's DaemonSets, and the labels of each node; None where they could not be listed."""

    daemon_sets: frozenset[str] | None
    nodes: Mapping[str, Mapping[str, str]] | None
    unread: str = ""


def check_agent(plane: ControlPlane, agents: Agents, cluster: ClusterArn) -> Iterator[Finding]:
    """A finding for each kind of node that its pods run on; where none runs, for the agent of EC2 nodes."""
    nodes = sorted({pod.node for pod in plane.pods or () if pod.node})
    if agents.daemon_sets is None or (agents.nodes is None and nodes):
        yield unknown(Check.AGENT, f"could not be looked for: {agents.unread}")
        return
    labels = [(agents.nodes or {}).get(node, {}) for node in nodes]
    kinds = {_kind(one) for one in labels} or {""}
    for kind in sorted(kinds):
        yield _judged(
            kind,
            [node for node, one in zip(nodes, labels, strict=True) if _kind(one) == kind],
            agents.daemon_sets,
            cluster,
        )


def _kind(labels: Mapping[str, str]) -> str:
    return "windows" if labels.get(_OS) == "windows" else labels.get(_COMPUTE, "")


def _judged(kind: str, nodes: list[str], daemon_sets: frozenset[str], cluster: ClusterArn) -> Finding:
    where = f" of {', '.join(nodes)}" if nodes else ""
    if kind in {_FARGATE, "windows"}:
        place = "Fargate" if kind == _FARGATE else "Windows"
        return broken(
            Check.AGENT, f"{place}{where} has no agent: have the pods run on Linux nodes of EC2, or use irsa"
        )
    if kind == _AUTO:
        return ok(Check.AGENT, f"EKS Auto Mode has the agent built in{where}")
    if kind == _HYBRID:
        return _hybrid(where, daemon_sets)
    if AGENT in daemon_sets:
        return ok(Check.AGENT, f"DaemonSet {AGENT} is there")
    why = f"kube-system has no DaemonSet {AGENT}, so that pods{where} get no credentials"
    return broken(Check.AGENT, why, create_agent(cluster).command())


def _hybrid(where: str, daemon_sets: frozenset[str]) -> Finding:
    if _HYBRID_AGENT in daemon_sets:
        return ok(Check.AGENT, f"DaemonSet {_HYBRID_AGENT} is there")
    why = f"kube-system has no DaemonSet {_HYBRID_AGENT} for hybrid nodes{where}"
    value = "set daemonsets.hybrid.create=true in the add-on's configuration"
    return broken(Check.AGENT, f"{why}: {value}, and enableCredentialsFile in nodeadm's")
