"""A release of the chart that answers nothing: `verify` says why, and what it prints brings the program back."""

from __future__ import annotations

import base64
import datetime as dt
import json
from typing import TYPE_CHECKING, Any

import pytest

from rig import pods
from rig.kubernetes.registration import OWN_NAMESPACE
from rig.permissions import PROGRAM
from rig.pki import Authority
from rig.waiting import eventually
from tests.guides.released import CONFIGURATION
from tests.guides.stage import stage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.guides.stage import Site, Stage

pytestmark = [pytest.mark.rig, pytest.mark.proof]

NAME = "spaces"
HOSTS = {"orders": "mxp-4a5bce3d-9c8b-4c3e-af88-0c6c8d4c3f04-system"}
OWN_ROLE = "mxp-identity-webhook"


def _crashed(stage: Stage) -> None:
    stage.sites[NAME].released.kill()


def _scaled_down(stage: Stage) -> None:
    stage.shell(f"kubectl scale -n {OWN_NAMESPACE} deployment {PROGRAM} --replicas=0")


def _expired(stage: Stage) -> None:
    """No replica ran to renew it."""
    _crashed(stage)
    _expire(stage.sites[NAME])


def _scaled_down_and_expired(stage: Stage) -> None:
    _scaled_down(stage)
    _expire(stage.sites[NAME])


def _expire(site: Site) -> None:
    expired = Authority("old").issue("old", lifetime=dt.timedelta(seconds=-1)).certificate
    bundle = base64.b64encode(expired.encode()).decode()
    change = {"op": "replace", "path": "/webhooks/0/clientConfig/caBundle", "value": bundle}
    site.cluster.api.patch(CONFIGURATION, [change], kind="json")


CASES: dict[str, tuple[Callable[[Stage], None], tuple[str, ...]]] = {
    "its processes crash": (_crashed, ("gets no answer from it",)),
    "its Deployment is scaled to 0": (_scaled_down, ("gets no answer from it", "is scaled to 0")),
    "its caBundle has expired": (_expired, ("caBundle", "has expired")),
    "its caBundle expired while it was scaled to 0": (
        _scaled_down_and_expired,
        ("caBundle", "has expired", "is scaled to 0"),
    ),
}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A release with certificates of its own, and a control plane that it has annotated."""
    with stage(tmp_path_factory.mktemp("stage"), {NAME: HOSTS}, self_managed=True) as found:
        found.install(NAME, OWN_ROLE)
        found.sites[NAME].spaces.add("orders")
        yield found


@pytest.mark.parametrize("case", CASES)
def test_a_webhook_that_is_down_is_named_and_brought_back_by_what_is_printed(running: Stage, case: str) -> None:
    spoil, words = CASES[case]
    assert _findings(running) == []
    spoilt = pods.uids(running.sites[NAME].cluster, OWN_NAMESPACE)
    spoil(running)
    eventually(lambda: _findings(running), "the API server has seen it")

    (found,) = _findings(running)
    assert (found["check"], found["level"]) == ("webhook", "broken")
    assert all(word in found["message"] for word in words), found
    running.shell(found["fix"])
    eventually(lambda: not _findings(running), "the API server gets its answers again")
    made = running.sites[NAME].cluster.pods(OWN_NAMESPACE)
    assert [pods.environment_of(pod)["AWS_ROLE_ARN"] for pod in made] == [running.role(OWN_ROLE)] * 2
    assert spoilt.isdisjoint(pod["metadata"]["uid"] for pod in made)


def _findings(stage: Stage) -> list[dict[str, Any]]:
    """What `verify` finds wrong, of the webhook and the control plane."""
    ran = stage.run(f"mxp-identity verify {HOSTS['orders']} --context {NAME} -o json")
    assert ran.out, ran.err
    document = json.loads(ran.out)
    every = [*document["webhook"], *(one for plane in document["controlPlanes"] for one in plane["findings"])]
    wrong = [finding for finding in every if finding["level"] in {"broken", "unknown"}]
    assert ran.code == (4 if wrong else 0)
    return wrong
