"""A namespace is relabelled while its ServiceAccount waits for trust: the binding that selects it now decides."""

from __future__ import annotations

import asyncio

import pytest

from tests.support import simulated_eks
from tests.support.simulated_eks import refusal
from tests.support.simulated_iam import Trouble
from tests.support.sites import SERVICE_ACCOUNT, role, subject
from tests.support.virtual_time import in_virtual_time
from tests.support.worlds import World
from webhook.domain.bindings import Binding, Mode
from webhook.domain.selectors import NamespaceSelector, Operator, Requirement
from webhook.trust.outcomes import Trusted, Untrusted
from webhook.trust.ports import FailureKind

WHO = subject(1)
TEAMS = ("gold", "silver")
PATIENCE = 60.0


def of_team(team: str, mode: Mode = Mode.IRSA) -> Binding:
    """A binding of the namespaces with one value of a label, to a role of that name."""
    selector = NamespaceSelector((Requirement("team", Operator.IN, frozenset({team})),))
    return Binding(team, SERVICE_ACCOUNT, selector, mode, (role(team),))


def world(*modes: Mode) -> World:
    return World(*(of_team(team, mode) for team, mode in zip(TEAMS, modes or (Mode.IRSA,) * 2, strict=True)))


def label(here: World, team: str | None) -> None:
    here.cluster.add_namespace(WHO.namespace, selected=False, team=team or "none")


async def relabel_while_iam_is_away(here: World, team: str | None) -> asyncio.Task[Trusted | Untrusted]:
    """Ask for trust by the first binding, relabel, let IAM come back; answers the first question's task."""
    label(here, TEAMS[0])
    here.cluster.add_account(WHO)
    away = here.iam.have(Trouble.THROTTLED)
    await asyncio.sleep(1)
    (grant,) = here.view.grants_in(WHO.namespace)
    asked = asyncio.create_task(here.grants.obtain(grant, PATIENCE))
    await asyncio.sleep(1)
    label(here, team)
    await asyncio.sleep(1)
    away.off()
    await asyncio.sleep(30)
    return asked


@in_virtual_time
async def test_a_subject_that_waits_gets_the_role_of_the_binding_that_selects_it_by_now() -> None:
    here = world()
    async with here.running():
        asked = await relabel_while_iam_is_away(here, TEAMS[1])
        assert here.homes(WHO) == [role(TEAMS[1])]
        assert here.cluster.annotation(WHO) == role(TEAMS[1]).value
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
            assert associated == {WHO: role(TEAMS[1]).value}
            assert here.homes(WHO) == []
        else:
            assert associated == {}
            assert here.homes(WHO) == [role(TEAMS[1])]
            assert here.cluster.annotation(WHO) == role(TEAMS[1]).value


@in_virtual_time
async def test_a_subject_that_no_binding_selects_any_more_is_not_trusted() -> None:
    here = world()
    async with here.running():
        asked = await relabel_while_iam_is_away(here, None)
        assert here.homes(WHO) == []
        outcome = await asked
        assert isinstance(outcome, Untrusted)
        assert outcome.kind is FailureKind.WITHDRAWN
        assert "no binding selects" in outcome.reason


@in_virtual_time
async def test_a_subject_that_is_selected_again_meanwhile_is_trusted() -> None:
    here = world()
    async with here.running():
        label(here, TEAMS[0])
        here.cluster.add_account(WHO)
        away = here.iam.have(Trouble.THROTTLED)
        await asyncio.sleep(1)
        for team in (None, TEAMS[1], None, TEAMS[0]):
            label(here, team)
            await asyncio.sleep(1)
        away.off()
        await asyncio.sleep(30)
        assert here.homes(WHO) == [role(TEAMS[0])]
        assert here.cluster.annotation(WHO) == role(TEAMS[0]).value


@in_virtual_time
async def test_a_live_read_that_is_ahead_of_the_watch_is_not_undone_by_an_older_state() -> None:
    """A review reads the namespace with its label; the watch shows an older state of it after that."""
    here = world()
    async with here.running():
        away = here.iam.have(Trouble.THROTTLED)
        label(here, TEAMS[0])
        await asyncio.sleep(1)
        (grant,) = here.view.grants_in(WHO.namespace)
        namespace = here.view.cached(WHO.namespace)
        label(here, None)
        await asyncio.sleep(1)
        here.view.note_live(WHO.namespace, namespace)
        asked = asyncio.create_task(here.grants.obtain(grant, PATIENCE))
        await asyncio.sleep(0.1)
        here.cluster.add_namespace(WHO.namespace, selected=False, older="state")
        await asyncio.sleep(1)
        assert not asked.done()
        away.off()
        assert isinstance(await asked, Trusted)
