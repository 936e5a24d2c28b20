from collections.abc import Iterator
from pathlib import Path

import pytest

from rig.aws import AwsStandIn, ManualClock, TokenIssuer
from rig.space import EKS_CLUSTER
from tests.cli.conformance.account import Account
from tests.cli.setup.accounts import ISSUER
from tests.support.stub_cluster import StubCluster


@pytest.fixture(scope="session")
def keys() -> TokenIssuer:
    """The cluster's; making them takes long enough to do it once."""
    return TokenIssuer(ISSUER)


@pytest.fixture
def account(keys: TokenIssuer, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Account]:
    clock = ManualClock()
    with AwsStandIn(clock=clock) as aws, StubCluster(aws, keys) as cluster:
        aws.add_issuer(keys.url, keys.jwks)
        aws.add_cluster(EKS_CLUSTER, keys.url)
        iam = aws.admin_client("iam")
        iam.create_open_id_connect_provider(Url=keys.url, ClientIDList=["sts.amazonaws.com"])
        cluster.come()
        yield Account(aws, clock, cluster, cluster.kubeconfig(tmp_path, "a-person"), capsys)
