"""`python -m rig.demo [N]`, which `make demo` and `make demo N=50` call."""

import math
import sys

from rig.aws.faults import Latency
from rig.chart import HelmError
from rig.demo import crowd, story
from rig.demo.screen import Screen
from rig.demo.stage import stage
from rig.node.buildah import ImageError
from rig.node.namespaces import NetworkError
from rig.processes import ProcessFailedError
from rig.space import Space
from rig.tools import BinaryMissingError

IAM_SECONDS = 0.15
QUOTA, RAISED_QUOTA = 2048, 8192
SUBJECTS_OF_RAISED_QUOTA = 80
MOST = 500
INTERRUPTED = 130

NEXT = (
    "make demo N=50       fifty at once",
    "make test            all checks, on the same real parts",
    "README.md            how to configure it, and where it stands",
    "docs/security.md     what it may do in your account, and what it never does",
)


def main() -> int:
    """Run the demo; answers the exit code."""
    screen = Screen()
    try:
        count = int(sys.argv[1]) if len(sys.argv) > 1 else 1
    except ValueError:
        count = 0
    if not 1 <= count <= MOST:
        screen.line(f"N is the number of control planes, from 1 to {MOST}: make demo N=50")
        return 2
    try:
        _run(screen, count)
    except KeyboardInterrupt:
        screen.line("\nstopped; nothing is left running")
        return INTERRUPTED
    except (ProcessFailedError, BinaryMissingError, ImageError, NetworkError, HelmError) as error:
        screen.line(str(error))
        return 1
    return 0


def _run(screen: Screen, count: int) -> None:
    roles = math.ceil(count / SUBJECTS_OF_RAISED_QUOTA)
    names = ["mxp-backup"] if roles == 1 else [f"mxp-backup-{number + 1}" for number in range(roles)]
    quota = QUOTA if count == 1 else RAISED_QUOTA
    screen.title("Setting the scene")
    with stage(names, quota, count, _slow_down) as scene:
        hidden = {"eks-pod-identity-webhook", "namespaces"}
        parts = ", ".join(part for part in scene.space.cluster.parts if part not in hidden)
        screen.line(f"{scene.scene_s:5.1f} s  a real Kubernetes: {parts}")
        screen.line("         and EKS's own pod identity webhook")
        milliseconds = f"{IAM_SECONDS * 1000:.0f} ms"
        screen.line(f"         an AWS stand-in that evaluates trust policies, IAM answering in {milliseconds};")
        screen.line(
            f"         {', '.join(names)} already {'hold' if roles > 1 else 'holds'} two statements of others"
        )
        screen.line(f"{scene.program_s:5.1f} s  our webhook, behind a MutatingWebhookConfiguration")
        for sentence in scene.level:
            screen.line(f"         {sentence}")
        if count == 1:
            story.tell(scene, screen)
        else:
            crowd.run(scene, screen, count)
    screen.title("What next")
    for line in NEXT:
        screen.line(f"    {line}")


def _slow_down(space: Space) -> None:
    space.aws.switch_on(Latency(seconds=IAM_SECONDS, actions=("GetRole", "UpdateAssumeRolePolicy")))


if __name__ == "__main__":
    sys.exit(main())
