"""Whether a role has room is answered for each review: as `amend` would, however many wait, and at once."""

from __future__ import annotations

import asyncio
import time

from hypothesis import given
from hypothesis import strategies as st

from tests.support.simulated_iam import SimulatedIam, Trouble
from tests.support.sites import PATIENCE, own_in, role, site, subject
from tests.support.virtual_time import in_virtual_time
from webhook.iam.amendment import amend
from webhook.model.names import Subject

ROLE = role()
OWN = own_in(ROLE)
EXTERNAL, DENIED = subject(101), subject(102)


def _named(number: int) -> Subject:
    """Subjects of many lengths, one of them trusted externally and one denied."""
    return (EXTERNAL, DENIED)[number] if number < 2 else Subject("a" * (number % 60 + 1), f"sa-{number}")


def _store_statements_of_others(iam: SimulatedIam) -> None:
    def add(document: dict[str, object]) -> None:
        statements = document["Statement"]
        assert isinstance(statements, list)
        statements.append({**OWN.render([EXTERNAL]), "Sid": "ByHand"})
        denied = {k: v for k, v in OWN.render([DENIED]).items() if k != "Condition"}
        deny = {"Sid": "No", "Effect": "Deny", "Condition": {"StringEquals": {OWN.subject_key: str(DENIED)}}}
        statements.append({**denied, **deny})

    iam.edit(ROLE, add)


steps = st.lists(
    st.tuples(st.sampled_from(["submit", "withdraw", "ask"]), st.integers(0, 30)), min_size=5, max_size=60
)


@given(steps=steps, limit=st.integers(1500, 2600), starts_empty=st.booleans())
@in_virtual_time
async def test_the_answer_is_that_of_an_amendment_for_all_pending_grants(
    steps: list[tuple[str, int]], limit: int, *, starts_empty: bool
) -> None:
    iam = SimulatedIam(limit=limit)
    here = site(iam, ROLE)
    _store_statements_of_others(iam)
    writer = here.writers[ROLE]
    if starts_empty:
        await writer.wait_until_synced()
    else:
        await here.grants.obtain(here.grant(subject(1)), PATIENCE)
    policy = await iam.client("test").read(ROLE)  # as IAM answers it: lists of one are unwrapped
    iam.have(Trouble.HANGS)
    waiting: dict[Subject, None] = {}
    for step, number in steps:
        account = _named(number)
        if step == "submit":
            writer.submit(account)
            waiting.setdefault(account)
        elif step == "withdraw":
            writer.withdraw(account, "not wanted any more")
            waiting.pop(account, None)
        slow = amend(policy, OWN, frozenset(), [*waiting, account], limit)
        assert writer.has_room_for(account) is not slow.finds_no_room_for(account)


@in_virtual_time
async def test_a_thousand_answers_with_a_thousand_waiting_cost_little() -> None:
    iam = SimulatedIam(limit=131072)
    here = site(iam, ROLE)
    writer = here.writers[ROLE]
    await writer.wait_until_synced()
    iam.have(Trouble.HANGS)
    began = time.process_time()
    for number in range(1000):
        writer.submit(subject(number))
        assert writer.has_room_for(subject(number))
    assert time.process_time() - began < 3.0  # one amendment for each would take minutes


@in_virtual_time
async def test_reviews_are_answered_while_external_statements_are_weighed_for_thousands() -> None:
    iam = SimulatedIam(latency=0)
    here = site(iam, ROLE)
    _store_statements_of_others(iam)
    here.wanted[ROLE] = [subject(number) for number in range(5000)]
    looked = asyncio.ensure_future(here.writers[ROLE].wait_until_synced())
    turns = 0
    while not looked.done():
        await asyncio.sleep(0)
        turns += 1
    assert turns >= 5000 / 100
