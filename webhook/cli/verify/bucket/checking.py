"""The part of `verify` that goes from identity to the bucket: reads what is configured, and tries it."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from webhook.aws.buckets import read_bucket
from webhook.aws.policies_around import read_keeping
from webhook.aws.sessions import by_association
from webhook.cli.snapshots.inspection import BoundPod, Inspection
from webhook.cli.verify.bucket.access_denied import read_denial
from webhook.cli.verify.bucket.agent import check_agent
from webhook.cli.verify.bucket.denials import Tried, findings_of
from webhook.cli.verify.bucket.judging import AWS, Facts, Workload, check_backups, unread, usable, workload_of
from webhook.cli.verify.bucket.probing import Place, probe
from webhook.cli.verify.bucket.reading import read_agents, read_backups
from webhook.cli.verify.bucket.simulating import check_roles
from webhook.cli.verify.findings import Check, Diagnosis, Finding, broken, note, unknown
from webhook.iam.statement import SERVICE
from webhook.model.aws_errors import AwsError
from webhook.model.errors import ClusterError, InvalidNameError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Iterator, Mapping

    from webhook.aws.clients import SessionKeys
    from webhook.cli.running import Progress
    from webhook.cli.snapshots.session import Session
    from webhook.cli.verify.bucket.configs import Backups
    from webhook.cli.verify.findings import ControlPlane
    from webhook.model.buckets import FoundBucket
    from webhook.model.control_planes import ControlPlanes
    from webhook.model.names import ClusterArn, Subject

_AT_A_TIME = 8


@dataclass(frozen=True, slots=True)
class Looked:
    """What was found of backups without writing anything."""

    facts: Facts
    workloads: Mapping[Subject, Workload]
    planes: Mapping[Subject, ControlPlane]
    common: list[Finding]
    diagnoses: list[Diagnosis]


async def look_at_backups(
    here: Session,
    diagnoses: list[Diagnosis],
    named: ControlPlanes,
    planes: Mapping[Subject, ControlPlane],
    bucket: str | None,
) -> Looked:
    """The diagnoses with what is configured for their backups, and with the agent that they need.

    Raises InvalidNameError for a bucket that does not exist.
    """
    workloads = {
        one.subject: found
        for one in diagnoses
        if one.role and (found := workload_of(one.subject, one.role, named.at(one.subject.namespace)))
    }
    backups = await read_backups(here.connection)
    facts = Facts(backups, await _buckets(here, workloads.values(), backups, bucket or ""), bucket or "")
    if facts.is_missing(facts.wanted):
        raise InvalidNameError(f"there is no bucket {bucket}: correct --bucket")
    more = {subject: list(check_backups(workload, facts)) for subject, workload in workloads.items()}
    if bucket is None:  # else S3 itself is asked
        for subject, denied in (await check_roles(here.calls, workloads, facts)).items():
            more[subject] += denied
    if (eks := here.installation.eks) is not None:
        agents = await read_agents(here.connection)
        for one in diagnoses:
            if one.associates:
                on_nodes = check_agent(planes[one.subject], agents, eks)
                more[one.subject] = [*on_nodes, *more.get(one.subject, ())]
    common = list(unread(backups)) if workloads else []
    told = [replace(one, findings=(*one.findings, *more.get(one.subject, ()))) for one in diagnoses]
    return Looked(facts, workloads, planes, common, told)


async def _buckets(
    here: Session, workloads: Collection[Workload], backups: Backups, wanted: str
) -> dict[str, FoundBucket | str]:
    """What S3 says of each bucket that a configuration of these names, and of the one that is wanted."""
    configs = {config for one in workloads for config in backups.of(one.kind, one.group)}
    regions = {one.bucket: one.region for one in configs if one.provider == AWS}
    if wanted and workloads:
        regions.setdefault(wanted, "")

    async def ask(name: str, region: str) -> FoundBucket | str:
        try:
            return await read_bucket(here.calls, name, region or await here.calls.region())
        except AwsError as error:
            return str(error)

    found = await asyncio.gather(*(ask(name, region) for name, region in regions.items()))
    return dict(zip(regions, found, strict=True))


async def try_buckets(
    here: Session,
    looked: Looked,
    diagnoses: list[Diagnosis],
    issued: Mapping[Subject, SessionKeys],
    progress: Progress,
) -> list[Diagnosis]:
    """The diagnoses with what became of an object in each bucket; beforehand it says what will stay there."""
    places = {
        subject: [*_places(workload, looked.facts)]
        for subject, workload in looked.workloads.items()
        if workload.has_place
    }
    progress.hide()
    for text in await _staying(here, {place for found in places.values() for place, _ in found}):
        sys.stderr.write(f"{text}\n")
    progress.step("writing, reading and removing an object of each control plane")
    slots = asyncio.Semaphore(_AT_A_TIME)

    async def attempt(diagnosis: Diagnosis) -> Diagnosis:
        workload = looked.workloads.get(diagnosis.subject)
        if workload is None:
            return diagnosis
        async with slots:
            plane = looked.planes[diagnosis.subject]
            tried = _try(here, diagnosis, workload, plane, issued, places.get(diagnosis.subject, ()))
            found = [one async for one in tried]
        return replace(diagnosis, findings=(*diagnosis.findings, *found))

    return await asyncio.gather(*map(attempt, diagnoses))


def _places(workload: Workload, facts: Facts) -> Iterator[tuple[Place, str]]:
    """Where its objects are, each with the prefix of all objects of the configuration."""
    plane = workload.plane
    configs = [one for one in usable(workload, facts) if facts.wanted in {"", one.bucket}]
    for config in configs:
        region = facts.region_of(config.bucket) or config.region
        yield Place(config.bucket, region, config.place(plane)), config.folder
    if facts.wanted and not configs:
        yield Place(facts.wanted, facts.region_of(facts.wanted), f"{plane.group}/{plane.name}/"), ""


async def _staying(here: Session, places: Collection[Place]) -> list[str]:
    """What each bucket keeps of a probe, as sentences; nothing of one that keeps none."""
    found: list[str] = []
    for bucket, region in sorted({(place.bucket, place.region) for place in places if place.region}):
        try:
            keeping = await read_keeping(here.calls, bucket, region)
        except AwsError as error:
            found.append(f"whether bucket {bucket} keeps versions is not known, so that some may stay: {error}")
            continue
        if keeping.versioned:
            lock = f", the version locked ({keeping.locked})" if keeping.locked else ""
            what = "a version and two delete markers of each probe stay"
            found.append(f"bucket {bucket} keeps versions: {what}{lock}")
    return found


async def _try(  # noqa: PLR0913, PLR0917  one control plane's facts
    here: Session,
    diagnosis: Diagnosis,
    workload: Workload,
    plane: ControlPlane,
    issued: Mapping[Subject, SessionKeys],
    places: Collection[tuple[Place, str]],
) -> AsyncIterator[Finding]:
    if not workload.has_place:
        yield unknown(
            Check.BUCKET, "not tried: no labels name its control plane and group, so its prefix is not known"
        )
        return
    usable_places = [one for one in places if one[0].region]
    if len(usable_places) < len(places):
        yield unknown(Check.BUCKET, "not tried where the region of the bucket is not known")
    if not usable_places:
        return
    keys: SessionKeys | Finding | None = issued.get(diagnosis.subject)
    if diagnosis.associates and (eks := here.installation.eks) is not None:
        keys = await _associated_keys(here, diagnosis, plane, eks)
    if keys is None:
        yield note(Check.BUCKET, "not tried, as there are no credentials of its role")
        return
    if isinstance(keys, Finding):
        yield keys
        return
    for place, granted in usable_places:
        tried = Tried(here.calls, workload.role, place, granted)
        try:
            probed = await probe(here.calls, place, keys)
        except AwsError as error:
            yield unknown(Check.BUCKET, f"{tried.url}: {error}")
            continue
        async for finding in findings_of(probed, tried):
            yield finding


async def _associated_keys(
    here: Session, diagnosis: Diagnosis, plane: ControlPlane, eks: ClusterArn
) -> SessionKeys | Finding | None:
    """What EKS issues for a token that is bound to a running pod; None where none runs."""
    pod = next((one for one in plane.pods or () if one.phase == "Running"), None)
    if pod is None:
        return note(
            Check.BUCKET, "not tried: in mode pod-identity EKS takes the token of a running pod, and none runs"
        )
    try:
        token = await Inspection(here.connection).token(diagnosis.subject, SERVICE, BoundPod(pod.name, pod.uid))
        return await by_association(here.calls, eks, token)
    except ClusterError as error:
        return unknown(Check.BUCKET, f"no token to try with: {error}")
    except AwsError as error:
        if not error.kind.is_refusal or read_denial(str(error)).action == "eks-auth:AssumeRoleForPodIdentity":
            return unknown(Check.BUCKET, f"EKS could not be asked: {error}")
        return broken(Check.BUCKET, f"EKS issues no credentials for {pod.name}: {error}")
