"""Whether a read that is not what we wrote is too old to show it, or shows an edit of somebody since."""

from __future__ import annotations

from typing import TYPE_CHECKING

from webhook.coordination.recent_writes import REMEMBERED
from webhook.iam.trust_policy import canonical_policy

if TYPE_CHECKING:
    from webhook.iam.trust_policy import TrustPolicy

_LOOKS = 3
_SECONDS = 5.0
_LONGEST_PAUSE = 10.0


class DifferingReads:
    """Counts looks at a policy that lacks what was written lately. Times are seconds on one clock.

    A read that is too old shows a policy from before our write. So one that was read before a write of the last
    minute, or was written, is never taken for an edit: whoever puts an old policy back waits for that minute. Any
    other counts as an edit once three looks in a row have shown it, over five seconds or more. Where that is an
    error, it costs one write, which drops nobody of ours; the policy is known from then on, so no second comes.
    """

    def __init__(self) -> None:
        self._known: dict[int, float] = {}
        self._shown: int | None = None
        self._since = 0.0
        self._looks = 0

    def wrote(self, before: TrustPolicy, after: TrustPolicy, now: float) -> None:
        """Remember what was read before a write, and what was written."""
        self._known = {one: at for one, at in self._known.items() if at > now - REMEMBERED}
        self._known |= {_fingerprint(before): now, _fingerprint(after): now}
        self.settle()

    def settle(self) -> None:
        """Forget the looks: a read has shown what was to be there."""
        self._shown, self._looks = None, 0

    def look(self, policy: TrustPolicy, now: float) -> bool:
        """Take in one more look; answers whether the policy is somebody's edit by now."""
        shown = _fingerprint(policy)
        if shown != self._shown:
            self._shown, self._since, self._looks = shown, now, 0
        self._looks += 1
        return shown not in self._known and self._looks >= _LOOKS and now - self._since >= _SECONDS

    @property
    def pause(self) -> float:
        """Seconds until the next look: 1, 2, 4 and so on up to 10 for as long as it shows the same."""
        return min(2.0 ** min(self._looks - 1, 10), _LONGEST_PAUSE)


def _fingerprint(policy: TrustPolicy) -> int:
    return hash(canonical_policy(policy.document))
