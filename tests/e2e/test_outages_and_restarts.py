"""A webhook that dies or starts while AWS fails: the cluster is the record, so nothing is lost."""

from collections.abc import Iterator

import pytest

from rig.aws.faults import Deny, Fault, Hang
from rig.balancer import Balancer
from rig.kubernetes import objects
from rig.space import Space
from rig.waiting import eventually
from tests.e2e.observe import annotation, is_trusted
from tests.e2e.scenes import bare_space, create_account, create_namespace, kubectl_create, serving, unregister

RECOVERY_S = 30.0


@pytest.fixture(scope="module")
def restarting_space() -> Iterator[Space]:
    with bare_space() as space:
        yield space


@pytest.mark.rig
@pytest.mark.parametrize(
    "fault", [Deny(), pytest.param(Hang(), marks=pytest.mark.proof)], ids=["AccessDenied", "no answer"]
)
def test_a_webhook_killed_while_aws_failed_brings_the_trust_when_it_is_started_again(
    restarting_space: Space, fault: Fault
) -> None:
    space = restarting_space
    first = space.start_webhook()
    with Balancer(first.port) as balancer:
        space.register(f"https://127.0.0.1:{balancer.port}/mutate", "Fail")
        space.aws.switch_on(fault)
        namespace = create_namespace(space)
        kubectl_create(space, objects.service_account(namespace))
        first.process.kill()
        space.aws.clear_faults()
        assert not is_trusted(space, namespace)

        second = space.start_webhook()
        eventually(lambda: is_trusted(space, namespace), "trust after recovery", timeout=RECOVERY_S)
        unregister(space)
        second.process.kill()


@pytest.mark.rig
def test_a_webhook_that_starts_while_aws_is_silent_serves_and_catches_up(restarting_space: Space) -> None:
    """Ready does not depend on AWS: an outage there must not become one of the API server."""
    space = restarting_space
    with space.aws.fault(Hang()), serving(space) as webhook:
        namespace = create_namespace(space)
        create_account(space, namespace)
        assert annotation(space, namespace) == space.roles[0]
        space.aws.clear_faults()
        eventually(lambda: is_trusted(space, namespace), "trust after recovery", timeout=RECOVERY_S)
        assert "Traceback" not in webhook.process.log.read_text(), "an outage of AWS is no surprise"
