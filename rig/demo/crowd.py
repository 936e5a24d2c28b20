"""Many control planes at once, with a bar, and the sums that matter at the end."""

import statistics
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from typing import Any

from rig.demo.identity import Identity, identity
from rig.demo.screen import Screen
from rig.demo.stage import Stage
from rig.node.client import GOT
from rig.pods import environment_of, restarts_of, running_pod
from rig.space import Space
from rig.waiting import eventually

AT_ONCE = 50
PROOFS = ("AssumeRoleWithWebIdentity", "AssumeRoleForPodIdentity", "GetCallerIdentity")
"""Calls that prove an identity; pods make them, too."""
PATIENCE_S = 300.0


@dataclass(frozen=True)
class Made:
    """One control plane: its pod, how long its ServiceAccount took, what STS said, and the pod's own boto3."""

    account_seconds: float
    pod: dict[str, Any]
    accepted: bool
    said: str | None


def run(scene: Stage, screen: Screen, count: int, mode: str) -> None:
    """Create `count` control planes at once and show what became of them."""
    with identity(scene.space, mode) as way:
        _run(scene, screen, count, way)


def _run(scene: Stage, screen: Screen, count: int, way: Identity) -> None:
    space = scene.space
    space.aws.forget_calls()
    screen.title(f"{count} control planes are created at once")
    began = time.monotonic()
    made: list[Made] = []
    with screen.bar("identity proved", count) as bar, ThreadPoolExecutor(AT_ONCE) as pool:
        futures = [pool.submit(_make, scene, way, number) for number in range(count)]
        for future in as_completed(futures):
            made.append(future.result())
            bar(len(made))
    seconds = time.monotonic() - began
    waits = sorted(one.account_seconds for one in made)
    screen.table(
        ("", "in all"),
        [
            ("control planes", str(count)),
            (
                f"pods that run with {way.variable}",
                str(sum(way.variable in environment_of(one.pod) for one in made)),
            ),
            ("tokens that AWS accepted", str(sum(one.accepted for one in made))),
            *_at_first_try(made),
            ("restarts", str(sum(restarts_of(one.pod) for one in made))),
            ("ServiceAccount CREATE, median and longest", f"{statistics.median(waits):.2f} s, {waits[-1]:.2f} s"),
            (
                "trust policy writes (one by one: " + str(count) + ")",
                str(space.aws.count("UpdateAssumeRolePolicy")),
            ),
            ("associations made", str(space.aws.count("CreatePodIdentityAssociation"))),
            ("calls of IAM and EKS", str(sum(space.aws.calls.values()) - _proofs(space))),
            ("from the first to the last proof", f"{seconds:.1f} s"),
        ],
    )


def _at_first_try(made: list[Made]) -> list[tuple[str, str]]:
    said = [one.said for one in made if one.said is not None]
    got = sum(line.startswith(GOT) for line in said)
    return [("pods whose boto3 got credentials at the first try", str(got))] if said else []


def _proofs(space: Space) -> int:
    """How many calls were the pods' own, or stand for them."""
    return sum(space.aws.count(action) for action in PROOFS)


def _make(scene: Stage, way: Identity, number: int) -> Made:
    space = scene.space
    host, account, deployment = scene.control_plane(f"control-plane-{number}")
    namespace = host["metadata"]["name"]
    space.cluster.create([host])
    asked = time.monotonic()
    space.cluster.create([account])
    answered = time.monotonic()
    space.cluster.create([deployment])
    pod = eventually(
        lambda: running_pod(space.cluster, namespace), f"the pod of {namespace} runs", timeout=PATIENCE_S
    )
    said = scene.said(pod) if scene.said else None
    accepted = eventually(lambda: way.proved(pod), f"AWS knows {namespace}")
    return Made(answered - asked, pod, accepted, said)
