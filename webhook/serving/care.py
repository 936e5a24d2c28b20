"""What is done for Deployments whose pods were refused or came too early: by the leader, where it is asked for."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from webhook.cluster.deployments import DeploymentApi
from webhook.reconcile.nudges import Nudges
from webhook.reconcile.restarts import Pace, Restarts

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any

    from webhook.cluster.connection import Connection
    from webhook.config.contract import ReconcilerSection
    from webhook.reconcile.identities import Identities
    from webhook.reconcile.pods import PodsWithoutIdentity
    from webhook.telemetry.events import Events


def care_of_deployments(
    section: ReconcilerSection,
    pods: PodsWithoutIdentity,
    identities: Identities,
    connection: Connection,
    events: Events,
) -> list[Callable[[], Coroutine[Any, Any, None]]]:
    """Nudges and restarts, each where the configuration asks for it: to be run while this replica leads."""
    deployments = DeploymentApi(connection)
    loops: list[Callable[[], Coroutine[Any, Any, None]]] = []
    if section.nudge_refused_pods:
        loops.append(Nudges(identities, deployments, events).run)
    if section.restart_pods_without_identity:
        pace = Pace(section.restarts_at_a_time, section.restart_timeout)
        loops.append(Restarts(pods, identities, deployments, events, pace, time.time).run)
    return loops
