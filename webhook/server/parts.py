"""The parts that a program has whether it writes or only observes, and the program that they make.

Here `observe` closes the two ways out: the connection to the API server, and the calls of AWS.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from webhook import VERSION
from webhook.admission.routes import admission_router
from webhook.aws.caller import CallerCheck
from webhook.aws.calls import AwsCalls
from webhook.config.bindings import bindings_of
from webhook.config.contract import SelfManagedSection
from webhook.config.runtime_environment import own_namespace, process_identity
from webhook.controller.cluster_cache import ClusterCache
from webhook.kube.api import KubernetesApi
from webhook.kube.certificates import registration_path, secret_path
from webhook.kube.connection import Connection
from webhook.model.bindings import label_keys, partition, service_accounts
from webhook.server.aws_prerequisites import watch_endpoints, watch_providers
from webhook.server.certificates import certificates_of
from webhook.server.connections import PLAIN_LIMITS, REVIEW_LIMITS
from webhook.server.health import plain_application
from webhook.server.issuer import ClusterIssuer, configured_issuer
from webhook.server.listeners import Listener
from webhook.server.memory import give_back_freed_memory
from webhook.server.pod_identity import pod_identity
from webhook.server.program import Lifecycle, Program
from webhook.server.startup import cluster_check, issuer_check, role_check
from webhook.telemetry import metrics
from webhook.telemetry.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from webhook.admission.reviews import Reviewer
    from webhook.config.contract import Configuration
    from webhook.model.bindings import Binding
    from webhook.server.certificates import Certificates
    from webhook.server.pod_identity import PodIdentity
    from webhook.server.startup import Check


@dataclass(frozen=True, slots=True)
class Parts:
    """What a program works with. `installation` names it among others of its account."""

    configuration: Configuration
    bindings: tuple[Binding, ...]
    namespace: str
    installation: str
    connection: Connection
    api: KubernetesApi
    calls: AwsCalls
    caller: CallerCheck
    issuer: ClusterIssuer
    pods: PodIdentity | None
    cache: ClusterCache
    certificates: Certificates
    checks: list[Check]
    progress: Progress

    def program(
        self,
        reviewer: Reviewer,
        loops: Mapping[str, Callable[[], Awaitable[None]]],
        finish_writes: Callable[[], Awaitable[None]] | None = None,
    ) -> Program:
        """The program in which `reviewer` answers, and `loops` run beside what every program runs."""
        cache, progress, server = self.cache, self.progress, self.configuration.server
        lifecycle = Lifecycle(
            lambda: None if cache.synced else "waiting for the first list of namespaces and ServiceAccounts",
            self.certificates.not_ready_because,
        )

        def close() -> None:
            self.calls.close()
            self.connection.close()

        return Program(
            lifecycle=lifecycle,
            reviews=Listener(
                admission_router(reviewer, is_draining=lambda: lifecycle.draining),
                (server.host, server.port),
                "server.port",
                REVIEW_LIMITS,
                self.certificates.context,
            ),
            plain=Listener(
                plain_application(lifecycle, progress),
                (server.host, server.metrics_port),
                "server.metricsPort",
                PLAIN_LIMITS,
            ),
            finish_writes=finish_writes,
            checks=self.checks,
            background={
                "watch": cache.run,
                **loops,
                "endpoints": lambda: watch_endpoints(self.bindings, self.calls, progress),
                "providers": lambda: watch_providers(self.bindings, self.issuer, self.calls, progress),
                "certificates": self.certificates.run,
                "memory": give_back_freed_memory,
            },
            progress=progress,
            drain_time=server.drain_time,
            close=close,
        )


async def parts_of(configuration: Configuration) -> Parts:
    """The parts for a configuration, without a call to anything. Needs a running event loop.

    Raises ConfigurationError for what the configuration itself shows, ClusterError without a way to the cluster.
    """
    metrics.build_info.labels(VERSION).set(1)
    metrics.observing.set(configuration.observe)
    bindings = bindings_of(configuration.bindings, configuration.cluster.name)
    namespace = own_namespace(configuration)
    installation = configuration.installation or namespace
    configured = configured_issuer(configuration.cluster.issuer)
    connection, progress = Connection(writable=_writable(configuration, namespace)), Progress()
    certificates = certificates_of(
        configuration.certificates,
        connection,
        namespace,
        os.environ.get("POD_NAME") or process_identity(),
        progress,
    )
    api = KubernetesApi(connection, label_keys(bindings))
    calls = AwsCalls(partition=partition(bindings), read_only=configuration.observe)
    issuer, caller = ClusterIssuer(), CallerCheck(calls)
    cache = ClusterCache(
        bindings,
        api.namespaces(),
        {name: api.service_accounts(name) for name in service_accounts(bindings)},
        wall_clock=time.time,
        grace=configuration.reconciler.prune_grace,
        progress=progress,
    )
    pods = await pod_identity(
        bindings,
        name=configuration.cluster.name,
        installation=installation,
        calls=calls,
        caller=caller,
        issuer=issuer.get,
    )
    checks = [issuer_check(configured, api, issuer), role_check(bindings, caller)]
    if pods:
        checks.append(cluster_check(pods.cluster, issuer))
    return Parts(
        configuration=configuration,
        bindings=bindings,
        namespace=namespace,
        installation=installation,
        connection=connection,
        api=api,
        calls=calls,
        caller=caller,
        issuer=issuer,
        pods=pods,
        cache=cache,
        certificates=certificates,
        checks=checks,
        progress=progress,
    )


def _writable(configuration: Configuration, namespace: str) -> frozenset[str] | None:
    """The paths of the API server that may be written: what its certificate is kept in; None for any."""
    if not configuration.observe:
        return None
    section = configuration.certificates
    if not isinstance(section, SelfManagedSection):
        return frozenset()
    return frozenset({secret_path(namespace, section.secret), registration_path(section.webhook_configuration)})
