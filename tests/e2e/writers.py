"""Who read and who wrote a role's trust policy, and when, by the stand-in's own records."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from rig.aws.standin import AwsStandIn
from tests.e2e.observe import external_parts

if TYPE_CHECKING:
    from rig.aws.calls import CallRecord


@dataclass(frozen=True)
class Window:
    """From when a writer sent its read of a role until its write was answered, in the stand-in's seconds."""

    writer: str
    read: float
    read_answered: float
    written: float
    code: str
    request_id: str


def windows(aws: AwsStandIn, role: str = "mxp-backup") -> list[Window]:
    """Every write of a role with the read that it was made from, in the order of the reads."""
    calls = sorted((call for call in aws.log if call.role == role), key=lambda call: call.started)
    found = []
    last_read: dict[str, CallRecord] = {}
    for call in calls:
        if call.action == "GetRole":
            last_read[call.caller] = call
        elif call.action == "UpdateAssumeRolePolicy":
            base = last_read[call.caller]
            found.append(
                Window(name_of(call.caller), base.started, base.ended, call.ended, call.code, call.request_id)
            )
    return sorted(found, key=lambda window: window.read)


def overlaps(found: Iterable[Window]) -> list[tuple[Window, Window]]:
    """Neighbouring windows of different writers that overlap: each is a chance to lose an update."""
    return [
        (one, next_one)
        for one, next_one in pairwise(found)
        if one.writer != next_one.writer and next_one.read < one.written
    ]


def assert_external_statements_never_changed(aws: AwsStandIn, role: str = "mxp-backup") -> None:
    """Every policy ever stored has the external statements of the first."""
    documents = {external_parts(write.document) for write in aws.history(role)}
    assert len(documents) == 1, "an external statement changed"


def subjects_over_time(aws: AwsStandIn, role: str = "mxp-backup", sid: str | None = None) -> list[set[str]]:
    """Whom our statement named in each policy ever stored; with `sid`, the statement of that Sid."""
    return [_subjects(write.document, sid) for write in aws.history(role)]


def _subjects(document: str, sid: str | None) -> set[str]:
    found: set[str] = set()
    for statement in json.loads(document)["Statement"]:
        name = statement.get("Sid", "")
        if name == sid or (sid is None and name.startswith("MxpIdentity")):
            for key, values in statement["Condition"]["StringEquals"].items():
                if key.endswith(":sub"):
                    found.update([values] if isinstance(values, str) else values)
    return found


def assert_no_subject_was_ever_dropped(aws: AwsStandIn, role: str = "mxp-backup") -> None:
    """Each policy ever stored names all subjects that the one before it named."""
    for before, after in pairwise(subjects_over_time(aws, role)):
        assert before <= after, f"dropped: {sorted(before - after)}"


def name_of(caller: str) -> str:
    """A replica's name, from the ARN of its session: role and session, so that two clusters' differ."""
    return caller.partition("assumed-role/")[2]
