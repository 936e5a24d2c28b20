"""An empty account that knows of one EKS cluster."""

from collections.abc import Iterator

import pytest

from rig.aws.standin import AwsStandIn
from rig.space import EKS_CLUSTER
from tests.cli.setup.accounts import ISSUER


@pytest.fixture
def aws() -> Iterator[AwsStandIn]:
    with AwsStandIn() as running:
        running.add_cluster(EKS_CLUSTER, ISSUER)
        yield running
