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

    from webhook.config.contract import PodGateSection, ReconcilerSection
    from webhook.controller.remediation.identities import Identities
    from webhook.controller.remediation.pods import PodsWithoutIdentity
    from webhook.engine.grants import Grants
    from webhook.kube.connection import Connection
    from webhook.telemetry.events import Events
    from webhook.telemetry.progress import Progress

    Loops = dict[str, Callable[[], Coroutine[Any, Any, None]]]


def deployment_remediation(  # noqa: PLR0913, PLR0917  the parts of a program that they work with
    section: ReconcilerSection,
    pods: PodsWithoutIdentity,
    identities: Identities,
    connection: Connection,
    events: Events,
    progress: Progress,
) -> Loops:
    """Retries and restarts, each where the configuration asks for it: to be run while this replica leads."""
    deployments = DeploymentApi(connection)
    loops: Loops = {}
    if section.retry_refused_pods:
        loops["rollout_retry"] = RolloutRetry(identities, deployments, events, progress).run
    if section.restart_pods_without_identity:
        limits = RolloutLimits(section.restarts_at_a_time, section.restart_timeout)
        loops["restarts"] = Restarts(pods, identities, deployments, events, limits, time.time, progress).run
    return loops


def gate_remediation(  # noqa: PLR0913, PLR0917  the parts of a program that it works with
    section: PodGateSection | None,
    namespace: str,
    identities: Identities,
    grants: Grants,
    connection: Connection,
    interval: float,
    progress: Progress,
) -> Loops:
    """Marks for the pod gate, where the configuration names one: to be kept while this replica leads."""
    if section is None:
        return {}
    stored = GateAccount(connection, namespace, section.service_account)
    return {"pod_gate": PodGate(identities, grants, stored, section.marks, interval, progress).run}
