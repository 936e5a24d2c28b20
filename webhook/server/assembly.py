"""Putting the parts together: which part is handed which other is decided here and nowhere else."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

from webhook.admission.namespaces import LiveNamespaces
from webhook.admission.service import AdmissionRules, AdmissionService
from webhook.aws.trust_policies import AccountQuota, IamTrustPolicies
from webhook.config.runtime_environment import process_identity
from webhook.controller.binding_conflicts import BindingConflicts
from webhook.controller.desired_state import DesiredState
from webhook.controller.leader_election import Leader, LeaderElection
from webhook.controller.pruner import Pruner
from webhook.controller.reconciler import Reconciler
from webhook.controller.remediation.pod_gate import PodGate
from webhook.controller.remediation.restarts import Restarts
from webhook.controller.remediation.rollout_retry import RolloutRetry
from webhook.controller.remediation.rollouts import RolloutLimits
from webhook.coordination.lock import LeaseLock
from webhook.engine.build import build_engine
from webhook.iam.statement import OwnStatement
from webhook.kube.api import GateAccount
from webhook.kube.deployments import DeploymentApi
from webhook.kube.events import EventWriter
from webhook.kube.leases import Leases
from webhook.model.bindings import trusted_roles
from webhook.model.removal import PruneRules
from webhook.podidentity.associations import Associations
from webhook.server.parts import parts_of

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any

    from webhook.config.contract import Configuration
    from webhook.controller.remediation.pods import PodsWithoutIdentity
    from webhook.engine.grants import Grants
    from webhook.model.names import RoleArn
    from webhook.server.parts import Parts
    from webhook.server.program import Program
    from webhook.telemetry.events import Events

    Loops = dict[str, Callable[[], Coroutine[Any, Any, None]]]


async def assemble(configuration: Configuration) -> Program:
    """The program for a configuration, without a call to anything. Needs a running event loop.

    Raises ConfigurationError for what the configuration itself shows, ClusterError without a way to the cluster.
    """
    parts = await parts_of(configuration)
    bindings, namespace, installation = parts.bindings, parts.namespace, parts.installation
    connection, api, calls, caller = parts.connection, parts.api, parts.calls, parts.caller
    issuer, pods, cache, progress = parts.issuer, parts.pods, parts.cache, parts.progress

    def own_in(role: RoleArn) -> OwnStatement:
        return OwnStatement.for_role(role, issuer.get(), installation, pods.statements(role) if pods else ())

    leases, identity = Leases(connection, namespace, progress), process_identity()
    leadership = LeaderElection(leases, installation, identity, progress)
    quota = AccountQuota(calls)
    desired, writers, associations, grants = build_engine(
        trusted_roles(bindings),
        own_in,
        lambda role: IamTrustPolicies(calls, pods.cluster if pods and pods.statements(role) else caller, quota),
        LeaseLock(leases, identity),
        partial(DesiredState, cache),
        partial(Associations, pods.api, pods.owner, leads_since=leadership.leads_since, progress=progress)
        if pods
        else None,
        progress,
    )
    events = EventWriter(connection)
    section = configuration.reconciler
    rules = PruneRules(section.prune_grace, section.max_removal_fraction)
    reconciler = Reconciler(cache, grants, api, events, progress)
    pruner = Pruner(cache, writers, desired, api, events, rules, associations, progress, reconciler.hurry)
    leader = Leader(
        pruner,
        BindingConflicts(cache, bindings, events),
        reconciler.pods,
        _remediation(parts, reconciler.pods, grants, events),
        section.interval,
        reconciler.hurry,
    )
    admission_rules = AdmissionRules(
        trust_budget=configuration.admission.trust_budget,
        refuse_without_trust=configuration.admission.on_trust_failure == "deny",
    )
    service = AdmissionService(bindings, LiveNamespaces(cache, api.namespace), grants, events, admission_rules)

    return parts.program(
        service,
        {
            "reconciler": lambda: reconciler.run(section.interval),
            "unused": lambda: pruner.unused.run(section.interval),
            "leadership": lambda: leadership.run(leader.lead),
        },
        grants.close,
    )


def _remediation(parts: Parts, pods: PodsWithoutIdentity, grants: Grants, events: Events) -> Loops:
    """What the leader does about pods without identity: each loop where the configuration asks for it."""
    section, gate = parts.configuration.reconciler, parts.configuration.pod_gate
    cache, progress, deployments = parts.cache, parts.progress, DeploymentApi(parts.connection)
    loops: Loops = {}
    if section.nudge_refused_pods:
        loops["rollout_retry"] = RolloutRetry(cache, grants, deployments, events, progress).run
    if section.restart_pods_without_identity:
        limits = RolloutLimits(section.restarts_at_a_time, section.restart_timeout)
        loops["restarts"] = Restarts(pods, cache, grants, deployments, events, limits, time.time, progress).run
    if gate is not None:
        stored = GateAccount(parts.connection, parts.namespace, gate.service_account)
        loops["pod_gate"] = PodGate(cache, grants, stored, gate.marks, section.interval, progress).run
    return loops
