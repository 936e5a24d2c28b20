"""Putting the parts together: which part is handed which other is decided here and nowhere else."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import structlog

from webhook import VERSION
from webhook.admission.namespaces import LiveNamespaces
from webhook.admission.service import AdmissionService, Policy
from webhook.aws.caller import CallerCheck
from webhook.aws.calls import AwsCalls
from webhook.aws.trust_policies import IamTrustPolicies
from webhook.cluster.api import KubernetesApi
from webhook.cluster.connection import Connection
from webhook.cluster.events import EventWriter
from webhook.cluster.leases import Leases
from webhook.config.bindings import bindings_of
from webhook.config.errors import ConfigurationError
from webhook.domain.statement import OwnStatement
from webhook.reconcile.passes import Passes
from webhook.reconcile.view import ClusterView
from webhook.serving.certificates import certificates_of
from webhook.serving.http import plain_application, review_application
from webhook.serving.lifecycle import Lifecycle
from webhook.serving.listeners import Listener
from webhook.serving.pod_identity import pod_identity
from webhook.serving.program import Program
from webhook.serving.startup import check_roles, find_issuer, report_providers
from webhook.telemetry import metrics
from webhook.trust.associations import Associations
from webhook.trust.demand import OneRoleEach
from webhook.trust.grants import Grants
from webhook.trust.leases import LeaseLock
from webhook.trust.writer import RoleWriter

if TYPE_CHECKING:
    from webhook.config.contract import Configuration
    from webhook.domain.bindings import Binding
    from webhook.domain.names import RoleArn

log = structlog.get_logger(__name__)

_NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


async def assemble(configuration: Configuration) -> Program:
    """The program for a configuration. Raises ConfigurationError or ClusterError if it cannot run."""
    bindings = bindings_of(configuration.bindings, configuration.cluster.name)
    namespace = _namespace(configuration)
    for key in configuration.reconciler.without_effect():
        log.warning("setting_without_effect", key=key, reason="this version removes no trust and restarts no pod")

    connection = Connection()
    certificates = certificates_of(
        configuration.certificates, connection, namespace, os.environ.get("POD_NAME") or _identity()
    )
    api = KubernetesApi(connection, _label_keys(bindings))
    issuer = await find_issuer(configuration.cluster.issuer, api)
    calls = AwsCalls()
    caller = CallerCheck(calls)
    await check_roles(bindings, caller)

    view = ClusterView(bindings, api.namespaces(), {name: api.service_accounts(name) for name in _names(bindings)})
    installation = configuration.installation or namespace
    pods = await pod_identity(
        bindings,
        name=configuration.cluster.name,
        installation=installation,
        calls=calls,
        caller=caller,
        issuer=issuer,
    )
    lock = LeaseLock(Leases(connection, namespace), _identity())
    writers: dict[RoleArn, RoleWriter] = {}
    associations = Associations(pods.api, pods.owner, view.associations) if pods else None
    grants, demand = Grants(writers, associations), OneRoleEach(view, writers)
    for role in _trusted_roles(bindings):
        statements = pods.statements(role) if pods else ()
        policies = IamTrustPolicies(calls, pods.cluster if pods and statements else caller)
        own = OwnStatement.for_role(role, issuer, installation, statements)
        writers[role] = RoleWriter(role, own, policies, lock, demand)
    events = EventWriter(connection)
    patience = Policy(
        trust_budget=configuration.admission.trust_budget,
        refuse_without_trust=configuration.admission.on_trust_failure == "deny",
    )
    service = AdmissionService(bindings, LiveNamespaces(view.cached, api.namespace), grants, events, patience)
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
            review_application(service, lifecycle), (server.host, server.port), "server.port", certificates.context
        ),
        plain=Listener(plain_application(lifecycle), (server.host, server.metrics_port), "server.metricsPort"),
        grants=grants,
        background=(
            view.run(),
            Passes(view, grants, api, events).run(configuration.reconciler.interval),
            report_providers(bindings, issuer, calls),
            certificates.run(),
        ),
        drain_time=server.drain_time,
        close=close,
    )


def _namespace(configuration: Configuration) -> str:
    """Where the Leases are, and by default the name that tells our statement from another installation's."""
    named = configuration.namespace or os.environ.get("POD_NAMESPACE")
    if named:
        return named
    try:
        return _NAMESPACE_FILE.read_text().strip()
    except OSError as error:
        raise ConfigurationError(
            "namespace: is not given, and POD_NAMESPACE does not say where this runs"
        ) from error


def _identity() -> str:
    """A name for this process that no other will ever have."""
    return f"{os.environ.get('POD_NAME') or 'local'}_{uuid4()}"


def _names(bindings: tuple[Binding, ...]) -> list[str]:
    return sorted({binding.service_account for binding in bindings})


def _label_keys(bindings: tuple[Binding, ...]) -> set[str]:
    return {key for binding in bindings for key in binding.namespaces.label_keys()}


def _trusted_roles(bindings: tuple[Binding, ...]) -> set[RoleArn]:
    return {role for binding in bindings if binding.edits_trust for role in binding.roles}
