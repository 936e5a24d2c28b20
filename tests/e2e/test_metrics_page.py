"""docs/run/metrics.md is what a scrape shows: same names, types, labels and meanings."""

import re
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from rig.kubernetes import objects
from rig.space import WEBHOOK_NAME, Space
from rig.waiting import eventually
from rig.webhook import Webhook
from tests.e2e.scenes import bare_space, create_account, create_namespace, serving
from tests.support.reviews import review
from webhook.model.names import Subject

PAGE = Path(__file__).parents[2] / "docs" / "run" / "metrics.md"
ROW = re.compile(r"\| `(?P<name>mxp_identity_\w+)` \| (?P<type>\w+) \| (?P<labels>[^|]*) \| (?P<meaning>[^|]+) \|")


@dataclass(frozen=True)
class Metric:
    """One metric as the page or a scrape has it."""

    type: str
    meaning: str
    labels: frozenset[str]


@pytest.mark.rig
def test_the_page_has_what_a_scrape_shows() -> None:
    with bare_space() as space, serving(space) as webhook:
        _use_everything(space, webhook)
        shown = _scraped(webhook)
    page = _page()
    assert page.keys() == shown.keys()
    for name, metric in shown.items():
        assert page[name] == metric, name


def _use_everything(space: Space, webhook: Webhook) -> None:
    with webhook.client() as client:
        client.post(webhook.url, content=b"no review")
    create_account(space, create_namespace(space))
    eventually(lambda: webhook.metrics().total("mxp_identity_trust_writes_total") > 0, "a write")
    _take_its_rights(space)
    stranger = review(Subject(objects.host_namespace_name(), objects.SERVICE_ACCOUNT))

    def is_counted() -> bool:
        with webhook.client() as client:
            client.post(webhook.url, json=stranger)  # its namespace may not be looked up
        return webhook.metrics().total("mxp_identity_kubernetes_request_failures_total") > 0

    eventually(is_counted, "a failed request to the API server")


def _take_its_rights(space: Space) -> None:
    path = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"
    for binding in space.cluster.api.get(path)["items"]:
        if binding["metadata"]["name"].startswith(WEBHOOK_NAME):
            space.cluster.api.delete(f"{path}/{binding['metadata']['name']}")


def _scraped(webhook: Webhook) -> dict[str, Metric]:
    answer = httpx.get(f"{webhook.plain_url}/metrics", trust_env=False)
    assert answer.headers["content-type"].startswith("text/plain; version=")
    found = {}
    for family in text_string_to_metric_families(answer.text):
        if family.name.startswith("process_"):
            continue
        name = f"{family.name}_total" if family.type == "counter" else family.name
        labels = {key for sample in family.samples for key in sample.labels} - {"le"}
        found[name] = Metric(family.type, family.documentation, frozenset(labels))
    return found


def _page() -> dict[str, Metric]:
    rows = [match.groupdict() for match in ROW.finditer(PAGE.read_text())]
    assert len({row["name"] for row in rows}) == len(rows), "a metric is described twice"
    return {
        row["name"]: Metric(row["type"], row["meaning"], frozenset(re.findall(r"`(\w+)`", row["labels"])))
        for row in rows
    }
