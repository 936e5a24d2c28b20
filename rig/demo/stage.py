"""Where the demo plays: on a real node with the image and the chart where that can be, else on simulated nodes."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from rig.demo.bucket import BUCKET, key_of
from rig.demo.identity import POD_IDENTITY
from rig.gate import install_gate
from rig.kubernetes import objects
from rig.kubernetes.cluster import Cluster
from rig.kubernetes.objects import Object
from rig.node.agent import start_agent
from rig.node.client import KEPT, control_plane, first_line, line_of
from rig.node.images import ensure_images
from rig.node.installation import Installation
from rig.node.node import Node
from rig.node.packages import why_not
from rig.space import EKS_CLUSTER, Space
from rig.tools import ensure_binaries
from rig.waiting import eventually

EKS_LAG_S = 5.0
"""Until EKS's webhook hears of an association: on EKS, people report 5 to 15 s."""

REAL, SIMULATED = "real", "simulated"
LEVELS = (REAL, SIMULATED)
"""Real where a real node can run: else it is simulated too, and the screen says why."""

CLUSTER = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "eks-pod-identity-webhook")
BINARIES = {REAL: (*CLUSTER, "helm", "kubelet", "kube-proxy", "pause"), SIMULATED: (*CLUSTER, "helm", "kwok")}
"""What each level uses: nothing else is built for the demo."""

MOST_REAL = 50
"""Pods that a laptop starts in well under a minute."""


@dataclass(frozen=True)
class Plan:
    """What is to be shown: the mode, in the account these roles under this quota, and on which level."""

    mode: str
    roles: Sequence[str]
    quota: int
    level: str = REAL

    def space(self) -> dict[str, Any]:
        """Return the parameters of its Space."""
        lag = EKS_LAG_S if self.mode == POD_IDENTITY else None
        return {"roles": self.roles, "quota": self.quota, "eks_lag": lag}


@dataclass(frozen=True)
class Stage:
    """A Space with our program in it.

    `control_plane` makes the objects of one by its name. `said` waits for the first thing that a pod's boto3 says,
    `kept` for what it reads in the bucket after it wrote there; both are None where pods are simulated. `level`
    are sentences that say what is real, `scene_s` and `program_s` how long the cluster and the program took to
    start.
    """

    space: Space
    level: tuple[str, ...]
    control_plane: Callable[[str], list[Object]]
    said: Callable[[dict[str, Any]], str] | None
    kept: Callable[[dict[str, Any]], str] | None
    scene_s: float
    program_s: float


@contextmanager
def stage(plan: Plan, count: int, set_up: Callable[[Space], None]) -> Iterator[Stage]:
    """Set the stage for `count` control planes; `set_up` is called before the program starts.

    What it needs is built first. Raises `BuildFailedError`, `GoMissingError` or `ImageError` where that fails.
    """
    reason = _why_simulated(plan, count)
    ensure_binaries(BINARIES[REAL if reason is None else SIMULATED])
    real = _real if reason is None else _simulated
    with real(plan, set_up, reason or "") as made:
        yield made


def _why_simulated(plan: Plan, count: int) -> str | None:
    if plan.level == SIMULATED:
        return "as was asked for"
    return why_not() if count <= MOST_REAL else f"more than {MOST_REAL} pods are too many for one real node"


@contextmanager
def _simulated(plan: Plan, set_up: Callable[[Space], None], reason: str) -> Iterator[Stage]:
    began = time.monotonic()
    with Cluster() as cluster, Space(cluster=cluster, **plan.space()) as space:
        set_up(space)
        ready = time.monotonic()
        configuration = space.in_mode(plan.mode)
        install_gate(space, configuration)
        space.register(space.start_webhook(configuration).url)
        level = (
            "level: simulated nodes; pods are admitted, scheduled and played, and their tokens are real",
            f"({reason})",
        )
        seconds = ready - began, time.monotonic() - ready
        yield Stage(space, level, objects.control_plane, None, None, *seconds)


@contextmanager
def _real(plan: Plan, set_up: Callable[[Space], None], _: str) -> Iterator[Stage]:
    images = ensure_images()
    began = time.monotonic()
    with Node(images) as node, Space(cluster=node, rights=False, **plan.space()) as space:
        set_up(space)
        ready = time.monotonic()
        changed = {key: space.in_mode(plan.mode)[key] for key in ("bindings", "cluster")}
        if plan.mode == POD_IDENTITY:
            start_agent(node, space.aws, EKS_CLUSTER)
        Installation(space, node, images[0]).install(**changed)
        level = (
            "level: a real node; our image and chart, installed by helm as two pods behind a Service;",
            "the controllers are pods with unmodified boto3",
        )

        def said(pod: dict[str, Any]) -> str:
            return eventually(lambda: first_line(node, pod), "the pod's boto3 says who it is", timeout=120)

        def kept(pod: dict[str, Any]) -> str:
            return eventually(lambda: line_of(node, pod, KEPT), "the pod's boto3 reads its object", timeout=60)

        def made(name: str) -> list[Object]:
            return control_plane(space, images[0], name, backup=f"{BUCKET}/{key_of(name)}")

        seconds = ready - began, time.monotonic() - ready
        yield Stage(space, level, made, said, kept, *seconds)
