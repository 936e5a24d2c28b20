"""docs/use/guides/watch-first.md, walked: nothing is given while it observes, and all once it is switched."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from rig.kubernetes.objects import SERVICE_ACCOUNT
from rig.waiting import eventually
from tests.e2e.observe import log_events
from tests.guides.stage import DOCS, Stage, stage
from webhook.observe.observer import CHANGES

PAGE = DOCS / "use" / "guides" / "watch-first.md"
ORDERS = "mxp-4a5b6c7d-1e2f-4a3b-8c4d-5e6f7a8b9c01-system"


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Stage]:
    with stage(tmp_path, {"spaces": {"orders": ORDERS}}) as found:
        yield found


@pytest.mark.rig
@pytest.mark.proof
def test_nothing_is_given_while_it_observes_and_all_once_it_is_switched(running: Stage) -> None:
    site, role = running.sites["spaces"], running.role("mxp-backup")
    options = f"--bucket my-backups --region {running.aws.region} --own-role mxp-identity-webhook"
    files = "--values values.yaml --image registry.example.com/mxp-identity-webhook:0.1.0"
    running.shell(f"mxp-identity setup {options} {files} --approve")
    site.spaces.add("orders")
    with running.reading(PAGE) as reader:
        reader.section("1. Install it, observing")
        eventually(
            lambda: all(log_events(one, "would_trust", namespace=ORDERS) for one in site.released.replicas),
            "each replica has logged the decision",
        )
        reader.section("2. Look at what it would do")
        assert not site.assumed(ORDERS, role).ok
        reader.step()
        eventually(lambda: site.assumed(ORDERS, role, SERVICE_ACCOUNT).ok, "it is trusted")
        reader.section("3. Switch")


def test_the_page_names_every_event_of_a_decision() -> None:
    text = PAGE.read_text()
    for change in CHANGES:
        assert f"| `would_{change}` |" in text
