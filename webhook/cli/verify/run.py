"""One run of `verify`: the facts are read, each control plane is diagnosed, and STS and buckets are tried."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

from webhook.aws.calls import AwsCalls
from webhook.aws.reachability import services_for, unreached
from webhook.cli.snapshots.inspection import Inspection
from webhook.cli.verify.assuming import with_sts
from webhook.cli.verify.bucket.checking import look_at_backups, try_buckets
from webhook.cli.verify.control_planes import read_control_planes, read_shared
from webhook.cli.verify.diagnosis import diagnose
from webhook.cli.verify.findings import Check, Diagnosis, Finding, Shared, Trial, in_context, note
from webhook.cli.verify.trust_policies import check_first_statements, check_other_writers, check_wide_trust
from webhook.cli.verify.webhook import check_endpoint, check_own_pods, check_webhook
from webhook.model.aws_errors import AwsError, Service
from webhook.model.bindings import partition
from webhook.model.control_planes import ControlPlanes
from webhook.model.errors import ClusterError
from webhook.model.names import Subject

if TYPE_CHECKING:
    from webhook.cli.running import Progress
    from webhook.cli.snapshots.session import Session

_REACH_ATTEMPTS = 2


async def verify_here(
    here: Session, progress: Progress, *, assume: bool, bucket: str | None
) -> tuple[list[Finding], list[Diagnosis], ControlPlanes]:
    """What is found of the webhook, and of each control plane that was chosen, worst first; and their names.

    With `bucket` an object is tried in that bucket, or in those of the configurations where it is empty.
    """
    progress.step("listing namespaces, ServiceAccounts and pods")
    cluster = await here.read_cluster()
    planes = await read_control_planes(here, cluster)
    progress.step("connecting to AWS")
    lost = await _unreached(here)
    progress.step("reading trust policies and associations")
    shared = await read_shared(here, cluster, planes, lost, progress.count)
    diagnoses = [diagnose(one, shared) for one in planes]
    progress.step("sending a ServiceAccount through admission")
    common = [*map(check_endpoint, lost, lost.values()), *await _common(here, shared, diagnoses)]
    progress.step("reading backup configurations")
    named = ControlPlanes(cluster.namespaces.values())
    looked = await look_at_backups(here, diagnoses, named, {plane.subject: plane for plane in planes}, bucket)
    common, diagnoses = [*common, *looked.common], looked.diagnoses
    if assume:
        progress.step("asking STS")
        diagnoses, issued = await with_sts(here, diagnoses, progress)
        if bucket is not None:
            diagnoses = await try_buckets(here, looked, diagnoses, issued, progress)
    context = here.where.context
    diagnoses = [replace(one, findings=in_context(one.findings, context)) for one in diagnoses]
    ordered = sorted(diagnoses, key=lambda diagnosis: (diagnosis.worst.rank, diagnosis.subject))
    return list(in_context(common, context)), ordered, named


async def _unreached(here: Session) -> dict[Service, AwsError]:
    """The services that cannot be reached from here, and why."""
    bindings = here.installation.bindings
    needed = services_for(bindings) | {Service.IAM, Service.STS}  # in mode annotate roles are only read
    with closing(AwsCalls(_REACH_ATTEMPTS, partition(bindings))) as calls:  # with a reader's a minute each
        return await unreached(calls, needed)


async def _common(here: Session, shared: Shared, diagnoses: list[Diagnosis]) -> list[Finding]:
    """What is found of the webhook itself, tried with the first control plane that a binding selects.

    One to be annotated is preferred: only there an answer shows. A program that only observes is not tried.
    """
    if here.configuration.observe:
        observing = note(Check.WEBHOOK, "only observes (observe: true), so that nothing gets an identity from it")
        return [observing, *check_own_pods(shared), *check_first_statements(shared), *check_wide_trust(shared)]
    selected = [diagnosis for diagnosis in diagnoses if diagnosis.role is not None]
    tried = min(selected, key=lambda diagnosis: diagnosis.associates, default=None)
    trial = await _try_admission(here, tried.subject, shows=not tried.associates) if tried else None
    self_managed = here.configuration.certificates.source == "self-managed"
    return [
        *check_webhook(shared, trial, self_managed=self_managed),
        *check_own_pods(shared),
        *check_other_writers(shared),
        *check_first_statements(shared),
        *check_wide_trust(shared),
    ]


async def _try_admission(here: Session, subject: Subject, *, shows: bool) -> Trial:
    """Send a ServiceAccount through admission as a dry run; `shows` is whether its binding annotates it."""
    try:
        role = await Inspection(here.connection).role_after_dry_run(subject)
    except ClusterError as error:
        return Trial(None, str(error))
    return Trial(annotated=role is not None if shows else None)
