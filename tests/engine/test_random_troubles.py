"""Any schedule of arrivals, edits and troubles: the rules hold for every document, and all end trusted."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.support.invariants import assert_statement_is_whole, assert_writes_were_careful, external_part
from tests.support.locks import InProcessLock
from tests.support.simulated_iam import SimulatedIam, Trouble
from tests.support.sites import Site, external_document, own_in, pool, role, site, subject
from tests.support.virtual_time import run, until

if TYPE_CHECKING:
    from webhook.model.names import RoleArn, Subject

ROLE = role()
OWN = own_in(ROLE)
ROLES = pool(3)
LAST_TROUBLE = 120.0
HEALED = 240.0
"""Seconds after the last trouble: a pass a minute, a memory of a minute, and the looks in between."""

examples = settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])


@dataclass(frozen=True)
class Arrival:
    at: float
    number: int
    program: int = 0


@dataclass(frozen=True)
class Mishap:
    at: float
    trouble: Trouble
    operation: str
    times: int


@dataclass(frozen=True)
class HandEdit:
    at: float
    kind: str


moments = st.floats(0, LAST_TROUBLE, width=16)
arrivals = st.lists(st.builds(Arrival, moments, st.integers(0, 7), st.integers(0, 1)), min_size=1, max_size=12)
mishaps = st.lists(
    st.builds(
        Mishap,
        moments,
        st.sampled_from([one for one in Trouble if one is not Trouble.NOT_ALLOWED]),
        st.sampled_from(["read", "write"]),
        st.integers(1, 4),
    ),
    max_size=6,
)
hand_edits = st.lists(
    st.builds(HandEdit, moments, st.sampled_from(["remove", "no audience", "no subject", "new statement"])),
    max_size=3,
)
lags = st.sampled_from([0.0, 0.0, 3.0, 10.0, 30.0])
latencies = st.sampled_from([0.0, 0.05, 0.4, 1.0])


@examples
@given(arrivals, mishaps, hand_edits, lags, latencies)
@example([Arrival(0, 0), Arrival(1, 1)], [Mishap(0, Trouble.APPLIED_LATE, "write", 1)], [], 0.0, 0.05)
@example([Arrival(0, 0), Arrival(9, 1)], [], [HandEdit(5, "no audience")], 30.0, 0.05)
@example([Arrival(0, 0), Arrival(0, 1)], [], [HandEdit(100, "no audience")], 10.0, 0.0)
def test_every_wanted_subject_ends_trusted_and_every_write_was_careful(
    coming: list[Arrival], going_wrong: list[Mishap], edits: list[HandEdit], lag: float, latency: float
) -> None:
    async def history() -> None:
        iam, lock = SimulatedIam(stale=lag, latency=latency), InProcessLock()
        here, there = site(iam, ROLE, lock=lock), Site(iam, ROLE, name="b", lock=lock)
        there.wanted = here.wanted
        await asyncio.gather(
            *(_arrive((here, there)[arrival.program], arrival) for arrival in coming),
            *(_go_wrong(iam, mishap) for mishap in going_wrong),
            *(_edit(iam, edit) for edit in edits),
            _pass_every_minute(here),
            _pass_every_minute(there),
        )
        expected = {subject(arrival.number) for arrival in coming}
        assert here.trusted_in(ROLE) == expected
        assert_statement_is_whole(iam.document(ROLE), OWN)
        assert_writes_were_careful(iam, own_in, expected)
        await _assert_quiet(iam, here)

    run(history())


@examples
@given(arrivals, mishaps, lags, latencies)
def test_no_subject_is_ever_dropped_by_the_program_itself(
    coming: list[Arrival], going_wrong: list[Mishap], lag: float, latency: float
) -> None:
    """Without hand edits, and where each write takes effect before its caller gave up."""
    timely = [mishap for mishap in going_wrong if mishap.trouble is not Trouble.APPLIED_LATE]

    async def history() -> None:
        iam = SimulatedIam(stale=lag, latency=latency)
        here = site(iam, ROLE)
        await asyncio.gather(
            *(_arrive(here, arrival) for arrival in coming),
            *(_go_wrong(iam, mishap) for mishap in timely),
            _pass_every_minute(here),
        )
        trusted = [own_subjects(document) for document in iam.history(ROLE)]
        assert all(earlier <= later for earlier, later in pairwise(trusted))
        parts = {external_part(document, OWN) for document in iam.history(ROLE)}
        assert parts == {external_part(external_document(ROLE), OWN)}

    run(history())


@examples
@given(arrivals, mishaps, latencies)
def test_in_a_pool_each_subject_ends_in_exactly_one_role(
    coming: list[Arrival], going_wrong: list[Mishap], latency: float
) -> None:
    # Where a role cannot be read for a reason that needs a person, others take its place: not this test.
    passing = [mishap for mishap in going_wrong if mishap.trouble is not Trouble.ACCESS_DENIED]

    async def history() -> None:
        iam = SimulatedIam(latency=latency)
        here = site(iam, *ROLES)
        annotations: dict[Subject, RoleArn] = {}
        await asyncio.gather(
            *(_ask(here, arrival, annotations) for arrival in coming),
            *(_go_wrong(iam, mishap) for mishap in passing),
            _pass_over(here, annotations),
        )
        for number in {arrival.number for arrival in coming}:
            homes = [one for one in ROLES if here.trusts(one, subject(number))]
            assert homes == [annotations[subject(number)]]
        assert_writes_were_careful(iam, own_in, {subject(arrival.number) for arrival in coming})

    run(history())


def own_subjects(document: dict[str, Any]) -> set[str]:
    ours = [statement for statement in document["Statement"] if OWN.owns(statement)]
    return {name for one in ours for name in one["Condition"]["StringEquals"][OWN.subject_key]}


async def _arrive(here: Site, arrival: Arrival) -> None:
    await until(arrival.at)
    if subject(arrival.number) not in here.wanted[ROLE]:
        here.wanted[ROLE].append(subject(arrival.number))
    await here.grants.obtain(here.grant(subject(arrival.number)), 3)


async def _ask(here: Site, arrival: Arrival, annotations: dict[Subject, RoleArn]) -> None:
    """As a review does: the annotation names the role of the outcome, whatever AWS says."""
    await until(arrival.at)
    account = subject(arrival.number)
    outcome = await here.grants.obtain(here.grant(account, annotations.get(account)), 3)
    _annotate(here, account, outcome.role, annotations)


async def _pass_over(here: Site, annotations: dict[Subject, RoleArn]) -> None:
    """As the passes do, once a minute: start what is missing, and move annotations to where trust is."""
    while asyncio.get_running_loop().time() < LAST_TROUBLE + HEALED:
        here.grants.enqueue()
        for account, annotated in list(annotations.items()):
            grant = here.grant(account, annotated)
            here.grants.start(grant)
            if known := here.grants.known(grant):
                _annotate(here, account, known.role, annotations)
        await asyncio.sleep(60)


def _annotate(here: Site, account: Subject, to: RoleArn, annotations: dict[Subject, RoleArn]) -> None:
    for one in ROLES:
        here.wanted[one] = [other for other in here.wanted[one] if other != account]
    here.wanted[to].append(account)
    annotations[account] = to


async def _go_wrong(iam: SimulatedIam, mishap: Mishap) -> None:
    await until(mishap.at)
    switch = iam.have(mishap.trouble, mishap.operation, times=mishap.times)
    await until(LAST_TROUBLE)
    switch.off()


async def _edit(iam: SimulatedIam, edit: HandEdit) -> None:
    await until(edit.at)
    iam.edit(ROLE, lambda document: _edited(document, edit.kind))


def _edited(document: dict[str, Any], kind: str) -> None:
    ours = next((one for one in document["Statement"] if OWN.owns(one)), None)
    if kind == "new statement":
        service = {"Service": "ec2.amazonaws.com"}
        document["Statement"].append({"Effect": "Allow", "Principal": service, "Action": "sts:AssumeRole"})
    elif ours is None:
        return
    elif kind == "remove":
        document["Statement"].remove(ours)
    else:
        key = OWN.audience_key if kind == "no audience" else OWN.subject_key
        ours["Condition"]["StringEquals"].pop(key, None)


async def _pass_every_minute(here: Site) -> None:
    while asyncio.get_running_loop().time() < LAST_TROUBLE + HEALED:
        here.grants.enqueue()
        for account in here.wanted[ROLE]:
            here.grants.start(here.grant(account))
        await asyncio.sleep(60)


async def _assert_quiet(iam: SimulatedIam, here: Site) -> None:
    writes = len(iam.made("write"))
    for _ in range(10):
        here.grants.enqueue()
        await asyncio.sleep(60)
    assert len(iam.made("write")) == writes
