"""A cluster with one real node."""

import contextlib
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

from rig.kubernetes.cluster import Cluster
from rig.node import settings
from rig.node.images import Image
from rig.node.layout import Layout
from rig.node.namespaces import Namespaces, remove_control_groups
from rig.node.packages import demand
from rig.processes import Process
from rig.serving import wait_until_ready
from rig.tools import binary
from rig.tools.lock import locked
from rig.tools.store import cache_folder

NAME = "node-1"
FLAGS = (
    "--allow-privileged",
    "--enable-admission-plugins=NodeRestriction",
    "--kubelet-preferred-address-types=InternalIP",
    "--endpoint-reconciler-type=lease",  # pods find the API server at its Service
)


class Node(Cluster):
    """A `Cluster` whose one node is real: containerd, kubelet and kube-proxy run pods of `images`.

    `images` are what pods may use, the pause image last; nothing can be pulled, as there is no way out of the
    node's network but to this machine at `layout.host_address`. There is no name service: Services are found by
    address. One node at a time runs on a machine; a second waits. Raises `PackagesError` where it cannot run.
    """

    kubelets = "kubelet"

    def __init__(self, images: Sequence[Image], *, layout: Layout | None = None, **options: Any) -> None:
        super().__init__(api_server_flags=(*FLAGS, *options.pop("api_server_flags", ())), **options)
        self.layout = layout or Layout()
        self._images = images
        self._held = contextlib.ExitStack()

    def __enter__(self) -> Self:
        demand()
        lock = cache_folder() / f"{self.layout.name}.lock"
        with contextlib.ExitStack() as stack:
            stack.enter_context(locked(lock, lambda holder: print(f"waiting for the node of process {holder}")))
            stack.callback(remove_control_groups, self.layout)
            super().__enter__()
            self._held = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._held:
            super().__exit__(kind, error, trace)

    def logs(self, namespace: str, pod: str) -> str:
        """Return what a pod's container has printed so far."""
        return self.api.text(f"/api/v1/namespaces/{namespace}/pods/{pod}/log")

    def _start(self) -> None:
        namespaces = Namespaces(self.workspace, self.layout)
        self.place = namespaces.place
        self.parts["namespaces"] = namespaces.process
        super()._start()

    def _start_nodes(self) -> None:
        folder = self.workspace.path / "node"
        proxy = self._kubeconfig_of("system:kube-proxy")
        files = settings.write(folder, self.layout, self._images[-1].name, self.ca_file, proxy)
        self._spawn("containerd", ["containerd", "--config", files.containerd])
        containerd = self.parts["containerd"]
        wait_until_ready(containerd, lambda: self._ctr("version") is not None)
        for image in self._images:
            self._import(image, containerd)
        self._spawn("kube-proxy", [binary("kube-proxy"), f"--config={files.proxy}", f"--hostname-override={NAME}"])
        kubeconfig = self._kubeconfig_of(f"system:node:{NAME}")
        self._spawn(
            "kubelet",
            [
                binary("kubelet"),
                f"--config={files.kubelet}",
                f"--kubeconfig={kubeconfig}",
                f"--hostname-override={NAME}",
                f"--node-ip={self.layout.inner_address}",
            ],
        )

    def _import(self, image: Image, containerd: Process) -> None:
        if self._ctr("--namespace", "k8s.io", "images", "import", str(image.archive)) is None:
            raise containerd.failure(f"could not import {image.archive}")

    def _ctr(self, *arguments: str) -> str | None:
        answer = self.run(["ctr", "--address", settings.SOCKET, *arguments])
        return answer.stdout if answer.returncode == 0 else None
