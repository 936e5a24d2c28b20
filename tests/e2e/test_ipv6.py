"""A cluster with IPv6 addresses alone, in a network namespace that has nothing else."""

import subprocess
import sys

import pytest

from tests.e2e.within_ipv6 import API_SERVER, POD

pytestmark = pytest.mark.rig

TIMEOUT_S = 120.0
ISOLATED = ("unshare", "--map-root-user", "--net", "--kill-child", "--", "sh", "-c")
UP = "".join(
    f"{command} && "
    for command in (
        "ip link set lo up",
        f"ip -6 address add {API_SERVER}/128 dev lo nodad",
        f"ip -6 address add {POD}/128 dev lo nodad",
    )
)


@pytest.fixture
def network() -> None:
    """Skip where no network namespace with IPv6 can be had."""
    tried = subprocess.run([*ISOLATED, f"{UP} true"], capture_output=True, text=True, check=False)
    if tried.returncode:
        pytest.skip(f"no network namespace with IPv6: {tried.stderr.strip()}")


@pytest.mark.usefixtures("network")
def test_a_control_plane_gets_its_identity_in_a_cluster_of_ipv6() -> None:
    program = [*ISOLATED, f'{UP} exec "$@"', "sh", sys.executable, "-m", "tests.e2e.within_ipv6"]
    done = subprocess.run(program, capture_output=True, text=True, check=False, timeout=TIMEOUT_S)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert f"annotated and trusted by way of {API_SERVER.removesuffix('1')}" in done.stdout
