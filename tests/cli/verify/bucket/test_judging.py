"""What configurations and schedules say of a control plane's backups, by what was read alone."""

import json
import shlex
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from webhook.cli.verify.bucket.configs import BackupConfig, Backups, ConfigKind, Schedule
from webhook.cli.verify.bucket.judging import Facts, Workload, check_backups, usable, workload_of
from webhook.cli.verify.findings import in_context
from webhook.model.buckets import BucketState, FoundBucket
from webhook.model.control_planes import ControlPlane
from webhook.model.names import RoleArn, Subject

if TYPE_CHECKING:
    from webhook.cli.verify.findings import Finding

ROLE = RoleArn("arn:aws:iam::123456789012:role/mxp-backup")
PLANE = ControlPlane("mxp-1-system", "orders", "team")
ME = Workload(ConfigKind.SHARED, ROLE, PLANE)
SPACE = Workload(ConfigKind.SPACE, ROLE, ControlPlane("upbound-system"))
CONFIG = BackupConfig(
    ConfigKind.SHARED, "daily", "team", "AWS", "my-backups", "prod", "InjectedIdentity", region="us-west-2"
)
SCHEDULE = Schedule("SharedBackupSchedule", "nightly", "team", "daily", frozenset({"orders"}))
FOUND = {"my-backups": FoundBucket(BucketState.THERE, "us-west-2")}
BOTH = frozenset(ConfigKind)


def _facts(*configs: BackupConfig, wanted: str = "", **backups: Any) -> Facts:
    given = {"schedules": (SCHEDULE,), "served": BOTH, **backups}
    return Facts(Backups(configs, **given), FOUND, wanted)


def _judged(facts: Facts, workload: Workload = ME) -> list[tuple[str, str, str]]:
    return [(one.check.value, one.level.value, one.message) for one in check_backups(workload, facts)]


def _fix(facts: Facts) -> tuple[str | None, str | None]:
    one: Finding = next(iter(check_backups(ME, facts)))
    return one.fix, one.template


def test_of_backups_that_are_well_the_place_is_named() -> None:
    said = "SharedBackupConfig daily has its backups at s3://my-backups/prod/team/orders/, with the pod's identity"
    assert _judged(_facts(CONFIG)) == [("backup-config", "ok", said)]
    assert usable(ME, _facts(CONFIG)) == [CONFIG]


CASES: dict[str, tuple[Facts, str, str]] = {
    "none": (_facts(), "broken", "group team has no SharedBackupConfig"),
    "of another group alone": (_facts(replace(CONFIG, group="other")), "broken", "group team has no"),
    "a Secret": (_facts(replace(CONFIG, source="Secret")), "broken", "takes its credentials from a Secret"),
    "another region": (
        _facts(replace(CONFIG, region="eu-west-1")),
        "broken",
        "names region eu-west-1, but bucket",
    ),
    "no region": (_facts(replace(CONFIG, region="")), "broken", "names region none, but bucket"),
    "another bucket": (_facts(CONFIG, wanted="vault"), "broken", "names bucket my-backups, and not vault"),
    "another cloud": (_facts(replace(CONFIG, provider="GCP")), "note", "is for GCP"),
}


@pytest.mark.parametrize("name", CASES)
def test_what_is_wrong_with_a_configuration_is_named(name: str) -> None:
    facts, level, words = CASES[name]
    check, found, message = _judged(facts)[0]
    assert (check, found) == ("backup-config", level)
    assert words in message


def test_a_bucket_that_does_not_exist_is_named() -> None:
    facts = Facts(Backups((CONFIG,), served=BOTH), {"my-backups": FoundBucket(BucketState.MISSING)})
    check, level, message = _judged(facts)[0]
    assert (check, level) == ("backup-config", "broken")
    assert "names bucket my-backups, which does not exist" in message


def test_a_bucket_that_could_not_be_looked_at_is_a_question_mark() -> None:
    facts = Facts(Backups((CONFIG,), served=BOTH), {"my-backups": "HeadBucket: timed out"})
    check, level, message = _judged(facts)[0]
    assert (check, level) == ("backup-config", "unknown")
    assert message.endswith("names bucket my-backups, which could not be looked at: HeadBucket: timed out")
    assert usable(ME, facts) == [CONFIG], "it is tried all the same"


def test_the_configuration_is_created_for_the_bucket_that_is_named_else_its_name_is_to_be_put_in() -> None:
    fix, template = _fix(_facts(wanted="my-backups"))
    assert template is None
    assert fix is not None
    assert fix.endswith("| kubectl apply -f -")
    assert '"metadata":{"name":"daily","namespace":"team"}' in fix, "as its schedule names it"
    assert '"bucket":"my-backups","config":{"endpoint":"s3.us-west-2.amazonaws.com","region":"us-west-2"}' in fix
    fix, template = _fix(_facts())
    assert fix is None
    assert template is not None
    assert '"bucket":"NAME"' in template


@pytest.mark.parametrize("wanted", ["my-backups", ""])
def test_in_another_context_its_commands_ask_that_cluster(wanted: str) -> None:
    finding = next(iter(check_backups(ME, _facts(wanted=wanted))))
    (there,) = in_context([finding], "spaces new")
    command = there.fix or there.template
    assert command is not None
    assert command.endswith(" | kubectl --context 'spaces new' apply -f -")
    assert json.loads(shlex.split(command)[2])["kind"] == "SharedBackupConfig"


SCHEDULES: dict[str, tuple[tuple[Schedule, ...], list[str]]] = {
    "its own": ((SCHEDULE,), []),
    "by labels": ((replace(SCHEDULE, control_planes=None),), []),
    "of others": ((replace(SCHEDULE, control_planes=frozenset({"payments"})),), ["no schedule backs it up"]),
    "of another group": ((replace(SCHEDULE, group="other"),), ["no schedule backs it up"]),
    "suspended": (
        (replace(SCHEDULE, suspended=True),),
        ["no schedule backs it up, as SharedBackupSchedule nightly is suspended"],
    ),
    "a dangling reference": (
        (replace(SCHEDULE, config="dialy"),),
        ["SharedBackupSchedule nightly names SharedBackupConfig dialy, which does not exist"],
    ),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_schedule_that_backs_it_up_is_looked_for(name: str) -> None:
    schedules, expected = SCHEDULES[name]
    found = _judged(_facts(CONFIG, schedules=schedules))
    assert [message for check, _, message in found if check == "schedule"] == expected


def test_nothing_is_said_of_what_is_not_served_and_nothing_is_called_missing_that_was_not_read() -> None:
    assert _judged(_facts(served=frozenset())) == []
    unread = {"sharedbackupschedules": "403"}
    assert [check for check, *_ in _judged(_facts(CONFIG, schedules=(), unread=unread))] == ["backup-config"]


def test_where_no_label_names_the_group_it_is_not_guessed() -> None:
    unknown = replace(ME, plane=replace(PLANE, group=""))
    ((_, level, message),) = _judged(_facts(CONFIG), unknown)
    assert (level, "its group is not known" in message) == ("note", True)
    assert not unknown.has_place


def test_the_space_has_configurations_of_its_own() -> None:
    ((_, level, message),) = _judged(_facts(CONFIG), SPACE)
    assert (level, "no SpaceBackupConfig" in message) == ("note", True)
    own = replace(CONFIG, kind=ConfigKind.SPACE, group="", source="Secret")
    assert _judged(_facts(own), SPACE)[0][1] == "broken"


def test_only_workloads_that_back_up_are_looked_at() -> None:
    names = {"mxp-controller": ConfigKind.SHARED, "vector": None}
    found = {name: workload_of(Subject("mxp-1-system", name), ROLE, PLANE) for name in names}
    assert {name: one.kind if one else None for name, one in found.items()} == names
    own = workload_of(Subject("upbound-system", "spaces-controller"), ROLE, PLANE)
    assert own is not None
    assert own.kind is ConfigKind.SPACE
