"""The program as it called AWS before, to compare with: `python -m bench.former serve --config FILE`."""

from typing import Any

from webhook.cli import main
from webhook.engine import build
from webhook.iam.role_writer import GATHERING, RoleWriter
from webhook.podidentity.associations import Associations
from webhook.server import assembly


class FixedGathering(RoleWriter):
    """Waits under the lock until 0.3 s after the role's last write, whatever is written and whoever waits."""

    def _seconds_to_turn(self) -> float:
        return max(self.cache.recent.latest + GATHERING - self._clock(), 0.0)

    def _seconds_to_lock(self) -> float:
        return 0.0


class MadeByEachReplica(Associations):
    """Has every replica make each association, as if it led."""

    def __init__(self, api: Any, owner: Any, desired: Any, **_: Any) -> None:
        super().__init__(api, owner, desired)


if __name__ == "__main__":
    build.RoleWriter = FixedGathering  # type: ignore[attr-defined]
    assembly.Associations = MadeByEachReplica  # type: ignore[assignment, attr-defined]
    main()
