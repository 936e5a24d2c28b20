"""What a command works with: the configuration, a way to the API server, and a way to AWS."""

from __future__ import annotations

import time
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from webhook.aws.associations import EksAssociations
from webhook.aws.caller import CallerCheck
from webhook.aws.calls import AwsCalls
from webhook.aws.cluster import ClusterCheck, cluster_arn
from webhook.aws.trust_policies import AccountQuota, IamTrustPolicies
from webhook.cli.running import run
from webhook.cli.snapshots.release import checked_file, configuration_of_release
from webhook.cli.suggested_commands import options
from webhook.config.bindings import bindings_of
from webhook.config.runtime_environment import own_namespace
from webhook.kube.api import KubernetesApi
from webhook.kube.connection import Connection
from webhook.model.bindings import label_keys, partition, service_accounts, trusted_roles
from webhook.model.control_planes import LABELS, Choice, ControlPlanes
from webhook.planning.account import read_associations, read_roles
from webhook.planning.snapshot import ClusterSnapshot, Installation
from webhook.server.issuer import configured_issuer, find_issuer
from webhook.server.pod_identity import PodIdentity

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection, Coroutine
    from pathlib import Path

    from webhook.cli.running import Progress
    from webhook.config.contract import Configuration
    from webhook.model.bindings import Binding
    from webhook.model.decisions import Account, AccountKey
    from webhook.model.names import ClusterArn, RoleArn, Subject
    from webhook.planning.snapshot import AccountSnapshot

T = TypeVar("T")

READ_ATTEMPTS = 5
"""How often a call that only reads is tried: IAM throttles a caller that reads many roles."""


_ALL = Choice()


@dataclass(frozen=True, slots=True)
class Where:
    """The options that choose cluster, installation and control planes."""

    file: Path | None = None
    release_namespace: str | None = None
    context: str | None = None
    control_planes: Choice = _ALL

    @property
    def options(self) -> tuple[str, ...]:
        """The options with which another command means the same installation."""
        given = {"--config": self.file, "--release-namespace": self.release_namespace, "--context": self.context}
        return options(given)


@dataclass(frozen=True, slots=True)
class Session:
    """One command's ways to cluster and account. `namespace` is where the program is installed."""

    where: Where
    chosen: frozenset[str] | None
    """The namespaces of the control planes that the command is about; None for all."""
    configuration: Configuration
    namespace: str
    installation: Installation
    connection: Connection
    api: KubernetesApi
    calls: AwsCalls
    caller: CallerCheck
    policies: IamTrustPolicies

    @property
    def only_namespace(self) -> str | None:
        """The one namespace to list objects in; None where there are several to look at."""
        return next(iter(self.chosen)) if self.chosen is not None and len(self.chosen) == 1 else None

    async def in_eks(self) -> Session:
        """The same, whose installation knows its cluster wherever the configuration names it.

        A binding that was in mode pod-identity once may have left statements and associations.
        """
        name, bindings = self.configuration.cluster.name, self.installation.bindings
        if name is None or not bindings:
            return self
        eks = cluster_arn(bindings[0].roles[0], await self.calls.region(), name)
        return replace(self, installation=replace(self.installation, eks=eks))

    def policies_to_write(self) -> IamTrustPolicies:
        """The same trust policies for writers."""
        calls = self.calls_to_write()
        return IamTrustPolicies(calls, self.caller, AccountQuota(calls))

    def calls_to_write(self) -> AwsCalls:
        """Calls for writers, each tried once: a lock must outlast it."""
        return AwsCalls(partition=partition(self.installation.bindings))

    def pods_to_write(self, calls: AwsCalls) -> PodIdentity | None:
        """The cluster whose associations are made by `calls`; None where no binding is in that mode."""
        here, owner = self.installation, self.installation.owner
        if owner is None:
            return None
        check = ClusterCheck(calls, self.caller, owner.cluster, lambda: here.issuer)
        return PodIdentity(check, owner, EksAssociations(calls, check), here.bindings)

    async def read(
        self, progress: Progress, roles: Collection[RoleArn] = ()
    ) -> tuple[ClusterSnapshot, AccountSnapshot]:
        """The cluster, and the account with trust policies and associations."""
        progress.step("listing namespaces and ServiceAccounts")
        cluster = await self.read_cluster()
        progress.step("reading trust policies")
        account = await self.read_account(progress.count, roles)
        if self.installation.eks is not None:
            progress.step("describing associations")
        return cluster, await self.with_associations(account, progress.count)

    async def read_cluster(self) -> ClusterSnapshot:
        """All namespaces, and the ServiceAccounts of bound names (list namespaces and serviceaccounts)."""
        namespaces, _ = await self.api.namespaces().list()
        accounts: dict[AccountKey, Account] = {}
        for name in service_accounts(self.installation.bindings):
            found, _ = await self.api.service_accounts(name).list()
            accounts |= {(account.namespace, name): account for account in found.values()}
        return ClusterSnapshot(namespaces, accounts, time.time())

    async def read_account(
        self, progress: Callable[[str], None], roles: Collection[RoleArn] = ()
    ) -> AccountSnapshot:
        """The trust policies of the bindings' roles and of `roles`. Raises AwsError without credentials."""
        wanted = trusted_roles(self.installation.bindings) | set(roles)
        if wanted:
            await self.caller.caller()
        return await read_roles(self.policies, wanted, progress)

    async def with_associations(
        self, account: AccountSnapshot, progress: Callable[[str], None], only: Collection[Subject] | None = None
    ) -> AccountSnapshot:
        """The same account with the cluster's associations, or those of `only`: where a binding makes any."""
        if self.installation.eks is None:
            return account
        check = ClusterCheck(self.calls, self.caller, self.installation.eks, lambda: self.installation.issuer)
        found = await read_associations(EksAssociations(self.calls, check), progress, only)
        return replace(account, associations=found)


def run_in_session(where: Where, work: Callable[[Session, Progress], Coroutine[Any, Any, T]]) -> T:
    """Run a command's work to its end in a session of its own."""

    async def command(progress: Progress) -> T:
        async with open_session(where) as here:
            return await work(here, progress)

    return run(command)


@asynccontextmanager
async def open_session(where: Where) -> AsyncIterator[Session]:
    """Open what a command needs, and close it.

    Raises ConfigurationError, InvalidNameError, ClusterError, AwsError. A file is checked first, then the names of
    control planes and namespaces, and only then anything else is asked.
    """
    in_file = None if where.file is None else checked_file(where.file, where.release_namespace)[0]
    with closing(Connection(person=True, context=where.context)) as connection:
        chosen = await _chosen(connection, where)
        configuration = in_file or await configuration_of_release(connection, where.release_namespace)
        bindings = bindings_of(configuration.bindings, configuration.cluster.name)
        namespace = own_namespace(configuration)
        api = KubernetesApi(connection, label_keys(bindings) | LABELS)
        issuer = (await find_issuer(configured_issuer(configuration.cluster.issuer), api)).issuer
        with closing(AwsCalls(READ_ATTEMPTS, partition(bindings))) as calls:
            caller = CallerCheck(calls)
            yield Session(
                where=where,
                chosen=chosen,
                configuration=configuration,
                namespace=namespace,
                installation=Installation(
                    configuration.installation or namespace,
                    issuer,
                    bindings,
                    configuration.reconciler.prune_grace,
                    await _eks(bindings, configuration.cluster.name, calls),
                ),
                connection=connection,
                api=api,
                calls=calls,
                caller=caller,
                policies=IamTrustPolicies(calls, caller, AccountQuota(calls)),
            )


async def _chosen(connection: Connection, where: Where) -> frozenset[str] | None:
    """The control planes that are meant (list namespaces). Raises InvalidNameError for a name that there is not.

    So does a namespace of the release that there is not, beside a file; a release in it would have to be found.
    """
    if where.control_planes.is_all and not (where.file and where.release_namespace):
        return None
    namespaces, _ = await KubernetesApi(connection, LABELS).namespaces().list()
    found = ControlPlanes(namespaces.values())
    if where.release_namespace is not None:
        found.chosen(Choice(namespace=where.release_namespace))
    return found.chosen(where.control_planes)


async def _eks(bindings: tuple[Binding, ...], name: str | None, calls: AwsCalls) -> ClusterArn | None:
    associating = [binding for binding in bindings if binding.associates]
    return cluster_arn(associating[0].roles[0], await calls.region(), name) if associating and name else None
