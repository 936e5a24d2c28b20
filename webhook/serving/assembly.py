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
from webhook.serving.lifecycle import Lifecycle
from webhook.serving.limits import PLAIN_LIMITS, REVIEW_LIMITS
from webhook.serving.listeners import Listener
from webhook.serving.pod_identity import pod_identity
from webhook.serving.program import Program
from webhook.serving.providers import watch_providers
from webhook.serving.startup import check_roles, find_issuer
from webhook.telemetry import metrics
from webhook.trust.associations import Associations
from webhook.trust.demand import OneRoleEach
from webhook.trust.grants import Grants
from webhook.trust.leases import LeaseLock
from webhook.trust.writer import RoleWriter

if TYPE_CHECKING:
    from webhook.config.contract import Configuration
    from webhook.domain.names import RoleArn

log = structlog.get_logger(__name__)


async def assemble(configuration: Configuration) -> Program:
    """The program for a configuration. Raises ConfigurationError or ClusterError if it cannot run."""
    bindings = bindings_of(configuration.bindings, configuration.cluster.name)
    namespace = own_namespace(configuration)
    connection = Connection()
    certificates = certificates_of(
        configuration.certificates, connection, namespace, os.environ.get("POD_NAME") or process_identity()
    )
    api = KubernetesApi(connection, label_keys(bindings))
    issuer = await find_issuer(configuration.cluster.issuer, api)
    calls = AwsCalls(partition=partition(bindings))
    caller = CallerCheck(calls)
    await check_roles(bindings, caller)

    view = ClusterView(
        bindings,
        api.namespaces(),
        {name: api.service_accounts(name) for name in service_accounts(bindings)},
        clock=time.time,
        grace=configuration.reconciler.prune_grace,
    )
    installation = configuration.installation or namespace
    pods = await pod_identity(
        bindings,
        name=configuration.cluster.name,
        installation=installation,
        calls=calls,
        caller=caller,
        issuer=issuer,
    )
    leases, identity = Leases(connection, namespace), process_identity()
    lock = LeaseLock(leases, identity)
    quota = AccountQuota(calls)
    writers: dict[RoleArn, RoleWriter] = {}
    associations = (
        Associations(pods.api, pods.owner, view.associations, view.may_dissociate, view.was_replaced, view.may_add)
        if pods
        else None
    )
    grants, demand = Grants(writers, associations), OneRoleEach(view, writers)
    for role in trusted_roles(bindings):
        statements = pods.statements(role) if pods else ()
        policies = IamTrustPolicies(calls, pods.cluster if pods and statements else caller, quota)
        own = OwnStatement.for_role(role, issuer, installation, statements)
        writers[role] = RoleWriter(role, own, policies, lock, demand)
    events = EventWriter(connection)
    reconciler = configuration.reconciler
    rules = SweepRules(reconciler.prune_grace, reconciler.max_removal_fraction)
    passes = Passes(view, grants, api, events)
    leader = Leader(
        Sweep(view, writers, demand, api, events, rules, associations),
        Mappings(view, bindings, events),
        passes.pods,
        care_of_deployments(reconciler, passes.pods, Identities(view, grants), connection, events),
        reconciler.interval,
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
            plain_application(lifecycle),
            (server.host, server.metrics_port),
            "server.metricsPort",
            PLAIN_LIMITS,
        ),
        grants=grants,
        background=(
            view.run(),
            passes.run(reconciler.interval),
            Leadership(leases, identity).run(leader.lead),
            watch_providers(bindings, issuer, calls),
            certificates.run(),
        ),
        drain_time=server.drain_time,
        close=close,
    )
