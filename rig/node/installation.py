"""The program on a real node: its image, installed by helm, as two pods behind a Service."""

from typing import Any

from rig.chart import Helm
from rig.gate import wait_until_marked
from rig.kubernetes.registration import OWN_NAMESPACE
from rig.node.client import aws_variables
from rig.node.images import Image
from rig.node.node import Node
from rig.permissions import PROGRAM
from rig.space import Space
from rig.waiting import eventually

WAIT = ("--wait", "--timeout=90s")


class Installation:
    """A release of the chart in a Space whose cluster is a `Node`; made with `Space(rights=False)`."""

    def __init__(self, space: Space, node: Node, image: Image) -> None:
        self.space = space
        self.helm = Helm(PROGRAM, OWN_NAMESPACE, node.kubeconfig, node.place)
        self._image = image

    def values(self, **changed: Any) -> dict[str, Any]:
        """Return the chart's values: its defaults, so certificates of its own, one binding, and `changed`."""
        repository, _, tag = self._image.name.rpartition(":")
        return {
            "bindings": self.space.configuration()["bindings"],
            "image": {"repository": repository, "tag": tag, "pullPolicy": "Never"},
            "serviceAccount": {"roleArn": self.space.role_arn(PROGRAM)},
            "aws": {"region": self.space.aws.region},
            "extraEnv": aws_variables(self.space),
            **changed,
        }

    def install(self, **changed: Any) -> None:
        """Install the release, and wait until its pods are ready and the API server calls them."""
        self.helm.install(self.values(**changed), *WAIT)
        eventually(self.space.is_called, "the API server calls the webhook")
        wait_until_marked(self.space.cluster)

    def upgrade(self, **changed: Any) -> None:
        """Upgrade the release, and wait until the new pods are ready and the old ones are on their way out."""
        self.helm.upgrade(self.values(**changed), *WAIT)
        wait_until_marked(self.space.cluster)

    def pods(self) -> list[dict[str, Any]]:
        """Return the release's replicas that are not being deleted."""
        selector = f"app.kubernetes.io/instance={PROGRAM},app.kubernetes.io/name={PROGRAM}"
        found = self.space.cluster.api.get(f"/api/v1/namespaces/{OWN_NAMESPACE}/pods", labelSelector=selector)
        return [pod for pod in found["items"] if "deletionTimestamp" not in pod["metadata"]]
