"""`withdraw` cut off after each write in turn: it continues from where it was, and ends in the same state."""

import signal

import pytest

from rig.space import EKS_CLUSTER
from tests.cli.commands import cut_off, environment
from tests.cli.withdraw.spaces import EXTERNAL, FOR_PODS, a_space
from tests.support.variants import variants

pytestmark = pytest.mark.rig

INTERRUPTED = 130
KEEP = "--keep-access"


ENDINGS = [
    pytest.param(signal.SIGINT, INTERRUPTED, id="Ctrl-C", marks=pytest.mark.proof),
    pytest.param(signal.SIGKILL, -signal.SIGKILL, id="killed", marks=pytest.mark.proof),
]


@pytest.mark.timeout(900)
@pytest.mark.parametrize("options", variants([(), (KEEP,)]), ids=["nothing", "access"])
@pytest.mark.parametrize(("ending", "code"), ENDINGS)
def test_it_ends_as_if_it_had_not_been_cut_off(
    options: tuple[str, ...], ending: signal.Signals, code: int
) -> None:
    with a_space() as here:
        assert here.withdraw("--approve", *options).code == 0
        whole = here.left()
    with a_space() as here:
        call, env = ("withdraw", "--config", str(here.file), "--approve", *options), environment(here.space)
        cut = 0
        while (ended := cut_off(ending, *call, env=env)) == code:
            cut += 1
            here.assert_external_statements_never_changed()
            if options:
                assert here.trusted() == here.irsa
                kept = {one.namespace: one.role_arn for one in here.space.aws.associations(EKS_CLUSTER)}
                assert kept == dict.fromkeys([*here.pods, EXTERNAL], here.space.role_arn(FOR_PODS))
        assert ended == 0
        assert cut >= len([one for one in whole["policies"] if whole["policies"][one] != {}]), "once for each role"
        assert here.left() == whole
