"""Putting the parts together: which part is handed which other is decided here and nowhere else."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import structlog

from webhook import VERSION
from webhook.admission.namespaces import LiveNamespaces
from webhook.admission.service import AdmissionService, Policy
from webhook.aws.caller import CallerCheck
from webhook.aws.calls import AwsCalls
from webhook.aws.trust_policies import AccountQuota, IamTrustPolicies
from webhook.cluster.api import KubernetesApi
from webhook.cluster.connection import Connection
from webhook.cluster.events import EventWriter
from webhook.cluster.leases import Leases
from webhook.config.bindings import bindings_of
from webhook.config.whereabouts import own_namespace, process_identity
from webhook.domain.bindings import label_keys, partition, service_accounts, trusted_roles
from webhook.domain.statement import OwnStatement
from webhook.domain.sweep import SweepRules
from webhook.reconcile.identities import Identities
from webhook.reconcile.leader import Leader
from webhook.reconcile.leadership import Leadership
from webhook.reconcile.mappings import Mappings
from webhook.reconcile.passes import Passes
from webhook.reconcile.sweep import Sweep
from webhook.reconcile.view import ClusterView
from webhook.serving.care import care_of_deployments
from webhook.serving.certificates import certificates_of
from webhook.serving.http import plain_application, review_application
from webhook.serving.issuer import configured_issuer
from webhook.serving.lifecycle import Lifecycle
from webhook.serving.limits import PLAIN_LIMITS, REVIEW_LIMITS
from webhook.serving.listeners import Listener
from webhook.serving.memory import give_back_freed_memory
from webhook.serving.pod_identity import pod_identity
from webhook.serving.program import Program
from webhook.serving.providers import watch_providers
from webhook.serving.startup import cluster_check, issuer_check, role_check
from webhook.telemetry import metrics
from webhook.telemetry.progress import Progress
from webhook.trust.associations import Associations
from webhook.trust.cluster_issuer import ClusterIssuer
from webhook.trust.demand import OneRoleEach
from webhook.trust.grants import Grants
from webhook.trust.leases import LeaseLock
from webhook.trust.writer import RoleWriter

if TYPE_CHECKING:
    from webhook.config.contract import Configuration
    from webhook.domain.names import RoleArn

log = structlog.get_logger(__name__)


async def assemble(configuration: Configuration) -> Program:
    """The program for a configuration, without a call to anything. Needs a running event loop.

    Raises ConfigurationError for what the configuration itself shows, ClusterError without a way to the cluster.
    """
    bindings = bindings_of(configuration.bindings, configuration.cluster.name)
    namespace = own_namespace(configuration)
    configured = configured_issuer(configuration.cluster.issuer)
    connection, progress = Connection(), Progress()
    certificates = certificates_of(
        configuration.certificates,
        connection,
        namespace,
        os.environ.get("POD_NAME") or process_identity(),
        progress,
    )
    api = KubernetesApi(connection, label_keys(bindings))
    issuer, calls = ClusterIssuer(), AwsCalls(partition=partition(bindings))
    caller = CallerCheck(calls)
    view = ClusterView(
        bindings,
        api.namespaces(),
        {name: api.service_accounts(name) for name in service_accounts(bindings)},
        clock=time.time,
        grace=configuration.reconciler.prune_grace,
        progress=progress,
    )
    installation = configuration.installation or namespace
    pods = await pod_identity(
        bindings,
        name=configuration.cluster.name,
        installation=installation,
        calls=calls,
        caller=caller,
        issuer=issuer.get,
    )

    def own_in(role: RoleArn) -> OwnStatement:
        return OwnStatement.for_role(role, issuer.get(), installation, pods.statements(role) if pods else ())

    leases, identity = Leases(connection, namespace, progress), process_identity()
    lock = LeaseLock(leases, identity)
    leadership = Leadership(leases, installation, identity, progress)
    quota = AccountQuota(calls)
    writers: dict[RoleArn, RoleWriter] = {}
    associations = (
        Associations(
            pods.api,
            pods.owner,
            view.associations,
            view.may_dissociate,
            view.was_replaced,
            view.may_add,
            leadership.leads_since,
            progress,
        )
        if pods
        else None
    )
    grants, demand = Grants(writers, associations), OneRoleEach(view, writers)
    for role in trusted_roles(bindings):
        policies = IamTrustPolicies(calls, pods.cluster if pods and pods.statements(role) else caller, quota)
        writers[role] = RoleWriter(role, own_in, policies, lock, demand, progress)
    events = EventWriter(connection)
    reconciler = configuration.reconciler
    rules = SweepRules(reconciler.prune_grace, reconciler.max_removal_fraction)
    passes = Passes(view, grants, api, events, progress)
    leader = Leader(
        Sweep(view, writers, demand, api, events, rules, associations, progress),
        Mappings(view, bindings, events),
        passes.pods,
        care_of_deployments(reconciler, passes.pods, Identities(view, grants), connection, events, progress),
        reconciler.interval,
        passes.hurry,
    )
    patience = Policy(
        trust_budget=configuration.admission.trust_budget,
        refuse_without_trust=configuration.admission.on_trust_failure == "deny",
    )
    service = AdmissionService(bindings, LiveNamespaces(view, api.namespace), grants, events, patience)
    lifecycle = Lifecycle(
        lambda: None if view.synced else "waiting for the first list of namespaces and ServiceAccounts",
        certificates.not_ready_because,
    )
    server = configuration.server
    metrics.build_info.labels(VERSION).set(1)
    checks = [issuer_check(configured, api, issuer), role_check(bindings, caller)]
    if pods:
        checks.append(cluster_check(pods.cluster, issuer))

    def close() -> None:
        calls.close()
        connection.close()

    return Program(
        lifecycle=lifecycle,
        reviews=Listener(
            review_application(service, lifecycle),
            (server.host, server.port),
            "server.port",
            REVIEW_LIMITS,
            certificates.context,
        ),
        plain=Listener(
            plain_application(lifecycle, progress),
            (server.host, server.metrics_port),
            "server.metricsPort",
            PLAIN_LIMITS,
        ),
        grants=grants,
        checks=checks,
        background={
            "watch": view.run,
            "passes": lambda: passes.run(reconciler.interval),
            "leadership": lambda: leadership.run(leader.lead),
            "providers": lambda: watch_providers(bindings, issuer, calls, progress),
            "certificates": certificates.run,
            "memory": give_back_freed_memory,
        },
        progress=progress,
        drain_time=server.drain_time,
        close=close,
    )
