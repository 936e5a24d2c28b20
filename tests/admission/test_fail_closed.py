"""Where `deny` is set what cannot be known is refused, and only creation or a change of role is judged."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.reviews import annotated, review, reviewing
from tests.support.simulated_iam import Trouble
from tests.support.sites import pool, role, subject
from tests.support.virtual_time import in_virtual_time, now
from tests.support.worlds import BUDGET, World, labelled
from webhook.model.bindings import Binding, ExistingAnnotation, Mode
from webhook.model.names import Subject
from webhook.model.selectors import NamePattern, NamespaceSelector

if TYPE_CHECKING:
    from tests.support.reviews import Reviewer

ROLE, OTHER = pool(2)
SUBJECT = subject(1)
EXTERNAL = "arn:aws:iam::123456789012:role/made-by-hand"
KEEP, OVERRIDE, DENY = ExistingAnnotation.KEEP, ExistingAnnotation.OVERRIDE, ExistingAnnotation.DENY
IRSA, PODS, ANNOTATE = Mode.IRSA, Mode.POD_IDENTITY, Mode.ANNOTATE


@dataclass(frozen=True)
class Change:
    """A CREATE with the role in `after`, or an UPDATE from `before`; `before` is "" where nothing was named."""

    after: str | None = None
    before: str | None = None

    def review(self, subject: Subject = SUBJECT) -> dict[str, Any]:
        after = annotated(self.after) if self.after else None
        if self.before is None:
            return review(subject, annotations=after)
        old = {"name": subject.service_account, "annotations": annotated(self.before) if self.before else None}
        return review(subject, operation="UPDATE", annotations=after, oldObject={"metadata": old})

    def __str__(self) -> str:
        def short(one: str) -> str:
            return one.rpartition("/")[2] or "none"

        after = short(self.after or "")
        return f"create-{after}" if self.before is None else f"update-{short(self.before)}-{after}"


CREATED, CREATED_OURS, CREATED_EXTERNAL = Change(), Change(ROLE.value), Change(EXTERNAL)
KEPT_OURS, KEPT_EXTERNAL, KEPT_NONE = Change(ROLE.value, ROLE.value), Change(EXTERNAL, EXTERNAL), Change("", "")
TO_EXTERNAL, TO_OURS, TO_OTHER = (
    Change(EXTERNAL, ROLE.value),
    Change(ROLE.value, ""),
    Change(OTHER.value, ROLE.value),
)
STRIPPED = Change("", ROLE.value)


@dataclass(frozen=True)
class Case:
    """What is set, what is asked, and the status code of the refusal, or None where it is allowed."""

    change: Change
    code: int | None
    trust: bool = False
    """Whether onTrustFailure is deny."""
    existing: ExistingAnnotation = KEEP
    mode: Mode = IRSA
    annotation: str | None = None
    warns: bool = True

    def __str__(self) -> str:
        return f"{'deny' if self.trust else 'allow'}-{self.existing}-{self.mode}-{self.change}"


def _ids(cases: list[Case]) -> list[str]:
    return [str(case) for case in cases]


UNKNOWN = [
    # Neither is deny: as long as the namespace is not known, nothing is refused.
    *(Case(change, None) for change in (CREATED, CREATED_OURS, CREATED_EXTERNAL, TO_EXTERNAL, KEPT_OURS)),
    Case(CREATED_EXTERNAL, None, existing=OVERRIDE),
    # An external role might be one that the binding denies.
    Case(CREATED_EXTERNAL, 503, existing=DENY),
    Case(CREATED_EXTERNAL, 503, trust=True, existing=DENY),
    Case(TO_EXTERNAL, 503, existing=DENY),
    Case(CREATED_EXTERNAL, 503, existing=DENY, mode=PODS),
    Case(CREATED_EXTERNAL, 503, existing=DENY, mode=ANNOTATE),
    Case(KEPT_EXTERNAL, None, existing=DENY),
    *(Case(change, None, existing=DENY) for change in (CREATED, CREATED_OURS, KEPT_OURS, STRIPPED, TO_OURS)),
    # It might be one that has to be trusted.
    *(Case(change, 503, trust=True) for change in (CREATED, CREATED_OURS, TO_OURS, STRIPPED)),
    Case(CREATED_EXTERNAL, 503, trust=True, existing=OVERRIDE),
    Case(CREATED, 503, trust=True, mode=PODS),
    *(Case(change, None, trust=True) for change in (KEPT_OURS, KEPT_NONE, KEPT_EXTERNAL)),
    # Whatever the namespace is, trust is not asked for.
    Case(CREATED_EXTERNAL, None, trust=True),
    Case(CREATED, None, trust=True, mode=ANNOTATE),
    Case(KEPT_NONE, None, trust=True, mode=PODS),
    Case(TO_OURS, None, trust=True, mode=PODS),
]


async def _send(reviewer: Reviewer, case: Case, subject: Subject = SUBJECT) -> None:
    reply = await reviewer.send(case.change.review(subject))
    assert reply.status == 200  # another would pass under failurePolicy Ignore
    assert reply.allowed is (case.code is None)
    assert reply.annotation == case.annotation
    if case.code is None:
        assert bool(reply.warnings) is case.warns
    else:
        assert reply.response["status"]["code"] == case.code
        assert reply.patch == []


def _world(case: Case, *, known: bool = True) -> World:
    roles = (ROLE, OTHER) if case.mode is not PODS else (ROLE,)
    world = World(labelled(*roles, mode=case.mode, existing=case.existing), refuses=case.trust)
    if known:
        world.cluster.add_namespace(SUBJECT.namespace)
    return world


@pytest.mark.parametrize("case", UNKNOWN, ids=_ids(UNKNOWN))
@in_virtual_time
async def test_where_the_namespace_cannot_be_looked_up_deny_refuses(case: Case) -> None:
    world = _world(case)
    world.cluster.failing_reads = float("inf")
    async with reviewing(world) as reviewer:
        await _send(reviewer, case)
        await asyncio.sleep(60)
    assert world.iam.calls == []


IN_A_FLOOD = [one for one in UNKNOWN if one.change is CREATED_EXTERNAL and one.mode is IRSA]


@pytest.mark.parametrize("case", IN_A_FLOOD, ids=_ids(IN_A_FLOOD))
@in_virtual_time
async def test_a_flood_of_forged_reviews_costs_a_refusal_and_no_allow(case: Case) -> None:
    world = _world(case)
    world.cluster._latency = 0.01  # noqa: SLF001
    async with reviewing(world) as reviewer:
        forged = [
            asyncio.create_task(reviewer.send(review(subject(number)), path="/mutate?timeout=2s"))
            for number in range(100, 900)
        ]
        await asyncio.sleep(0.001)
        answer = await reviewer.send(case.change.review(), path="/mutate?timeout=1s")
        assert answer.allowed is (case.code is None)
        await asyncio.gather(*forged)


@pytest.mark.parametrize("trust", [True, False])
@in_virtual_time
async def test_a_name_that_no_binding_is_about_is_never_refused(*, trust: bool) -> None:
    world = _world(Case(CREATED, None, trust=trust, existing=DENY))
    world.cluster.failing_reads = float("inf")
    stranger = Subject(SUBJECT.namespace, "default")
    async with reviewing(world) as reviewer:
        await _send(reviewer, Case(CREATED_EXTERNAL, None, warns=False), stranger)
    assert world.cluster.reads == []


@in_virtual_time
async def test_a_namespace_whose_name_no_binding_fits_is_not_looked_up_and_not_refused() -> None:
    selector = NamespaceSelector(pattern=NamePattern("mxp-*-system"))
    world = World(Binding("backup", SUBJECT.service_account, selector, IRSA, (ROLE,), DENY), refuses=True)
    world.cluster.failing_reads = float("inf")
    async with reviewing(world) as reviewer:
        await _send(
            reviewer, Case(CREATED_EXTERNAL, None, warns=False), Subject("default", SUBJECT.service_account)
        )
    assert world.cluster.reads == []


@pytest.mark.parametrize(("selected", "code"), [(True, 403), (False, None)])
@in_virtual_time
async def test_while_in_touch_the_watch_is_enough_to_judge(*, selected: bool, code: int | None) -> None:
    case = Case(CREATED_EXTERNAL, code, trust=True, existing=DENY, warns=False)
    world = _world(case, known=False)
    world.cluster.add_namespace(SUBJECT.namespace, selected=selected)
    async with world.running(), reviewing(world) as reviewer:
        world.cluster.failing_reads = float("inf")
        await _send(reviewer, case)
        assert world.cluster.reads == [] or not selected


@in_virtual_time
async def test_a_new_namespace_is_served_in_a_flood_as_soon_as_the_watch_shows_it() -> None:
    case = Case(CREATED_EXTERNAL, 403, existing=DENY)
    world = _world(case, known=False)
    async with world.running(), reviewing(world) as reviewer:
        names = (subject(number) for number in range(100, 900))
        forged = [asyncio.create_task(reviewer.send(review(one))) for one in names]
        await asyncio.sleep(0.001)
        world.cluster.add_namespace(SUBJECT.namespace)
        await _send(reviewer, case)
        assert now() < 1.2
        await asyncio.gather(*forged)


TROUBLED = [
    Case(CREATED, 503, trust=True),
    Case(CREATED, None, annotation=ROLE.value),
    Case(CREATED_OURS, 503, trust=True),
    Case(TO_OURS, 503, trust=True),
    Case(TO_OTHER, 503, trust=True),
    Case(KEPT_OURS, None, trust=True, existing=DENY),
    Case(KEPT_NONE, None, trust=True, annotation=ROLE.value),
    Case(STRIPPED, None, trust=True, annotation=ROLE.value),
    Case(CREATED, 503, trust=True, mode=PODS),
    Case(KEPT_NONE, None, trust=True, mode=PODS),
    Case(KEPT_EXTERNAL, None, trust=True, existing=DENY),
    Case(CREATED_EXTERNAL, 403, trust=True, existing=DENY),
    Case(TO_EXTERNAL, 403, trust=True, existing=DENY),
]


@pytest.mark.parametrize("case", TROUBLED, ids=_ids(TROUBLED))
@in_virtual_time
async def test_while_iam_denies_only_a_creation_or_a_change_of_role_is_refused(case: Case) -> None:
    world = World(
        labelled(ROLE, *(() if case.change is not TO_OTHER else (OTHER,)), mode=case.mode, existing=case.existing),
        refuses=case.trust,
    )
    world.cluster.add_namespace(SUBJECT.namespace)
    world.iam.have(Trouble.ACCESS_DENIED, "read", "write")
    async with reviewing(world) as reviewer:
        await world.grants.wait_until_synced(1.0)
        await _send(reviewer, case)


@in_virtual_time
async def test_an_update_that_keeps_the_role_does_not_wait_for_aws_and_its_trust_follows() -> None:
    world = _world(Case(KEPT_OURS, None))
    world.iam.have(Trouble.HANGS)
    async with world.running(), reviewing(world) as reviewer:
        began = now()
        await _send(reviewer, Case(KEPT_OURS, None, warns=False))
        assert now() == began
        world.iam.recover()
        await asyncio.sleep(30)
        assert SUBJECT in world.trusted_in(ROLE)


@in_virtual_time
async def test_an_update_that_strips_the_annotation_waits_and_gets_it_back() -> None:
    world = World(labelled(role()))
    world.cluster.add_namespace(SUBJECT.namespace)
    world.iam.have(Trouble.HANGS)
    async with reviewing(world) as reviewer:
        reply = await reviewer.send(Change("", role().value).review())
    assert reply.annotation == role().value
    assert now() == pytest.approx(BUDGET, abs=0.001)


@in_virtual_time
async def test_what_is_nested_too_deep_to_be_read_is_refused_and_no_http_error() -> None:
    """Only an API server's own limit, 10,000 levels, bounds what a person writes into managedFields."""
    body = json.dumps(CREATED_EXTERNAL.review())
    deep = '{"f:a":' * 5000 + "{}" + "}" * 5000
    body = body.replace('"metadata": {', f'"metadata": {{"managedFields": [{{"fieldsV1": {deep}}}], ', 1)
    world = World(labelled(ROLE, existing=DENY))
    world.cluster.add_namespace(SUBJECT.namespace)  # Python 3.13 reads it, and the binding refuses it
    async with world.running(), reviewing(world) as reviewer:
        reply = await reviewer.send(body.encode())
    assert reply.status == 200
    assert not reply.allowed
    assert reply.response["status"]["code"] == 403


@pytest.mark.parametrize(
    ("existing", "trust"),
    [(DENY, False), (KEEP, True), (KEEP, False)],
    ids=["existing-deny", "trust-deny", "no-deny"],
)
@in_virtual_time
async def test_what_is_too_large_to_be_read_is_denied_where_deny_is_set(
    existing: ExistingAnnotation,
    trust: bool,  # noqa: FBT001  a setting
) -> None:
    """A ServiceAccount of a MiB of `<`, which an API server writes as six characters each, twice."""
    large = CREATED_EXTERNAL.review()
    large["request"]["object"]["secrets"] = [{"name": "\\u003c" * 1_250_000}]
    body = json.dumps(large, separators=(",", ":")).encode()
    world = World(labelled(ROLE, existing=existing), refuses=trust)
    async with world.running(), reviewing(world) as reviewer:
        reply = await reviewer.send(body)
    if existing is DENY or trust:
        assert (reply.status, reply.allowed, reply.response["status"]["code"]) == (200, False, 413)
        assert reply.response["uid"] == large["request"]["uid"]
    else:
        assert reply.status == 413
