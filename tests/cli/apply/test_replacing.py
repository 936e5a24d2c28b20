"""When pods can do without their association for a while, and when new ones would get the new variables."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.simulated_cluster import SimulatedCluster
from tests.support.simulated_deployments import SimulatedDeployments
from tests.support.sites import role
from tests.support.virtual_time import in_virtual_time, now
from webhook.cli.migrate import replacing
from webhook.cli.migrate.replacing import Replacing
from webhook.cli.migrate.rules import Course
from webhook.controller.remediation.rollouts import RolloutLimits
from webhook.kube.connection import Connection
from webhook.kube.errors import RefusedError
from webhook.model.bindings import Mode
from webhook.model.errors import ClusterError
from webhook.model.names import Subject

if TYPE_CHECKING:
    from collections.abc import Callable

    from webhook.controller.ports import RunningPod

SUBJECT = Subject("mxp-a-system", "mxp-controller")
ROLE = role()


class _Deployments:
    async def get(self, _: str, name: str) -> Any:
        return SimpleNamespace(
            name=name, service_account=SUBJECT.service_account, is_paused=False, is_rolled_out=True
        )


def _replacing(monkeypatch: pytest.MonkeyPatch, created: Callable[[], float]) -> Replacing:
    """With one pod that was made at the moment `created` answers, and less patience than pods take to grow up."""

    async def pods(*_: str) -> list[Any]:
        carried = {"has_identity": True, "carries": {Mode.POD_IDENTITY}}
        return [SimpleNamespace(deployment="mxp", is_being_deleted=False, created=created(), **carried)]

    monkeypatch.setattr(replacing, "time", SimpleNamespace(monotonic=now, time=now))
    monkeypatch.setattr(replacing, "DeploymentApi", lambda _: _Deployments())
    here = SimpleNamespace(api=SimpleNamespace(pods_until_gone=pods), connection=None)
    binding = SimpleNamespace(deployments=("mxp",))
    journey: Any = SimpleNamespace(here=here, binding=binding, course=Course(Mode.IRSA, switched=True))
    return Replacing(journey, RolloutLimits(1, 1.0))


def test_a_young_pod_is_waited_for_even_with_less_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    @in_virtual_time
    async def scenario() -> None:
        began = now()
        assert not await _replacing(monkeypatch, lambda: began).settled(SUBJECT)
        assert now() - began >= 30

    scenario()


def test_an_association_stays_while_young_pods_keep_coming(monkeypatch: pytest.MonkeyPatch) -> None:
    @in_virtual_time
    async def scenario() -> None:
        assert "younger than 30 s keep coming" in await _replacing(monkeypatch, now).settled(SUBJECT)

    scenario()


VARIABLES = {
    frozenset[Mode](): [],
    frozenset({Mode.IRSA}): [{"name": "AWS_ROLE_ARN"}],
    frozenset({Mode.POD_IDENTITY}): [{"name": "AWS_CONTAINER_CREDENTIALS_FULL_URI"}],
}
NO_VARIABLES, IRSA, POD_IDENTITY = VARIABLES
TO_IRSA, TO_POD_IDENTITY = Course(Mode.IRSA, switched=True), Course(Mode.POD_IDENTITY, switched=True)


class _Trials(Connection):
    """An API server that answers each pod that is tried, or refuses it."""

    def __init__(self, answer: Callable[[float], frozenset[Mode] | ClusterError]) -> None:
        self._answer = answer
        self.at: list[float] = []

    async def in_thread(self, function: Callable[[], Any], *, urgent: bool = False) -> Any:  # noqa: ARG002  the base class's
        return function()

    def request(self, method: str, path: str, **options: Any) -> bytes:
        assert (method, path) == ("POST", f"/api/v1/namespaces/{SUBJECT.namespace}/pods")
        assert options["query"] == {"dryRun": "All"}
        self.at.append(now())
        answer = self._answer(now())
        if isinstance(answer, ClusterError):
            raise answer
        container = {"name": "probe", "env": VARIABLES[answer]}
        return json.dumps({"metadata": {}, "spec": {"containers": [container]}}).encode()


async def _told(monkeypatch: pytest.MonkeyPatch, course: Course, trials: _Trials) -> str:
    monkeypatch.setattr(replacing, "time", SimpleNamespace(monotonic=now, time=now))
    here = SimpleNamespace(api=None, connection=trials)
    journey: Any = SimpleNamespace(here=here, binding=None, course=course)
    return await Replacing(journey, RolloutLimits()).propagated(SUBJECT)


@pytest.mark.parametrize(("course", "seconds"), [(TO_IRSA, 20), (TO_POD_IDENTITY, 0)])
def test_where_pods_may_not_be_tried_the_way_to_irsa_takes_the_time_that_eks_takes_to_hear(
    monkeypatch: pytest.MonkeyPatch, course: Course, seconds: float
) -> None:
    @in_virtual_time
    async def scenario() -> None:
        trials = _Trials(lambda _: RefusedError("403 forbidden"))
        assert not await _told(monkeypatch, course, trials)
        assert now() == seconds
        assert trials.at == [0]

    scenario()


def test_it_waits_too_where_dry_runs_are_no_longer_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    @in_virtual_time
    async def scenario() -> None:
        full = RefusedError("403 exceeded quota")
        assert not await _told(monkeypatch, TO_IRSA, _Trials(lambda at: POD_IDENTITY if at < 3 else full))
        assert now() == 23

    scenario()


def test_what_is_no_refusal_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    @in_virtual_time
    async def scenario() -> None:
        with pytest.raises(ClusterError, match="500"):
            await _told(monkeypatch, TO_IRSA, _Trials(lambda _: ClusterError("500 internal error")))

    scenario()


HEARD_AT = 10.0
BEFORE_AND_AFTER = {
    "to IRSA": (TO_IRSA, POD_IDENTITY, IRSA),
    "to IRSA, past a moment without any": (TO_IRSA, NO_VARIABLES, IRSA),
    "to Pod Identity": (TO_POD_IDENTITY, IRSA, POD_IDENTITY),
}


@pytest.mark.parametrize("case", BEFORE_AND_AFTER)
def test_it_waits_until_three_new_pods_alike_would_get_the_new_variables(
    monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    """The association reaches one replica of EKS's webhook at a moment, and the other a while later."""
    course, before, after = BEFORE_AND_AFTER[case]

    def answer(at: float) -> frozenset[Mode]:
        return after if at >= HEARD_AT + 3 or (at >= HEARD_AT and at % 1 == 0) else before

    @in_virtual_time
    async def scenario() -> None:
        trials = _Trials(answer)
        assert not await _told(monkeypatch, course, trials)
        alike = [at for at in trials.at if answer(at) == after and at >= HEARD_AT + 3]
        assert len(alike) == 3
        assert now() >= alike[-1]

    scenario()


def test_it_gives_up_after_a_minute_and_a_half(monkeypatch: pytest.MonkeyPatch) -> None:
    @in_virtual_time
    async def scenario() -> None:
        reason = await _told(monkeypatch, TO_IRSA, _Trials(lambda _: POD_IDENTITY))
        assert reason == "EKS's pod identity webhook does not give new pods mode irsa yet"
        assert 90 <= now() < 92

    scenario()


class _Pods:
    """The pods of a simulated cluster, with Pod Identity's variables once the association is propagated."""

    def __init__(self, heard_at: float) -> None:
        self.cluster = SimulatedCluster(SUBJECT.service_account)
        self.deployments = SimulatedDeployments(self.cluster, rollout=5.0)
        self.cluster.add_account(SUBJECT, ROLE.value)
        self.deployments.run(SUBJECT)
        self._heard_at = heard_at

    async def pods_until_gone(self, service_account: str, namespace: str) -> list[RunningPod]:
        """With the variables that each was given when it was made."""
        found = await self.cluster.pods(service_account, namespace)
        return [replace(pod, carries=POD_IDENTITY if pod.created > self._heard_at else IRSA) for pod in found]

    async def replaced(self, monkeypatch: pytest.MonkeyPatch) -> str:
        """Have them replaced, with patience for two rollouts."""
        monkeypatch.setattr(replacing, "time", SimpleNamespace(monotonic=now, time=now))
        monkeypatch.setattr(replacing, "DeploymentApi", lambda _: self.deployments)
        here = SimpleNamespace(api=self, connection=None)
        named = SimpleNamespace(deployments=(SUBJECT.service_account,))
        journey: Any = SimpleNamespace(here=here, binding=named, course=TO_POD_IDENTITY)
        return await Replacing(journey, RolloutLimits(1, 30.0)).replaced(SUBJECT)


@pytest.mark.parametrize(
    ("heard_at", "restarts", "reason"),
    [
        (0.0, 1, ""),
        (7.0, 2, ""),
        (100.0, 2, "was restarted, but its new pods do not carry the new variables alone"),
    ],
    ids=["propagated before", "propagated between", "never propagated"],
)
def test_pods_are_replaced_by_two_restarts_at_most_and_none_is_noted(
    monkeypatch: pytest.MonkeyPatch, heard_at: float, restarts: int, reason: str
) -> None:
    @in_virtual_time
    async def scenario() -> None:
        pods = _Pods(heard_at)
        found = await pods.replaced(monkeypatch)
        assert reason in found
        assert bool(found) is bool(reason)
        assert len(pods.deployments.restarts) == restarts
        assert all(one.restarted_by_us is None for one in pods.deployments.objects.values())

    scenario()


def test_a_rollout_that_does_not_end_is_given_up_after_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    @in_virtual_time
    async def scenario() -> None:
        pods = _Pods(heard_at=0.0)
        pods.deployments.rollout = None
        assert "after 30 s pods with the old variables are still there" in await pods.replaced(monkeypatch)
        assert 30 <= now() < 35
        assert len(pods.deployments.restarts) == 1

    scenario()
