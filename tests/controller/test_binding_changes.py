"""A namespace is relabelled while its ServiceAccount waits for trust: the binding that selects it now decides."""

from __future__ import annotations

import asyncio

import pytest

from tests.support import simulated_eks
from tests.support.reviews import Reply, Reviewer, review, reviewing
from tests.support.simulated_eks import refusal
from tests.support.simulated_iam import Trouble
from tests.support.sites import role, subject
from tests.support.virtual_time import in_virtual_time
from tests.support.worlds import World, of_team
from webhook.model.aws_errors import FailureKind
from webhook.model.bindings import ExistingAnnotation, Mode
from webhook.model.outcomes import Trusted, Untrusted

KEEP = ExistingAnnotation.KEEP
SUBJECT = subject(1)
TEAMS = ("gold", "silver")
PATIENCE = 60.0


def world(*modes: Mode, existing: ExistingAnnotation = KEEP) -> World:
    both = zip(TEAMS, modes or (Mode.IRSA,) * 2, strict=True)
    return World(*(of_team(team, mode, existing) for team, mode in both))


def label(here: World, team: str | None) -> None:
    here.cluster.add_namespace(SUBJECT.namespace, selected=False, team=team or "none")


async def relabel_while_iam_is_away(here: World, team: str | None) -> asyncio.Task[Trusted | Untrusted]:
    """Ask for trust by the first binding, relabel, let IAM come back; answers the first question's task."""
    label(here, TEAMS[0])
    here.cluster.add_account(SUBJECT)
    away = here.iam.have(Trouble.THROTTLED)
    await asyncio.sleep(1)
    (grant,) = here.cache.grants_in(SUBJECT.namespace)
    asked = asyncio.create_task(here.grants.obtain(grant, PATIENCE))
    await asyncio.sleep(1)
    label(here, team)
    await asyncio.sleep(1)
    away.off()
    await asyncio.sleep(30)
    return asked


@in_virtual_time
async def test_a_subject_that_waits_gets_the_role_of_the_binding_that_selects_it_now() -> None:
    here = world()
    async with here.running():
        asked = await relabel_while_iam_is_away(here, TEAMS[1])
        assert here.homes(SUBJECT) == [role(TEAMS[1])]
        assert here.cluster.annotation(SUBJECT) == role(TEAMS[1]).value
        outcome = await asked
        assert isinstance(outcome, Trusted)
        assert outcome.role == role(TEAMS[1])


@pytest.mark.parametrize("modes", [(Mode.IRSA, Mode.POD_IDENTITY), (Mode.POD_IDENTITY, Mode.IRSA)])
@in_virtual_time
async def test_a_binding_of_another_mode_decides_too(modes: tuple[Mode, Mode]) -> None:
    here = world(*modes)
    async with here.running():
        here.eks.have(simulated_eks.Trouble(refusal(FailureKind.THROTTLED), times=100))
        await relabel_while_iam_is_away(here, TEAMS[1])
        here.eks.recover()
        await asyncio.sleep(30)
        associated = {one: found.role for one, found in here.eks.now.items()}
        if modes[1] is Mode.POD_IDENTITY:
            assert associated == {SUBJECT: role(TEAMS[1]).value}
            assert here.homes(SUBJECT) == []
        else:
            assert associated == {}
            assert here.homes(SUBJECT) == [role(TEAMS[1])]
            assert here.cluster.annotation(SUBJECT) == role(TEAMS[1]).value


@in_virtual_time
async def test_a_subject_that_no_binding_selects_any_more_is_not_trusted() -> None:
    here = world()
    async with here.running():
        asked = await relabel_while_iam_is_away(here, None)
        assert here.homes(SUBJECT) == []
        outcome = await asked
        assert isinstance(outcome, Untrusted)
        assert outcome.kind is FailureKind.WITHDRAWN
        assert "no binding selects" in outcome.reason


@in_virtual_time
async def test_a_subject_that_is_selected_again_meanwhile_is_trusted() -> None:
    here = world()
    async with here.running():
        label(here, TEAMS[0])
        here.cluster.add_account(SUBJECT)
        away = here.iam.have(Trouble.THROTTLED)
        await asyncio.sleep(1)
        for team in (None, TEAMS[1], None, TEAMS[0]):
            label(here, team)
            await asyncio.sleep(1)
        away.off()
        await asyncio.sleep(30)
        assert here.homes(SUBJECT) == [role(TEAMS[0])]
        assert here.cluster.annotation(SUBJECT) == role(TEAMS[0]).value


@in_virtual_time
async def test_a_live_read_that_is_ahead_of_the_watch_is_not_undone_by_an_older_state() -> None:
    """A review reads the namespace with its label; the watch shows an older state of it after that."""
    here = world()
    async with here.running():
        away = here.iam.have(Trouble.THROTTLED)
        label(here, TEAMS[0])
        await asyncio.sleep(1)
        (grant,) = here.cache.grants_in(SUBJECT.namespace)
        namespace = here.cache.cached(SUBJECT.namespace)
        label(here, None)
        await asyncio.sleep(1)
        here.cache.record_live(SUBJECT.namespace, namespace)
        asked = asyncio.create_task(here.grants.obtain(grant, PATIENCE))
        await asyncio.sleep(0.1)
        here.cluster.add_namespace(SUBJECT.namespace, selected=False, older="state")
        await asyncio.sleep(1)
        assert not asked.done()
        away.off()
        assert isinstance(await asked, Trusted)


async def review_while_relabelled(
    here: World, reviewer: Reviewer, team: str | None, *, iam_is_back: bool
) -> Reply:
    """Create the ServiceAccount while AWS is away; the namespace is relabelled before the answer."""
    label(here, TEAMS[0])
    away = here.iam.have(Trouble.THROTTLED)
    await asyncio.sleep(1)
    asked = asyncio.create_task(reviewer.send(review(SUBJECT)))
    await asyncio.sleep(0.5)
    label(here, team)
    await asyncio.sleep(0.1)
    if iam_is_back:
        away.off()
    reply = await asked
    away.off()
    return reply


@pytest.mark.parametrize("iam_is_back", [True, False])
@in_virtual_time
async def test_a_review_that_waits_names_a_role_of_the_binding_that_decides_in_the_end(iam_is_back: bool) -> None:  # noqa: FBT001
    here = world()
    async with here.running(), reviewing(here) as reviewer:
        reply = await review_while_relabelled(here, reviewer, TEAMS[1], iam_is_back=iam_is_back)
        assert reply.annotation == role(TEAMS[1]).value
        assert reply.response["auditAnnotations"]["binding"] == TEAMS[1]


@pytest.mark.parametrize("iam_is_back", [True, False])
@in_virtual_time
async def test_a_review_of_what_no_binding_selects_in_the_end_names_no_role(iam_is_back: bool) -> None:  # noqa: FBT001
    here = world()
    async with here.running(), reviewing(here) as reviewer:
        reply = await review_while_relabelled(here, reviewer, None, iam_is_back=iam_is_back)
        assert reply.allowed
        assert reply.annotation is None
        await asyncio.sleep(30)
        assert here.homes(SUBJECT) == []


@pytest.mark.parametrize("existing", ExistingAnnotation)
@in_virtual_time
async def test_what_was_annotated_for_the_former_binding_gets_the_role_of_the_one_that_decides(
    existing: ExistingAnnotation,
) -> None:
    here = world(existing=existing)
    async with here.running():
        label(here, TEAMS[0])
        here.cluster.add_account(SUBJECT, role(TEAMS[0]).value)
        await asyncio.sleep(5)
        assert here.homes(SUBJECT) == [role(TEAMS[0])]
        label(here, TEAMS[1])
        await asyncio.sleep(30)
        assert here.cluster.annotation(SUBJECT) == role(TEAMS[1]).value
        assert role(TEAMS[1]) in here.homes(SUBJECT)


@in_virtual_time
async def test_an_external_role_is_left_alone_whichever_binding_selects_the_namespace() -> None:
    here = world()
    async with here.running():
        external = role("made-by-hand").value
        for team in TEAMS:
            label(here, team)
            here.cluster.add_account(SUBJECT, external)
            await asyncio.sleep(30)
            assert here.cluster.annotation(SUBJECT) == external
            assert here.homes(SUBJECT) == []
