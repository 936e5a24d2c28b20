"""`python -m rig.demo [N] [MODE] [LEVEL]`, which `make demo`, `make demo N=50` and `MODE=pod-identity` call."""

import math
import signal
import sys
from textwrap import wrap

from rig.aws.faults import Latency
from rig.chart import HelmError
from rig.demo import crowd, pods, story
from rig.demo.bucket import allow_bucket
from rig.demo.identity import MODES, POD_IDENTITY
from rig.demo.screen import Screen
from rig.demo.stage import LEVELS, SIMULATED, Plan, stage
from rig.node.buildah import ImageError
from rig.node.namespaces import NetworkError
from rig.processes import ProcessFailedError
from rig.space import Space
from rig.tools import BinaryMissingError
from rig.tools.build import BuildFailedError
from rig.tools.golang import GoMissingError

IAM_SECONDS = 0.15
WIDTH = 100
QUOTA, RAISED_QUOTA = 2048, 8192
SUBJECTS_OF_RAISED_QUOTA = 80
MOST = 500
INTERRUPTED = 130
FAILURES = (
    ProcessFailedError,
    BinaryMissingError,
    BuildFailedError,
    GoMissingError,
    ImageError,
    NetworkError,
    HelmError,
)
DEFAULTS = ("1", MODES[0], LEVELS[0])

NEXT = (
    "make demo N=50                    fifty at once",
    "make demo MODE=pod-identity       the same by EKS Pod Identity",
    "docs/decide/permissions.md        what it may do in your account, and what it never does",
    "docs/use/guides/watch-first.md    install it so that it changes nothing",
    "make test                         all checks, on the same real parts",
)


def main() -> int:
    """Run the demo; answers the exit code."""
    screen = Screen()
    given = sys.argv[1:]
    number, mode, level = (*given, *DEFAULTS[len(given) :])[: len(DEFAULTS)]
    count = int(number) if number.isdecimal() else 0
    if not 1 <= count <= MOST or mode not in MODES or level not in LEVELS:
        screen.line(f"N is the number of control planes, from 1 to {MOST}: make demo N=50")
        screen.line(f"MODE is {' or '.join(MODES)}: make demo MODE={POD_IDENTITY}")
        screen.line(f"LEVEL is {' or '.join(LEVELS)}: make demo LEVEL={SIMULATED}")
        return 2
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        _run(screen, count, mode, level)
    except KeyboardInterrupt:
        screen.line("\nstopped; nothing is left running")
        return INTERRUPTED
    except FAILURES as error:
        screen.line(str(error))
        return 1
    return 0


def _run(screen: Screen, count: int, mode: str, level: str) -> None:
    roles = 1 if mode == POD_IDENTITY else math.ceil(count / SUBJECTS_OF_RAISED_QUOTA)
    names = ["mxp-backup"] if roles == 1 else [f"mxp-backup-{number + 1}" for number in range(roles)]
    quota = QUOTA if (roles == 1 and count == 1) or mode == POD_IDENTITY else RAISED_QUOTA
    screen.title("Setting the scene")
    with stage(Plan(mode, names, quota, level), count, _slow_down) as scene:
        hidden = {"eks-pod-identity-webhook", "namespaces"}
        parts = ", ".join(part for part in scene.space.cluster.parts if part not in hidden)
        first, *more = wrap(f"a real Kubernetes: {parts}", WIDTH)
        screen.line(f"{scene.scene_s:5.1f} s  {first}")
        for line in more:
            screen.line(f"         {line}")
        screen.line("         and EKS's own pod identity webhook")
        milliseconds = f"{IAM_SECONDS * 1000:.0f} ms"
        screen.line(f"         an AWS stand-in that evaluates trust policies, IAM answering in {milliseconds};")
        screen.line(
            f"         {', '.join(names)} already {'hold' if roles > 1 else 'holds'} two external statements"
        )
        screen.line(f"{scene.program_s:5.1f} s  our webhook, behind a MutatingWebhookConfiguration")
        for sentence in scene.level:
            screen.line(f"         {sentence}")
        if count > 1:
            crowd.run(scene, screen, count, mode)
        elif mode == POD_IDENTITY:
            pods.tell(scene, screen)
        else:
            story.tell(scene, screen)
    screen.title("What next")
    for line in NEXT:
        screen.line(f"    {line}")


def _slow_down(space: Space) -> None:
    slow = ("GetRole", "UpdateAssumeRolePolicy", "CreatePodIdentityAssociation", "ListPodIdentityAssociations")
    space.aws.switch_on(Latency(seconds=IAM_SECONDS, actions=slow))
    allow_bucket(space)


if __name__ == "__main__":
    sys.exit(main())
