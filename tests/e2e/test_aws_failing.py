"""When AWS does not do its part: the ServiceAccount is there in time, people are told, and trust follows alone."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from rig.aws.faults import Deny, Fault, Hang, Refuse, Throttle
from rig.kubernetes import objects
from rig.space import Space
from rig.waiting import eventually
from rig.webhook import Webhook
from tests.e2e.observe import (
    annotation,
    audit_annotations,
    audit_event,
    is_trusted,
    kubernetes_events,
    seconds_of,
)
from tests.e2e.scenes import LARGE_QUOTA, bare_space, create_namespace, kubectl_create, serving

BUDGET_S = 3.0
MARGIN_S = 0.5
RECOVERY_S = 30.0


@dataclass(frozen=True)
class Failure:
    """A way for AWS to fail: the audit annotation's name for it, and a pattern of the reason that people read."""

    fault: Fault
    trust: str
    reason: str


FAILURES = {
    "AccessDenied": Failure(Deny(), "access_denied", "AccessDenied"),
    "ServiceFailure": Failure(Refuse(), "unavailable", "ServiceFailure"),
    "throttling": Failure(Throttle(rate=0, burst=0), "throttled", "Rate exceeded"),
    "no answer": Failure(Hang(), "pending|unavailable", "not answered within|timed out"),
}


@pytest.fixture(scope="module")
def failing_space() -> Iterator[Space]:
    with bare_space(quota=LARGE_QUOTA) as space:
        yield space


@pytest.fixture(scope="module")
def webhook(failing_space: Space) -> Iterator[Webhook]:
    with serving(failing_space) as replica:
        yield replica


@pytest.mark.rig
@pytest.mark.parametrize("failure", FAILURES.values(), ids=FAILURES.keys())
def test_a_service_account_is_created_in_time_and_trusted_after_recovery(
    failing_space: Space, webhook: Webhook, failure: Failure
) -> None:
    space = failing_space
    counter = {"operation": "CREATE", "outcome": "annotated_untrusted"}
    before = webhook.metrics().total("mxp_identity_admission_requests_total", **counter)
    space.aws.switch_on(failure.fault)
    namespace = create_namespace(space)

    _, printed = kubectl_create(space, objects.service_account(namespace))

    role = space.roles[0]
    warnings = [line for line in printed.splitlines() if line.startswith("Warning: ")]
    assert f"Warning: mxp-identity: {role} does not trust this ServiceAccount yet" in warnings[0]
    assert re.search(failure.reason, warnings[1])
    assert annotation(space, namespace) == role
    event = audit_event(space, namespace)
    assert seconds_of(event) <= BUDGET_S + MARGIN_S
    said = audit_annotations(event)
    assert said["role"] == role
    assert re.fullmatch(failure.trust, said["trust"])
    assert re.search(failure.reason, said["reason"])
    pending = eventually(lambda: kubernetes_events(space, namespace, "TrustPending"), "an Event for the owner")
    assert pending[0]["involvedObject"]["kind"] == "ServiceAccount"
    assert role in pending[0]["message"]
    assert re.search(failure.reason, pending[0]["message"])
    assert webhook.metrics().total("mxp_identity_admission_requests_total", **counter) == before + 1
    assert webhook.metrics().total("mxp_identity_grants_pending") >= 1

    space.aws.clear_faults()
    eventually(lambda: is_trusted(space, namespace), "trust after recovery", timeout=RECOVERY_S)


@pytest.fixture(autouse=True)
def no_faults_are_left(failing_space: Space) -> Iterator[None]:
    yield
    failing_space.aws.clear_faults()
