"""What the configurations of backups say of one control plane's backups, by what was read alone."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from webhook.cli.setup.spaces import BACKUP, SPACES_NAMESPACE
from webhook.cli.verify.bucket import fixes
from webhook.cli.verify.bucket.configs import INJECTED, ConfigKind
from webhook.cli.verify.findings import Check, Finding, broken, note, ok, unknown
from webhook.model.buckets import BucketState

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from webhook.cli.verify.bucket.configs import BackupConfig, Backups
    from webhook.model.buckets import FoundBucket
    from webhook.model.control_planes import ControlPlane
    from webhook.model.names import RoleArn, Subject

AWS = "AWS"


@dataclass(frozen=True, slots=True)
class Workload:
    """What backs up as a ServiceAccount: a control plane, or the Space itself."""

    kind: ConfigKind
    role: RoleArn
    plane: ControlPlane

    @property
    def group(self) -> str:
        """Where its configurations are; empty for those of the whole Space."""
        return self.plane.group if self.kind is ConfigKind.SHARED else ""

    @property
    def has_place(self) -> bool:
        """Whether it is known where its objects are."""
        return self.kind is ConfigKind.SHARED and bool(self.plane.group and self.plane.name)


def workload_of(subject: Subject, role: RoleArn, plane: ControlPlane) -> Workload | None:
    """The workload of a ServiceAccount; None for one that has nothing to do with backups."""
    if subject.service_account == BACKUP.service_account:
        return Workload(ConfigKind.SHARED, role, plane)
    if subject.namespace == SPACES_NAMESPACE and subject.service_account.endswith("-controller"):
        return Workload(ConfigKind.SPACE, role, plane)
    return None


@dataclass(frozen=True, slots=True)
class Facts:
    """What was read. `wanted` is the bucket that a person named, `buckets` what S3 says of each by its name."""

    backups: Backups
    buckets: Mapping[str, FoundBucket | str]
    wanted: str = ""

    def is_missing(self, bucket: str) -> bool:
        """Whether S3 knows no bucket of that name."""
        found = self.buckets.get(bucket)
        return found is not None and not isinstance(found, str) and found.state is BucketState.MISSING

    def region_of(self, bucket: str) -> str:
        """A bucket's region; empty where S3 does not say it."""
        found = self.buckets.get(bucket)
        return "" if found is None or isinstance(found, str) else found.region or ""


def check_backups(workload: Workload, facts: Facts) -> Iterator[Finding]:
    """Configurations and schedules of one workload. Nothing where the cluster serves no such kind."""
    kind, backups, group = workload.kind, facts.backups, workload.plane.group
    if kind not in backups.served:
        return
    if kind is ConfigKind.SHARED and not group:
        yield note(
            Check.BACKUP_CONFIG, "its group is not known, as no label names it: its backups were not looked at"
        )
        return
    configs = backups.of(kind, workload.group)
    if not configs:
        yield _none(workload, facts)
        return
    for config in configs:
        yield _config(config, workload, facts)
    yield from _schedules(workload, facts, {config.name for config in configs})


def usable(workload: Workload, facts: Facts) -> list[BackupConfig]:
    """The configurations by which its backups go to S3 with the pod's identity, to a bucket that may be there."""
    found = facts.backups.of(workload.kind, workload.group)
    mine = [one for one in found if (one.provider, one.source) == (AWS, INJECTED)]
    return [one for one in mine if not facts.is_missing(one.bucket)]


def unread(backups: Backups) -> Iterator[Finding]:
    """What could not be listed."""
    if backups.unread:
        why = next(iter(backups.unread.values()))
        yield unknown(Check.BACKUP_CONFIG, f"{', '.join(backups.unread)} could not be listed: {why}")


def _none(workload: Workload, facts: Facts) -> Finding:
    if workload.kind is ConfigKind.SPACE:
        return note(Check.BACKUP_CONFIG, "there is no SpaceBackupConfig: the Space itself is not backed up")
    group, bucket = workload.plane.group, facts.wanted or "NAME"
    why = f"group {group} has no SharedBackupConfig, so that nothing of it is backed up"
    named = sorted({one.config for one in facts.backups.schedules if one.group == group})
    place = fixes.Wanted(named[0] if named else bucket, bucket, group, workload.role.partition)
    if region := facts.region_of(facts.wanted):
        return broken(Check.BACKUP_CONFIG, why, fixes.create_config(place, region))
    return replace(broken(Check.BACKUP_CONFIG, why), template=fixes.create_config(place, "NAME"))


def _config(config: BackupConfig, workload: Workload, facts: Facts) -> Finding:
    if config.provider != AWS:
        return note(Check.BACKUP_CONFIG, f"{config} is for {config.provider}, which needs no identity of AWS")
    if config.source != INJECTED:
        why = f"{config} takes its credentials from a {config.source}: the role is not used"
        return broken(Check.BACKUP_CONFIG, why, fixes.use_identity(config))
    partition, bucket = workload.role.partition, facts.wanted or config.bucket
    region = facts.region_of(bucket)
    if bucket != config.bucket:
        why = f"{config} names bucket {config.bucket}, and not {bucket}"
        return broken(
            Check.BACKUP_CONFIG, why, fixes.use_bucket(config, bucket, region, partition) if region else None
        )
    if facts.is_missing(bucket):
        why = f"{config} names bucket {bucket}, which does not exist"
        return replace(
            broken(Check.BACKUP_CONFIG, why), template=fixes.use_bucket(config, "NAME", "NAME", partition)
        )
    if region and config.region != region:
        why = f"{config} names region {config.region or 'none'}, but bucket {bucket} is in {region}"
        return broken(Check.BACKUP_CONFIG, why, fixes.use_bucket(config, bucket, region, partition))
    if isinstance(why_not := facts.buckets.get(bucket), str):
        return unknown(
            Check.BACKUP_CONFIG, f"{config} names bucket {bucket}, which could not be looked at: {why_not}"
        )
    place = config.place(workload.plane) if workload.has_place else ""
    return ok(Check.BACKUP_CONFIG, f"{config} has its backups at s3://{bucket}/{place}, with the pod's identity")


def _schedules(workload: Workload, facts: Facts, configs: set[str]) -> Iterator[Finding]:
    if workload.kind is ConfigKind.SPACE or any("schedule" in one for one in facts.backups.unread):
        return
    plane = workload.plane
    mine = [
        one
        for one in facts.backups.schedules
        if one.group == plane.group and (one.control_planes is None or plane.name in one.control_planes)
    ]
    for one in mine:
        if one.config not in configs:
            yield broken(Check.SCHEDULE, f"{one} names SharedBackupConfig {one.config}, which does not exist")
    running = [one for one in mine if not one.suspended]
    if not running:
        suspended = f", as {mine[0]} is suspended" if mine else ""
        yield note(Check.SCHEDULE, f"no schedule backs it up{suspended}")
