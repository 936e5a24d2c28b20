"""The facts of control planes, and of what they share, as `webhook.diagnosis` wants them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from cryptography import x509

from webhook.aws.oidc import read_provider
from webhook.cli.snapshots.inspection import Inspection
from webhook.cli.suggested_commands import options
from webhook.cli.verify.bindings import names_a_role
from webhook.cli.verify.facts import ControlPlane, Own, Pod, Registration, Shared, Trial
from webhook.cli.verify.registration import PROGRAM_LABEL
from webhook.model.aws_errors import AwsError
from webhook.model.bindings import service_accounts, trusted_roles
from webhook.model.errors import ClusterError, InvalidNameError
from webhook.model.names import ROLE_ARN_ANNOTATION, RoleArn, Subject
from webhook.planning.plan import make_plan
from webhook.planning.snapshot import TrustedSubjects
from webhook.telemetry.events import TRUST_PENDING

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from webhook.cli.snapshots.session import Session
    from webhook.kube.objects import WebhookConfiguration
    from webhook.kube.pods import PodObject
    from webhook.model.oidc_provider import OidcProvider
    from webhook.planning.snapshot import ClusterSnapshot

WEBHOOK = "serviceaccounts.mxp-identity.local"
"""The name of the webhook in the chart's MutatingWebhookConfiguration."""

_PROGRAM = "mxp-identity-webhook"
"""The ServiceAccount for which `setup` makes a role."""


async def read_control_planes(
    here: Session, cluster: ClusterSnapshot, namespace: str | None
) -> list[ControlPlane]:
    """The ServiceAccounts of bound names that are there, or that a binding wants, with their pods.

    Of all namespaces: but for those that no binding selects and that name no role, which are no control planes. Of
    one namespace: all bound names, where none of them is there or wanted.
    """
    inspection = Inspection(here.connection)
    planes: list[ControlPlane] = []
    absent: list[ControlPlane] = []
    for name in service_accounts(here.installation.bindings):
        annotations = await inspection.accounts(name, namespace)
        pods = await _pods(inspection, name, namespace)
        pending = await _pending(inspection, name, namespace)
        due = cluster.grants_due(here.installation)
        wanted = {grant.subject.namespace for grant in due if grant.subject.service_account == name}
        names = (
            [namespace]
            if namespace
            else sorted(wanted | {key for key, value in annotations.items() if names_a_role(value)})
        )
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
    progress: Callable[[str], None],
) -> Shared:
    """Trust policies, OIDC providers, the associations of `planes`, and the registration."""
    account = await here.read_account(progress, _all_roles(here))
    account = await here.with_associations(account, progress, {plane.subject for plane in planes})
    own_in = here.installation.own_in
    arns = sorted({own_in(role).provider_arn for role in _all_roles(here)})
    providers = await asyncio.gather(*(_provider(here, arn) for arn in arns))
    plan = make_plan(here.installation, cluster, account)
    own_role = await _own_role(here)
    return Shared(
        installation=here.installation,
        cluster=cluster,
        account=account,
        trusted=TrustedSubjects(account, here.installation),
        providers=dict(zip(arns, providers, strict=True)),
        registrations=await _registrations(here),
        deployments=await _deployments(here),
        options=here.where.options,
        own_role=own_role,
        setup_options=_setup_options(here, own_role),
        now=cluster.at,
        own=await _own_pods(here),
        removable={change.role: len(change.removed) for change in plan.roles},
    )


async def _provider(here: Session, arn: str) -> OidcProvider | str:
    try:
        return await read_provider(here.calls, arn)
    except AwsError as error:
        return str(error)


async def try_admission(here: Session, subject: Subject, *, shows: bool) -> Trial:
    """Send a ServiceAccount through admission as a dry run; `shows` is whether its binding annotates it."""
    try:
        role = await Inspection(here.connection).role_after_dry_run(subject)
    except ClusterError as error:
        return Trial(None, str(error))
    return Trial(annotated=role is not None if shows else None)


def _all_roles(here: Session) -> set[RoleArn]:
    every = {role for binding in here.installation.bindings for role in binding.roles}
    return every | trusted_roles(here.installation.bindings)


def _setup_options(here: Session, own_role: RoleArn | None) -> tuple[str, ...]:
    """How `setup` is told of this cluster, and of the program and its own role as they are installed."""
    given = {
        "--context": here.where.context,
        "--issuer": here.configuration.cluster.issuer,
        "--namespace": here.namespace,
        "--own-role": own_role.name if own_role and own_role.has_no_path else None,
    }
    return options(given)


async def _own_role(here: Session) -> RoleArn | None:
    """The role that the program's ServiceAccount names."""
    try:
        found = await Inspection(here.connection).accounts(_PROGRAM, here.namespace)
        return RoleArn(found.get(here.namespace, {}).get(ROLE_ARN_ANNOTATION, ""))
    except (ClusterError, InvalidNameError):
        return None


async def _own_pods(here: Session) -> Own | None:
    try:
        found = await Inspection(here.connection).pods_labelled(PROGRAM_LABEL, here.namespace)
    except ClusterError:
        return None
    return Own(here.namespace, tuple(_pod(pod) for pod in found))


async def _pending(inspection: Inspection, name: str, namespace: str | None) -> dict[str, str]:
    """What the program told of trust that it could not give, within the hour for which Events are kept."""
    try:
        return await inspection.events(name, TRUST_PENDING, namespace)
    except ClusterError:
        return {}


async def _pods(inspection: Inspection, name: str, namespace: str | None) -> list[PodObject] | None:
    try:
        return await inspection.pods(name, namespace)
    except ClusterError:
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
    )


async def _registrations(here: Session) -> tuple[Registration, ...] | None:
    try:
        found = await Inspection(here.connection).registrations(WEBHOOK)
    except ClusterError:
        return None
    return tuple(_registration(item) for item in found)


async def _deployments(here: Session) -> dict[str, int] | None:
    """None too where there are others alone: with the chart's `nameOverride` one of them is the program's."""
    inspection = Inspection(here.connection)
    try:
        found = await inspection.deployments(here.namespace, PROGRAM_LABEL)
        return found if found or not await inspection.deployments(here.namespace) else None
    except ClusterError:
        return None


def _registration(found: WebhookConfiguration) -> Registration:
    (webhook, *_) = [one for one in found.webhooks or () if one.name == WEBHOOK]
    return Registration(found.metadata.name, webhook.failure_policy, _last_end(webhook.client_config.ca_bundle))


def _last_end(bundle: bytes) -> float | None:
    try:
        certificates = x509.load_pem_x509_certificates(bundle)
    except ValueError:
        return None
    return max(_ends(certificates), default=None)


def _ends(certificates: Iterable[x509.Certificate]) -> list[float]:
    return [certificate.not_valid_after_utc.timestamp() for certificate in certificates]
