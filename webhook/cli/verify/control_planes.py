"""Reading the facts of control planes and of what they share: cluster and account."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from cryptography import x509

from webhook.aws.cluster import read_provider
from webhook.cli.snapshots.inspection import Inspection
from webhook.cli.suggested_commands import WEBHOOK, options
from webhook.cli.verify.diagnosis import names_a_role
from webhook.cli.verify.findings import ControlPlane, Pod, Registration, Shared
from webhook.coordination.lock import lease_name
from webhook.iam.amendment import DEFAULT_QUOTA
from webhook.kube.leases import Leases
from webhook.model.aws_errors import AwsError, Service
from webhook.model.bindings import service_accounts, trusted_roles
from webhook.model.errors import ClusterError, InvalidNameError
from webhook.model.names import ROLE_ARN_ANNOTATION, RoleArn, Subject
from webhook.planning.plan import make_plan
from webhook.planning.snapshot import AccountSnapshot, TrustedSubjects
from webhook.podidentity.association import FoundAssociations
from webhook.telemetry.events import TRUST_PENDING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Mapping

    from webhook.cli.snapshots.session import Session
    from webhook.kube.objects import WebhookConfiguration
    from webhook.kube.pods import PodObject
    from webhook.model.oidc_provider import OidcProvider
    from webhook.planning.snapshot import ClusterSnapshot

T = TypeVar("T")

_PROGRAM = "mxp-identity-webhook"
"""The ServiceAccount for which `setup` creates a role, where no other is named."""


async def read_control_planes(here: Session, cluster: ClusterSnapshot) -> list[ControlPlane]:
    """The ServiceAccounts of bound names that are there, or that a binding wants, with their pods.

    Of all namespaces: but for those that no binding selects and that name no role, which are no control planes. Of
    one namespace: all bound names, where none of them is there or wanted.
    """
    inspection, namespace = Inspection(here.connection), here.only_namespace
    planes: list[ControlPlane] = []
    absent: list[ControlPlane] = []
    for name in service_accounts(here.installation.bindings):
        annotations = await inspection.accounts(name, namespace)
        pods = await _if_possible(inspection.pods(name, namespace))
        # The program reports pending trust in Events, which are kept for an hour.
        pending = await _if_possible(inspection.events(name, TRUST_PENDING, namespace)) or {}
        due = cluster.grants_due(here.installation)
        wanted = {grant.subject.namespace for grant in due if grant.subject.service_account == name}
        names = (
            [namespace]
            if namespace
            else sorted(wanted | {key for key, value in annotations.items() if names_a_role(value)})
        )
        names = [each for each in names if here.chosen is None or each in here.chosen]
        found = [
            ControlPlane(
                Subject(each, name),
                annotations.get(each),
                None if pods is None else tuple(_pod(pod) for pod in pods if pod.metadata.namespace == each),
                pending.get(each, ""),
            )
            for each in names
        ]
        if namespace and namespace not in wanted | annotations.keys():
            absent += found
        else:
            planes += found
    return planes or absent


async def read_shared(
    here: Session,
    cluster: ClusterSnapshot,
    planes: Collection[ControlPlane],
    lost: Mapping[Service, AwsError],
    progress: Callable[[str], None],
) -> Shared:
    """Trust policies, OIDC providers, the associations of `planes`, and the registration.

    Nothing is read of services that are `lost`, nor of any that needs them.
    """
    account, providers = await _read_account(here, planes, lost, progress)
    plan = make_plan(here.installation, cluster, account)
    inspection = Inspection(here.connection)
    deployments = await _if_possible(inspection.own_deployments(here.namespace))
    own_account = next((one.service_account for one in deployments or ()), _PROGRAM)
    own_role = await _own_role(here, own_account)
    registrations = await _if_possible(inspection.registrations(WEBHOOK))
    own_pods = await _if_possible(inspection.own_pods(here.namespace))
    return Shared(
        installation=here.installation,
        cluster=cluster,
        account=account,
        trusted=TrustedSubjects(account, here.installation),
        providers=providers,
        registrations=None if registrations is None else tuple(map(_registration, registrations)),
        deployments=None if deployments is None else {one.name: one.wanted for one in deployments},
        options=here.where.options,
        own_role=own_role,
        setup_options=_setup_options(here, own_account, own_role),
        now=cluster.at,
        namespace=here.namespace,
        release=await _if_possible(inspection.own_release(here.namespace)) or _PROGRAM,
        own_pods=None if own_pods is None else tuple(map(_pod, own_pods)),
        repairs=await _repairs(here),
        removable={change.role: len(change.removed) for change in plan.roles},
    )


async def _read_account(
    here: Session,
    planes: Collection[ControlPlane],
    lost: Mapping[Service, AwsError],
    progress: Callable[[str], None],
) -> tuple[AccountSnapshot, dict[str, OidcProvider | str]]:
    """The account, and the cluster's OIDC provider by its ARN."""
    own_in, roles = here.installation.own_in, _all_roles(here)
    arns = sorted({own_in(role).provider_arn for role in roles})
    if why := _lack(lost, Service.STS, Service.IAM):
        account = AccountSnapshot({}, dict.fromkeys(roles, why), DEFAULT_QUOTA)
        providers: list[OidcProvider | str] = [why] * len(arns)
    else:
        account = await here.read_account(progress, roles)
        providers = await asyncio.gather(*(_provider(here, arn) for arn in arns))
    if here.installation.eks and (why := _lack(lost, Service.STS, Service.EKS)):
        account = replace(account, associations=FoundAssociations(unread=why))
    else:
        account = await here.with_associations(account, progress, {plane.subject for plane in planes})
    return account, dict(zip(arns, providers, strict=True))


def _lack(lost: Collection[Service], *needed: Service) -> str:
    """Why what needs these services is not read; empty where it can be."""
    return next((f"{service} cannot be reached" for service in needed if service in lost), "")


async def _provider(here: Session, arn: str) -> OidcProvider | str:
    issuer = here.installation.issuer
    try:
        found = await read_provider(here.calls, arn)
    except AwsError as error:
        return str(error)
    if found.audiences is not None or issuer.twin is None:
        return found
    try:
        twin = await read_provider(here.calls, arn.replace(issuer.key, issuer.twin))
    except AwsError:  # as without the right to read it; what is wrong is known without it
        return found
    return found if twin.audiences is None else replace(found, twin=twin.arn)


def _all_roles(here: Session) -> set[RoleArn]:
    every = {role for binding in here.installation.bindings for role in binding.roles}
    return every | trusted_roles(here.installation.bindings)


def _setup_options(here: Session, own_account: str, own_role: RoleArn | None) -> tuple[str, ...]:
    """The options with which `setup` means this cluster, and the program and its role as installed."""
    given = {
        "--context": here.where.context,
        "--issuer": here.configuration.cluster.issuer,
        "--release-namespace": here.namespace,
        "--service-account": own_account if own_account != _PROGRAM else None,
        "--own-role": own_role.name if own_role and own_role.has_no_path else None,
    }
    return options(given)


async def _repairs(here: Session) -> dict[RoleArn, tuple[int, ...]]:
    """When the program last repaired its statement in each role; without those whose Lease cannot be read."""
    store = Leases(here.connection, here.namespace)
    roles = sorted(trusted_roles(here.installation.bindings))
    leases = await asyncio.gather(*(_if_possible(store.get(lease_name(role))) for role in roles))
    return {role: lease.repairs for role, lease in zip(roles, leases, strict=True) if lease is not None}


async def _if_possible(answer: Awaitable[T]) -> T | None:
    """The answer; None without the right to ask, or where there is none."""
    try:
        return await answer
    except ClusterError:
        return None


async def _own_role(here: Session, account: str) -> RoleArn | None:
    """The role that the program's ServiceAccount names."""
    found = await _if_possible(Inspection(here.connection).accounts(account, here.namespace)) or {}
    try:
        return RoleArn(found.get(here.namespace, {}).get(ROLE_ARN_ANNOTATION, ""))
    except InvalidNameError:
        return None


def _pod(found: PodObject) -> Pod:
    return Pod(
        name=found.metadata.name,
        phase=found.status.phase,
        waiting=next((reason for reason in found.waits_for if reason != "ContainerCreating"), None),
        variables={
            variable.name: variable.value
            for container in found.spec.containers
            for variable in container.env or ()
            if variable.name.startswith("AWS_")
        },
        audiences=found.audiences,
        is_replaced=any(owner.controller for owner in found.metadata.owner_references or ()),
        node=found.spec.node_name,
        uid=found.metadata.uid,
    )


def _registration(found: WebhookConfiguration) -> Registration:
    (webhook, *_) = [one for one in found.webhooks or () if one.name == WEBHOOK]
    return Registration(found.metadata.name, _last_end(webhook.client_config.ca_bundle))


def _last_end(bundle: bytes) -> float | None:
    try:
        certificates = x509.load_pem_x509_certificates(bundle)
    except ValueError:
        return None
    return max((one.not_valid_after_utc.timestamp() for one in certificates), default=None)
