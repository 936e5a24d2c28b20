"""Distinguishes a read that is too old to show the last minute's writes from an external edit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from webhook.coordination.lock import REMEMBERED
from webhook.iam.trust_policy import canonical_policy

if TYPE_CHECKING:
    from webhook.iam.trust_policy import TrustPolicy

_LOOKS = 3
"""How often in a row an edit has to be read."""

_SECONDS = 5.0
"""Seconds from the first of those reads to the last, at least."""

_LONGEST_PAUSE = 10.0
"""Seconds from one look to the next."""


class StaleReads:
    """Counts the reads in a row ("looks") that lack what was written in the last minute. Times are clock seconds.

    A stale read shows a policy from before our write. So a policy that was read before a write of the last minute,
    or that was written in it, is never treated as an edit. An edit that puts an old policy back waits for that
    minute. Any other policy counts as an edit once three looks in a row have shown it, over five seconds or more.
    Where that is wrong it costs one write, which drops no subject of ours. The policy is known from then on, so no
    second write follows.
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
        """Forget the looks: a read has shown what should be there, or a write has just made it so."""
        self._shown, self._looks = None, 0

    def record_look(self, policy: TrustPolicy, now: float) -> None:
        """Count one more look, which showed `policy`."""
        shown = _fingerprint(policy)
        if shown != self._shown:
            self._shown, self._since, self._looks = shown, now, 0
        self._looks += 1

    def is_edit(self, now: float) -> bool:
        """Whether what the last looks have shown is an external edit."""
        return self._shown not in self._known and self._looks >= _LOOKS and now - self._since >= _SECONDS

    @property
    def pause(self) -> float:
        """Seconds until the next look: 1, 2, 4 and so on up to 10 for as long as it shows the same."""
        return min(2.0 ** min(self._looks - 1, 10), _LONGEST_PAUSE)


def _fingerprint(policy: TrustPolicy) -> int:
    return hash(canonical_policy(policy.document))
