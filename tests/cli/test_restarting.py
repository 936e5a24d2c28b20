"""Restarting for a person who waits: a few at a time, and every one ends with a word on what came of it."""

from __future__ import annotations

import io
import re
from dataclasses import replace

import pytest

from tests.support.simulated_cluster import SimulatedCluster
from tests.support.simulated_deployments import SimulatedDeployments
from tests.support.sites import SERVICE_ACCOUNT, role, subject
from tests.support.virtual_time import in_virtual_time, now
from webhook.cli.restart.restart_plan import PlannedRestart, PodGroup
from webhook.cli.restart.restarting import Outcome, Restarting
from webhook.cli.running import Progress

PATIENCE = 300.0


class Terminal(io.StringIO):
    """What a person sees, with all that was wiped since."""

    def isatty(self) -> bool:
        """As of no other string."""
        return True


class Scene:
    """Control planes whose pods started before their ServiceAccounts were annotated."""

    def __init__(self, count: int, rollout: float | None = 5.0, progress: io.StringIO | None = None) -> None:
        self.cluster = SimulatedCluster(SERVICE_ACCOUNT)
        self.deployments = SimulatedDeployments(self.cluster, rollout=rollout)
        self.progress = progress or io.StringIO()
        self.steps = [self._add(number) for number in range(count)]

    def _add(self, number: int) -> PlannedRestart:
        account = subject(number)
        self.cluster.add_account(account)
        self.deployments.run(account)
        self.cluster.add_account(account, role().value)
        deployment = self.deployments.objects[account.namespace, account.service_account]
        return PlannedRestart(PodGroup(account, account.service_account, ("pod",), (0.0,)), deployment, "")

    async def do(self, at_a_time: int = 1) -> list[Outcome]:
        """Do the steps."""
        with Progress(self.progress) as progress:
            restarting = Restarting(self.cluster, self.deployments, PATIENCE, progress, now)
            return await restarting.do(self.steps, at_a_time)

    def whats(self, outcomes: list[Outcome]) -> list[str]:
        """What has come of each."""
        return [what for what, _ in outcomes]


@pytest.mark.parametrize("at_a_time", [1, 4, 100])
@in_virtual_time
async def test_all_are_rolled_out_so_many_at_a_time(at_a_time: int) -> None:
    scene = Scene(20)
    assert scene.whats(await scene.do(at_a_time)) == ["rolled-out"] * 20
    assert scene.deployments.most_under_way == min(at_a_time, 20)
    assert all(pod.has_identity for pod in scene.cluster.running.values())
    assert f"restarting 20 Deployments, {at_a_time} at a time" in scene.progress.getvalue()


@in_virtual_time
async def test_how_many_rollouts_have_ended_is_counted_on_a_terminal_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    watched, piped = Scene(3, progress=Terminal()), Scene(3)
    for scene in (watched, piped):
        scene.steps.append(PlannedRestart(scene.steps[0].workload, None, "it is paused"))
        await scene.do()
    seen = re.findall(r"(\d) of (\d) rollouts have ended", watched.progress.getvalue())
    assert sorted(set(seen)) == [("1", "3"), ("2", "3"), ("3", "3")]
    assert piped.progress.getvalue() == "restarting 3 Deployments, 1 at a time\n"


@in_virtual_time
async def test_a_rollout_that_does_not_end_is_given_up_and_the_next_begins() -> None:
    scene = Scene(2, rollout=None)
    assert scene.whats(await scene.do()) == ["timed-out"] * 2
    assert 2 * PATIENCE <= now() < 2 * PATIENCE + 30


@in_virtual_time
async def test_new_pods_without_identity_are_reported() -> None:
    scene = Scene(1)
    scene.deployments.eks_works = False
    assert scene.whats(await scene.do()) == ["did-not-help"]


@in_virtual_time
async def test_new_pods_with_the_former_role_are_reported_and_the_role_is_noted() -> None:
    scene = Scene(1)
    (step,) = scene.steps
    moved = role("moved-to")
    scene.steps = [replace(step, workload=replace(step.workload, role=moved))]
    assert scene.whats(await scene.do()) == ["did-not-help"]
    assert [one.restarted_for for one in scene.deployments.objects.values()] == [moved.value]
    scene.cluster.add_account(step.workload.subject, moved.value)
    assert scene.whats(await scene.do()) == ["rolled-out"]


@in_virtual_time
async def test_one_that_changed_or_fails_does_not_keep_the_others() -> None:
    scene = Scene(3)
    scene.deployments.conflicts = 1
    assert scene.whats(await scene.do()) == ["failed", "rolled-out", "rolled-out"]
    scene = Scene(3)
    scene.deployments.failing = 1
    assert scene.whats(await scene.do()) == ["failed", "rolled-out", "rolled-out"]


@in_virtual_time
async def test_what_is_to_be_left_is_left() -> None:
    scene = Scene(2)
    scene.steps[0] = PlannedRestart(scene.steps[0].workload, None, "it is paused")
    assert await scene.do() == [("skip", "it is paused"), ("rolled-out", "its new pods have their identity")]
    assert [namespace for _, namespace in scene.deployments.restarts] == [subject(1).namespace]
