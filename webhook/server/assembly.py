"""Putting the parts together: which part is handed which other is decided here and nowhere else."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from webhook.admission.namespaces import LiveNamespaces
from webhook.admission.service import AdmissionRules, AdmissionService
from webhook.aws.trust_policies import AccountQuota, IamTrustPolicies
from webhook.config.runtime_environment import process_identity
from webhook.controller.binding_conflicts import BindingConflicts
from webhook.controller.desired_state import DesiredState
from webhook.controller.leader import Leader
from webhook.controller.leader_election import LeaderElection
from webhook.controller.pruner import Pruner
from webhook.controller.reconciler import Reconciler
from webhook.coordination.lock import LeaseLock
from webhook.engine.build import build_engine
from webhook.iam.statement import OwnStatement
from webhook.kube.events import EventWriter
from webhook.kube.leases import Leases
from webhook.model.bindings import trusted_roles
from webhook.model.removal import PruneRules
from webhook.podidentity.associations import Associations
from webhook.server.parts import parts_of
from webhook.server.remediation import remediation_loops

if TYPE_CHECKING:
    from webhook.config.contract import Configuration
    from webhook.model.names import RoleArn
    from webhook.server.program import Program


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
        remediation_loops(configuration, namespace, reconciler.pods, cache, grants, connection, events, progress),
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
