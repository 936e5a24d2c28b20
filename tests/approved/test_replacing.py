"""When pods can do without their association for a while."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from tests.support.virtual_time import in_virtual_time, now
from webhook.approved import replacing
from webhook.approved.replacing import Pace, Replacing
from webhook.domain.bindings import Mode
from webhook.domain.migration import Course
from webhook.domain.names import Subject

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

SUBJECT = Subject("mxp-a-system", "mxp-controller")


class _Deployments:
    async def get(self, _: str, name: str) -> Any:
        return SimpleNamespace(
            name=name, service_account=SUBJECT.service_account, is_paused=False, is_rolled_out=True
        )


def _replacing(monkeypatch: pytest.MonkeyPatch, created: Callable[[], float]) -> Replacing:
    """With one pod that was made at the moment `created` answers, and less patience than pods take to grow up."""

    async def pods(*_: str) -> list[Any]:
        carried = {"has_identity": True, "carries": {Mode.POD_IDENTITY}}
        return [SimpleNamespace(deployment="mxp", is_leaving=False, created=created(), **carried)]

    monkeypatch.setattr(replacing, "time", SimpleNamespace(monotonic=now, time=now))
    monkeypatch.setattr(replacing, "DeploymentApi", lambda _: _Deployments())
    here = SimpleNamespace(api=SimpleNamespace(pods_until_gone=pods), connection=None)
    binding = SimpleNamespace(deployments=("mxp",))
    journey: Any = SimpleNamespace(here=here, binding=binding, course=Course(Mode.IRSA, switched=True))
    return Replacing(journey, Pace(1, 1.0))


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
