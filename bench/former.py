"""The program with the pace that it had before, to compare with: `python -m bench.former serve --config FILE`."""

import asyncio

from webhook.cli import main
from webhook.serving import assembly
from webhook.trust.writer import GATHERING, RoleWriter


class FixedGathering(RoleWriter):
    """Waits under the lock until 0.3 s after the role's last write, whatever is written and whoever waits."""

    def _next_turn(self) -> float:
        return max(self._recent_writes.latest + GATHERING - asyncio.get_running_loop().time(), 0.0)

    def _rest(self) -> float:
        return 0.0


if __name__ == "__main__":
    assembly.RoleWriter = FixedGathering  # type: ignore[attr-defined]
    main()
