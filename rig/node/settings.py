"""The configuration files of what runs on a real node."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from rig.node.layout import Layout

SOCKET = "/run/containerd/containerd.sock"
PLUGINS = "/usr/lib/cni"
MOST_PODS = 110

CONTAINERD = """\
version = 2
root = "{folder}/containerd"
state = "/run/containerd/state"

[grpc]
address = "{socket}"

[plugins."io.containerd.internal.v1.opt"]
path = "{folder}/opt"

[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{pause}"
disable_apparmor = true
# A machine that may not lower an OOM score would start no pod at all.
restrict_oom_score_adj = true

[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "{plugins}"
conf_dir = "{folder}/cni"

[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = "overlayfs"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
SystemdCgroup = false
"""


@dataclass(frozen=True)
class Files:
    """Where the files are."""

    containerd: Path
    kubelet: Path
    proxy: Path


def write(folder: Path, layout: Layout, pause_image: str, ca_file: Path, proxy_kubeconfig: Path) -> Files:
    """Write the configuration of containerd, its network plugins, kubelet and kube-proxy below `folder`."""
    containerd = folder / "containerd.toml"
    containerd.write_text(CONTAINERD.format(folder=folder, socket=SOCKET, pause=pause_image, plugins=PLUGINS))
    (folder / "cni").mkdir()
    (folder / "cni" / "10-node.conflist").write_text(json.dumps(_network(layout)))
    return Files(
        containerd,
        _yaml(folder / "kubelet.yaml", _kubelet(layout, ca_file)),
        _yaml(folder / "kube-proxy.yaml", _proxy(layout, proxy_kubeconfig)),
    )


def _yaml(path: Path, content: Mapping[str, Any]) -> Path:
    path.write_text(yaml.safe_dump(dict(content)))
    return path


def _network(layout: Layout) -> dict[str, Any]:
    bridge = {
        "type": "bridge",
        "bridge": "cni0",
        "isDefaultGateway": True,
        "hairpinMode": True,
        "ipam": {"type": "host-local", "ranges": [[{"subnet": layout.pods}]]},
    }
    ports = {"type": "portmap", "capabilities": {"portMappings": True}}
    return {"cniVersion": "1.0.0", "name": "node", "plugins": [bridge, ports]}


def _kubelet(layout: Layout, ca_file: Path) -> dict[str, Any]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "failCgroupV1": False,
        "failSwapOn": False,
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{layout.name}",
        "enforceNodeAllocatable": [],
        "resolvConf": "",  # there is no name service
        "containerRuntimeEndpoint": f"unix://{SOCKET}",
        "address": layout.inner_address,
        "maxPods": MOST_PODS,
        "imageGCHighThresholdPercent": 100,
        "evictionHard": {"imagefs.available": "1%", "nodefs.available": "1%"},
        "serializeImagePulls": False,
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(ca_file)},
        },
        "authorization": {"mode": "Webhook"},
    }


def _proxy(layout: Layout, kubeconfig: Path) -> dict[str, Any]:
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "clusterCIDR": layout.pods,
        "clientConnection": {"kubeconfig": str(kubeconfig)},
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
    }
