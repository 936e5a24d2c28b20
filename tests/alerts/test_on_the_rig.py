"""A real Prometheus over the real program: each alert's expression comes true when its fault is there, not before.

The expression is the chart's, word for word; only the time for which it must stay true (`for`) is left out.
"""

import json
import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import pytest

from rig.aws.faults import Deny, Refuse
from rig.kubernetes import objects
from rig.kubernetes.api import ApiError
from rig.kubernetes.objects import CONTROL_PLANE_LABEL
from rig.permissions import PROGRAM
from rig.ports import free_port
from rig.prometheus import Prometheus, Scraped
from rig.space import EKS_CLUSTER, Space
from rig.waiting import eventually
from rig.webhook import Webhook
from tests.alerts.rules import RULES, queries, rules
from tests.e2e.rights import without_cluster_right
from tests.e2e.scenes import bare_space, create_account, create_namespace, label

EXPRESSIONS = {rule.name: rule.expression for rule in rules()}
NOT_SHOWN = {"MxpIdentityUnexpectedErrors", "MxpIdentityNamespaceStuckTerminating"}
"""One counts bugs, of which none is known that a person could inject from outside; the other takes an hour."""


SPARE = 1000
"""A fifth of the associations that a cluster may have."""

REPAIRS = 4
"""More than an accident; the program waits a minute before each, for as long a read may be stale."""

_REFUSED = 'increase(apiserver_admission_webhook_rejection_count{error_type="calling_webhook_error"}[10m]) > 0'


@dataclass(frozen=True)
class Scene:
    """A Space with a replica that the API server calls, and a Prometheus that scrapes both."""

    space: Space
    webhook: Webhook
    prometheus: Prometheus

    def holds(self, alert: str) -> bool:
        return bool(self.prometheus.query(EXPRESSIONS[alert]))

    def true_now(self) -> set[str]:
        return {alert for alert in EXPRESSIONS if self.holds(alert)}

    def shows(self, panel: str) -> list[float]:
        """The values that a panel of the dashboard shows."""
        asked = (query.expression for query in queries("10m") if query.panel == panel)
        return [value for expression in asked for _, value in self.prometheus.query(expression)]

    def becomes_true(self, alert: str, timeout: float = 30.0) -> None:
        eventually(lambda: self.holds(alert), f"{alert}: {EXPRESSIONS[alert]}", timeout=timeout)


def _prometheus(space: Space, webhook: Webhook) -> Prometheus:
    return Prometheus(space.cluster.workspace, RULES, Scraped(space.cluster, [webhook]))


@contextmanager
def scene(interval: str) -> Iterator[Scene]:
    with bare_space() as space:
        reconciler = {"interval": interval, "pruneGrace": "60s"}
        webhook = space.start_webhook(space.configuration(reconciler=reconciler))
        space.register(webhook.url)
        prometheus = _prometheus(space, webhook)
        set_up = Scene(space, webhook, prometheus)
        eventually(lambda: prometheus.query("mxp_identity_pass_last_success_timestamp_seconds > 0"), "a scrape")
        eventually(lambda: prometheus.query("apiserver_admission_webhook_request_total"), "a scrape of the other")
        yield set_up


@pytest.mark.rig
def test_prometheus_evaluates_every_rule_and_none_holds_while_all_is_well() -> None:
    with scene("1s") as here:
        create_account(here.space, create_namespace(here.space))
        eventually(lambda: _all_evaluated(here), "an evaluation of every rule")
        assert here.true_now() == set()
        assert here.shows("Replicas scraped") == [1]
        here.webhook.process.kill()
        here.becomes_true("MxpIdentityAbsent")
        assert here.shows("Replicas scraped") == [0], "red, and not without data"


@pytest.mark.rig
@pytest.mark.proof
@pytest.mark.timeout(600)
def test_each_expression_comes_true_when_its_fault_is_there_and_the_dashboard_shows_it() -> None:
    with scene("5s") as here:
        create_account(here.space, create_namespace(here.space))
        eventually(lambda: _all_evaluated(here), "an evaluation of every rule")
        assert here.true_now() == set()

        _undo_trust_again_and_again(here)
        here.becomes_true("MxpIdentityTrustWriteLoop")
        _send_garbage(here)
        _label_late_with_a_pod(here)
        here.becomes_true("MxpIdentityAnnotatedLate")
        here.becomes_true("MxpIdentityPodsWithoutIdentity")
        _fill_up(here)
        here.becomes_true("MxpIdentityTrustPolicyNearlyFull")
        assert not here.holds("MxpIdentityNotReached")
        with _unreachable(here, "Ignore"):
            here.becomes_true("MxpIdentityNotReached")
        with _unreachable(here, "Fail"):
            _wait_for(here, _REFUSED)
        assert not here.holds("MxpIdentityAwsErrors")
        assert not here.holds("MxpIdentityGrantPending")
        with here.space.aws.fault(Deny(actions=("GetRole",))):
            create_namespace(here.space)
            here.becomes_true("MxpIdentityAwsErrors", timeout=180)
            here.becomes_true("MxpIdentityGrantPending", timeout=180)
        # Most namespaces here never got their ServiceAccount.
        here.becomes_true("MxpIdentityRemovalsOverLimit", timeout=180)
        answers = [(query, here.prometheus.query(query.expression)) for query in queries("10m")]
        assert [query for query, samples in answers if not samples] == []


@pytest.mark.rig
@pytest.mark.proof
@pytest.mark.timeout(600)
def test_a_cluster_with_more_than_four_fifths_of_its_associations_comes_true() -> None:
    with bare_space(eks_lag=0) as space:
        webhook = space.start_webhook(space.in_mode("pod-identity", reconciler={"interval": "1s"}))
        here = Scene(space, webhook, _prometheus(space, webhook))
        create_namespace(space)
        eventually(lambda: here.prometheus.query("mxp_identity_associations == 1"), "a scrape of ours")
        _associate(space, int(webhook.metrics().total("mxp_identity_association_quota") * 0.8))
        here.becomes_true("MxpIdentityAssociationsNearlyFull")
        assert webhook.metrics().total("mxp_identity_associations_that_fit") == SPARE - 1


@pytest.mark.rig
@pytest.mark.proof
def test_without_the_right_to_list_namespaces_no_pass_runs_and_the_watch_fails() -> None:
    with bare_space() as space, without_cluster_right(space, "namespaces", "list"):
        webhook = space.start_webhook(wait=False)
        webhook.wait_until_serving()
        here = Scene(space, webhook, _prometheus(space, webhook))
        here.becomes_true("MxpIdentityPassNotRunning")
        here.becomes_true("MxpIdentityPrunerNotRunning")
        assert not here.holds("MxpIdentityWatchFailing")
        here.becomes_true("MxpIdentityWatchFailing", timeout=240)


@pytest.mark.rig
@pytest.mark.proof
def test_a_certificate_that_ends_soon_and_one_that_cannot_be_served_come_true() -> None:
    with scene("5s") as here:
        folder = here.webhook.file.parent
        eventually(lambda: here.prometheus.query("mxp_identity_certificate_expiry_timestamp_seconds"), "a scrape")
        assert not here.holds("MxpIdentityCertificateExpiring")
        here.space.authority.issue("webhook", lifetime=timedelta(hours=10)).write(folder, "serving")
        here.becomes_true("MxpIdentityCertificateExpiring")
        assert not here.holds("MxpIdentityCertificateRefused")
        (folder / "serving.crt").write_text("no certificate")
        here.becomes_true("MxpIdentityCertificateRefused")


@pytest.mark.rig
@pytest.mark.proof
def test_its_own_role_learned_late_and_an_account_without_the_provider_come_true() -> None:
    with bare_space() as space:
        missing = Refuse(code="NoSuchEntity", status=404, message="no", actions=("GetOpenIDConnectProvider",))
        space.aws.switch_on(missing)
        space.aws.switch_on(Refuse(actions=("GetCallerIdentity",)))
        configuration = space.configuration()
        configuration["bindings"][0]["roles"] = [*space.roles, space.role_arn(PROGRAM)]
        webhook = space.start_webhook(configuration)
        here = Scene(space, webhook, _prometheus(space, webhook))
        here.becomes_true("MxpIdentityOidcProviderUnusable")
        assert not here.holds("MxpIdentityWritesStopped")
        space.aws.clear_faults()
        here.becomes_true("MxpIdentityWritesStopped")
        eventually(lambda: not here.holds("MxpIdentityOidcProviderUnusable"), "it is looked at again", timeout=60)
        assert webhook.process.running


def test_every_alert_but_two_is_shown_here() -> None:
    shown = set(re.findall(r"""becomes_true\("(\w+)""", Path(__file__).read_text()))
    assert set(EXPRESSIONS) - shown == NOT_SHOWN


def _all_evaluated(here: Scene) -> bool:
    found = here.prometheus.rules()
    assert {rule["name"] for rule in found} == set(EXPRESSIONS)
    assert not [rule for rule in found if rule["health"] == "err"]
    return all(rule["health"] == "ok" for rule in found)


def _undo_trust_again_and_again(here: Scene) -> None:
    """The managed statement is removed externally after each pass that restored it."""
    iam, role = here.space.aws.admin_client("iam"), here.space.roles[0].rsplit("/", 1)[1]
    for _ in range(REPAIRS):
        policy = eventually(lambda: _with_ours(here), "our statement", timeout=90)
        policy["Statement"] = [one for one in policy["Statement"] if not _is_ours(one)]
        iam.update_assume_role_policy(RoleName=role, PolicyDocument=json.dumps(policy))
    eventually(lambda: _with_ours(here), "our statement", timeout=90)


def _with_ours(here: Scene) -> dict[str, Any] | None:
    policy = here.space.policy()
    return policy if any(map(_is_ours, policy["Statement"])) else None


def _is_ours(statement: dict[str, Any]) -> bool:
    return bool(statement["Sid"].startswith("MxpIdentity"))


def _send_garbage(here: Scene) -> None:
    with here.webhook.client() as client:
        client.post(here.webhook.url, content=b"no review")
    eventually(lambda: here.prometheus.query("mxp_identity_invalid_reviews_total"), "a scrape of it")


def _label_late_with_a_pod(here: Scene) -> None:
    namespace = create_namespace(here.space, selected=False)
    create_account(here.space, namespace)
    here.space.cluster.create([objects.pod(namespace, "controller")])
    label(here.space, namespace, {CONTROL_PLANE_LABEL: "late"})


def _associate(space: Space, count: int) -> None:
    """External associations, in namespaces that this cluster need not have."""
    eks = space.aws.admin_client("eks")

    def make(number: int) -> None:
        eks.create_pod_identity_association(
            clusterName=EKS_CLUSTER,
            namespace=f"team-{number}",
            serviceAccount="app",
            roleArn=space.roles[0],
        )

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(make, range(count)))


def _fill_up(here: Scene) -> None:
    for _ in range(int(here.webhook.metrics().total("mxp_identity_trust_subjects_that_fit"))):
        create_namespace(here.space)


@contextmanager
def _unreachable(here: Scene, policy: Literal["Fail", "Ignore"]) -> Iterator[None]:
    """The API server calls, all the time, a port without a server."""
    here.space.register(f"https://127.0.0.1:{free_port()}/mutate", policy)
    ended = threading.Event()

    def call() -> None:
        while not ended.wait(0.5):
            with suppress(ApiError):
                here.space.cluster.api.create(objects.service_account("default"), dryRun="All")

    caller = threading.Thread(target=call)
    caller.start()
    try:
        yield
    finally:
        ended.set()
        caller.join()
        here.space.register(here.webhook.url)


def _wait_for(here: Scene, expression: str) -> None:
    eventually(lambda: here.prometheus.query(expression), expression)
