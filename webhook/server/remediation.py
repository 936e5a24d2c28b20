"""What is done about pods without identity: by the leader, where it is asked for."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from webhook.controller.remediation.pod_gate import PodGate
from webhook.controller.remediation.restarts import Restarts
from webhook.controller.remediation.rollout_retry import RolloutRetry
from webhook.controller.remediation.rollouts import RolloutLimits
from webhook.kube.deployments import DeploymentApi
from webhook.kube.gate_marks import GateAccount

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any

    from webhook.config.contract import Configuration
    from webhook.controller.cluster_cache import ClusterCache
    from webhook.controller.remediation.pods import PodsWithoutIdentity
    from webhook.engine.grants import Grants
    from webhook.kube.connection import Connection
    from webhook.telemetry.events import Events
    from webhook.telemetry.progress import Progress

    Loops = dict[str, Callable[[], Coroutine[Any, Any, None]]]


def remediation_loops(  # noqa: PLR0913, PLR0917  the parts of a program that they work with
    configuration: Configuration,
    namespace: str,
    pods: PodsWithoutIdentity,
    cache: ClusterCache,
    grants: Grants,
    connection: Connection,
    events: Events,
    progress: Progress,
) -> Loops:
    """Retries, restarts, and the pod gate's marks, each where the configuration asks for it."""
    section, gate = configuration.reconciler, configuration.pod_gate
    deployments = DeploymentApi(connection)
    loops: Loops = {}
    if section.nudge_refused_pods:
        loops["rollout_retry"] = RolloutRetry(cache, grants, deployments, events, progress).run
    if section.restart_pods_without_identity:
        limits = RolloutLimits(section.restarts_at_a_time, section.restart_timeout)
        loops["restarts"] = Restarts(pods, cache, grants, deployments, events, limits, time.time, progress).run
    if gate is not None:
        stored = GateAccount(connection, namespace, gate.service_account)
        loops["pod_gate"] = PodGate(cache, grants, stored, gate.marks, section.interval, progress).run
    return loops
