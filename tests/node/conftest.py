"""One real node for all tests of this folder; where none can run they are skipped, and say why."""

from collections.abc import Iterator

import pytest

from rig.kubernetes.registration import OWN_NAMESPACE
from rig.node.agent import start_agent
from rig.node.images import Image, ensure_images
from rig.node.installation import Installation
from rig.node.node import Node
from rig.node.packages import why_not
from rig.permissions import PROGRAM
from rig.space import EKS_CLUSTER, Space

ROOMY = 131072
LAG_S = 5.0


@pytest.fixture(scope="session")
def images() -> tuple[Image, Image]:
    if reason := why_not():
        pytest.skip(reason)
    return ensure_images()


@pytest.fixture(scope="session")
def image(images: tuple[Image, Image]) -> Image:
    return images[0]


@pytest.fixture(scope="session")
def node(images: tuple[Image, Image]) -> Iterator[Node]:
    with Node(images) as running:
        yield running


@pytest.fixture(scope="session")
def space(node: Node) -> Iterator[Space]:
    with Space(cluster=node, rights=False, quota=ROOMY) as running:
        yield running


@pytest.fixture
def installed(space: Space, node: Node, image: Image) -> Installation:
    """The chart, installed by helm unless an earlier test left it so."""
    installation = Installation(space, node, image)
    if not node.api.get(f"/apis/apps/v1/namespaces/{OWN_NAMESPACE}/deployments")["items"]:
        installation.install()
    assert installation.helm.release == PROGRAM
    return installation


@pytest.fixture
def on_eks(space: Space, node: Node) -> Iterator[Space]:
    """The Space on EKS, with the agent on its node."""
    space.join_eks(LAG_S)
    agent = start_agent(node, space.aws, EKS_CLUSTER)
    try:
        yield space
    finally:
        agent.kill()
