"""What the rig is made of: each tool, the Go module that pins it, and how it is linked."""

import functools
import hashlib
import os
import platform
import re
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path

MODULES = Path(__file__).parent / "modules"

USUAL_KUBERNETES = "1.36"
KUBERNETES = {
    "1.33": MODULES / "kubernetes-1.33",
    "1.34": MODULES / "kubernetes-1.34",
    "1.35": MODULES / "kubernetes-1.35",
    USUAL_KUBERNETES: MODULES / "kubernetes",
    "1.37": MODULES / "kubernetes-1.37",
}
"""The versions that the rig can run, oldest first, each with the module that pins its patch."""

KUBERNETES_VARIABLE = "MXP_RIG_KUBERNETES"
"""The environment variable that chooses another version than the usual one. A real node is of the usual one."""

USUAL_S = {
    "trustoracle": 10.0,
    "etcd": 25.0,
    "kube-apiserver": 175.0,
    "kube-controller-manager": 50.0,
    "kube-scheduler": 8.0,
    "kubectl": 25.0,
    "kwok": 80.0,
    "helm": 70.0,
    "eks-pod-identity-webhook": 60.0,
    "registry": 10.0,
    "prometheus": 60.0,
    "promtool": 15.0,
    "kubelet": 60.0,
    "kube-proxy": 10.0,
    "pause": 2.0,
}
BUILD_FLAGS = ("-mod=readonly", "-modcacherw", "-buildvcs=false", "-trimpath")


@dataclass(frozen=True)
class Tool:
    """A program built from a main module of ours, whose go.mod and go.sum pin all that goes into it.

    `variables` are Go variables set by the linker, `package.Name` to value. `tags` are Go's build tags. An
    `optional` tool is built only when it is asked for by name. `usual_s` is about how many seconds its build takes
    on two idle cores after those before it in the catalogue, download included; it is for estimates only.
    """

    name: str
    module: Path
    package: str = "."
    variables: dict[str, str] = field(default_factory=dict, hash=False)
    optional: bool = False
    tags: tuple[str, ...] = ()
    usual_s: float = field(default=60.0, hash=False)

    @property
    def flags(self) -> list[str]:
        """The flags of `go build` that are this tool's own."""
        tags = ["-tags", ",".join(self.tags)] if self.tags else []
        return [*tags, "-ldflags", self.linker_flags]

    @property
    def linker_flags(self) -> str:
        """The value of `go build -ldflags`."""
        return " ".join(["-s", "-w", *(f"-X {name}={value}" for name, value in self.variables.items())])

    @functools.cached_property
    def key(self) -> str:
        """A name for exactly what is built: a hash of sources, pins, flags and platform.

        Go's own version is left out: which Go is at hand does not change what the tool does, and a finished
        binary must be found where there is no Go at all.
        """
        digest = hashlib.sha256()
        for part in (self.package, *BUILD_FLAGS, self.linker_flags, *self.tags, sys.platform, platform.machine()):
            digest.update(part.encode() + b"\0")
        for file in sorted(self.module.iterdir()):
            if file.suffix in {".go", ".mod", ".sum"}:
                digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
        return f"{self.name}-{digest.hexdigest()[:16]}"

    def pinned_version(self, path: str) -> str:
        """Return the version of the module `path` that go.mod asks for, such as "v1.36.3"."""
        return pinned_version(self.module, path)


def pinned_version(module: Path, path: str) -> str:
    """Return the version of the module `path` that the go.mod in the folder `module` asks for."""
    text = (module / "go.mod").read_text()
    if found := re.search(rf"(?:require|^\t)\s*{re.escape(path)} (v\S+)", text, re.MULTILINE):
        return found[1]
    raise LookupError(f"{module / 'go.mod'} does not require {path}")


class UnknownVersionError(ValueError):
    """The rig does not have the version of Kubernetes that the environment asks for."""


def chosen_kubernetes() -> str:
    """Return the version that the environment chooses, such as "1.36". Raises `UnknownVersionError`."""
    chosen = os.environ.get(KUBERNETES_VARIABLE) or USUAL_KUBERNETES
    if chosen not in KUBERNETES:
        raise UnknownVersionError(f"{KUBERNETES_VARIABLE} is {chosen!r}: the rig has {', '.join(KUBERNETES)}")
    return chosen


def _kubernetes(name: str, version: str = USUAL_KUBERNETES, *, optional: bool = False) -> Tool:
    plain = Tool(name, KUBERNETES[version], f"k8s.io/kubernetes/cmd/{name}")
    exact = plain.pinned_version("k8s.io/kubernetes")
    major, minor, _ = exact.removeprefix("v").split(".", 2)
    package = "k8s.io/component-base/version"
    stamped = {"gitVersion": exact, "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
    variables = {f"{package}.{key}": value for key, value in stamped.items()}
    return Tool(name, plain.module, plain.package, variables, optional)


def _prometheus(name: str) -> Tool:
    """Prometheus without its pages and without any service discovery: the rig tells it what to scrape."""
    package = f"github.com/prometheus/prometheus/cmd/{name}"
    plain = Tool(name, MODULES / "prometheus", package, tags=("remove_all_sd",))
    # Go modules of Prometheus 3.15.1 are numbered v0.315.1.
    _, minor, patch = plain.pinned_version("github.com/prometheus/prometheus").split(".")
    version = f"{minor[0]}.{minor[1:].lstrip('0') or 0}.{patch}"
    variables = {"github.com/prometheus/common/version.Version": version}
    return Tool(name, plain.module, package, variables, tags=plain.tags)


def catalogue() -> dict[str, Tool]:
    """Return every tool by name, quick builds first so that an early mistake shows early.

    Kubernetes is of the version that the environment chooses. Raises `UnknownVersionError`.
    """
    kubernetes = chosen_kubernetes()
    kwok = Tool("kwok", MODULES / "kwok", "sigs.k8s.io/kwok/cmd/kwok")
    version = {"sigs.k8s.io/kwok/pkg/consts.Version": kwok.pinned_version("sigs.k8s.io/kwok")}
    helm = Tool("helm", MODULES / "helm", "helm.sh/helm/v4/cmd/helm")
    release = {"helm.sh/helm/v4/internal/version.version": helm.pinned_version("helm.sh/helm/v4")}
    tools = [
        Tool("trustoracle", MODULES / "trustoracle"),
        Tool("etcd", MODULES / "etcd", "go.etcd.io/etcd/server/v3"),
        _kubernetes("kube-apiserver", kubernetes),
        _kubernetes("kube-controller-manager", kubernetes),
        _kubernetes("kube-scheduler", kubernetes),
        _kubernetes("kubectl", kubernetes),
        Tool(kwok.name, kwok.module, kwok.package, version),
        Tool(helm.name, helm.module, helm.package, release),
        Tool(
            "eks-pod-identity-webhook",
            MODULES / "eks-webhook",
            "github.com/aws/amazon-eks-pod-identity-webhook",
        ),
        Tool("registry", MODULES / "registry", "github.com/google/go-containerregistry/cmd/registry"),
        _prometheus("prometheus"),
        _prometheus("promtool"),
        _kubernetes("kubelet", optional=True),
        _kubernetes("kube-proxy", optional=True),
        Tool("pause", MODULES / "pause", optional=True),
    ]
    return {tool.name: replace(tool, usual_s=USUAL_S[tool.name]) for tool in tools}
