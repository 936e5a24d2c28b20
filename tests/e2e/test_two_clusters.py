"""Two clusters share a role: no lock reaches both, so each leaves the other's statement as read."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest

from rig.aws.faults import Latency
from rig.aws.standin import AwsStandIn
from rig.aws.trust import Write
from rig.permissions import PROGRAM
from rig.space import Space
from rig.waiting import eventually
from tests.e2e.observe import is_trusted
from tests.e2e.replicas import api_server, make_one
from tests.e2e.scenes import LARGE_QUOTA, serving
from tests.e2e.writers import (
    assert_external_statements_never_changed,
    name_of,
    subjects_over_time,
    windows,
)
from tests.proof.records import Record

INTERVAL_S = 10.0
LOAD_S = 60
PASS_S = 1.0
"""Seconds that a pass may take at 0.15 s a call: read and write, once more if the other cluster came between, and
the 0.3 s that the writer lets grants gather after a write."""
MARGIN_S = 15.0
"""Seconds for which the test waits beyond that, to say how late it was."""
ROLE = "mxp-backup"
OTHER_PROGRAM = f"{PROGRAM}-2"


@dataclass(frozen=True)
class Member:
    """One of the clusters: its Space, the Sid of its statement once it has one, and its control planes."""

    space: Space
    namespaces: list[str]

    @property
    def sid(self) -> str:
        """The Sid of its statement, found by the issuer in it."""
        issuer = self.space.cluster.issuer.removeprefix("https://")
        return next(
            str(statement["Sid"])
            for write in reversed(self.space.aws.history(ROLE))
            for statement in json.loads(write.document)["Statement"]
            if statement.get("Sid", "").startswith("MxpIdentity") and issuer in json.dumps(statement)
        )

    def is_whole(self) -> bool:
        """Whether the role names all its control planes now."""
        named = json.dumps(self.space.policy(ROLE))
        return all(f":{name}:" in named for name in self.namespaces)


@pytest.fixture
def members() -> Iterator[list[Member]]:
    with (
        api_server() as one,
        api_server() as other,
        Space(cluster=one, quota=LARGE_QUOTA) as first,
        Space(cluster=other, aws=first.aws, own_role=OTHER_PROGRAM) as second,
    ):
        yield [Member(first, []), Member(second, [])]


@pytest.mark.rig
@pytest.mark.proof
@pytest.mark.timeout(400)
def test_two_clusters_that_share_a_role_are_both_whole_within_an_interval_after_the_load(
    members: list[Member], record: Record
) -> None:
    aws = members[0].space.aws
    often = {"interval": f"{INTERVAL_S:g}s"}
    with serving(members[0].space, reconciler=often), serving(members[1].space, reconciler=often):
        aws.switch_on(Latency(seconds=0.15, actions=("GetRole", "UpdateAssumeRolePolicy")))
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda member: _load(member, LOAD_S), members))
        ended = time.monotonic()
        incomplete = sum(not member.is_whole() for member in members)
        eventually(
            lambda: all(member.is_whole() for member in members),
            "both statements are whole",
            timeout=INTERVAL_S + MARGIN_S,
        )
        healed = time.monotonic() - ended
        assert healed <= INTERVAL_S + PASS_S
        for member in members:
            assert all(is_trusted(member.space, name) for name in member.namespaces)
    first, second = (member.sid for member in members)
    history = aws.history(ROLE)
    bases = _bases(aws, history)
    edited = [
        write for write in history if write.request_id in bases and _edits_the_other(write, bases, (first, second))
    ]
    assert edited == [], "a statement that is not the writer's differs from what the writer had read"
    assert_external_statements_never_changed(aws)
    record(
        f"two clusters share a role under load; both statements are whole within an interval of {INTERVAL_S:g} s",
        seconds_of_load=LOAD_S,
        control_planes=sum(len(member.namespaces) for member in members),
        writes=len(bases),
        lost_updates_in_the_window=_lost_updates(aws, history, (first, second)),
        statements_incomplete_when_the_load_ended=incomplete,
        whole_after_s=round(healed, 1),
    )


def _load(member: Member, seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        member.namespaces.append(make_one(member.space).namespace)


def _bases(aws: AwsStandIn, history: list[Write]) -> dict[str, list[Write]]:
    """For each write of the programs, the policies that were the role's at some time during its base read."""
    found = {}
    for window in windows(aws, ROLE):
        if window.code == "OK":
            before = [write for write in history if write.at <= window.read][-1:]
            during = [write for write in history if window.read < write.at <= window.read_answered]
            found[window.request_id] = before + during
    return found


def _edits_the_other(write: Write, bases: dict[str, list[Write]], sids: tuple[str, str]) -> bool:
    """Whether the statement of the cluster that did not write is in none of the base's versions as written."""
    theirs = _their_sid(write, sids)
    return all(_named(write, theirs) != _named(base, theirs) for base in bases[write.request_id])


def _lost_updates(aws: AwsStandIn, history: list[Write], sids: tuple[str, str]) -> int:
    """Writes that took a subject of the other cluster away again, because it came after their read."""
    over_time = {sid: subjects_over_time(aws, ROLE, sid) for sid in sids}
    return sum(
        not over_time[theirs][number - 1] <= over_time[theirs][number]
        for number, write in enumerate(history)
        if number and (theirs := _their_sid(write, sids))
    )


def _their_sid(write: Write, sids: tuple[str, str]) -> str:
    return sids[0] if name_of(write.caller).startswith(f"{OTHER_PROGRAM}/") else sids[1]


def _named(write: Write, sid: str) -> Any:
    return next((item for item in json.loads(write.document)["Statement"] if item.get("Sid") == sid), None)
