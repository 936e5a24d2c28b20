"""The switches: what can go wrong at AWS, as values.

Every fault says what it applies to: `actions` (empty: all), `role` (a role's name), `caller` (a pattern with `*`
over the caller's ARN), `times` (the next so many calls, else until cleared) and `chance` (of each call, drawn
from the stand-in's seed). All times are seconds.
"""

from fnmatch import fnmatchcase

import msgspec


class Scope(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Which calls a fault is for."""

    actions: tuple[str, ...] = ()
    role: str | None = None
    caller: str | None = None
    times: int | None = None
    chance: float = 1.0

    def covers(self, action: str, role: str, caller: str) -> bool:
        """Whether a call is of this scope; `times` and `chance` are the switchboard's business."""
        return (
            (not self.actions or action in self.actions)
            and self.role in {None, role}
            and (self.caller is None or fnmatchcase(caller, self.caller))
        )


class Latency(Scope, frozen=True, kw_only=True):
    """A call takes `seconds`, or anything up to `until`: half before the call takes effect, half after.

    A caller that does not wait so long does not stop the call: its write lands when its time has come.
    """

    seconds: float
    until: float | None = None


class Throttle(Scope, frozen=True, kw_only=True):
    """A token bucket: `rate` calls per second, `burst` at once; above it 400 `Throttling` "Rate exceeded"."""

    rate: float
    burst: float = 1.0


class Refuse(Scope, frozen=True, kw_only=True):
    """Answer an error; nothing is applied. The default is IAM's ServiceFailure 500."""

    code: str = "ServiceFailure"
    status: int = 500
    message: str = "The request processing has failed because of an unknown error, exception or failure."


class Deny(Scope, frozen=True, kw_only=True):
    """Answer AccessDenied, worded as for a caller without the permission (or with an `explicit` Deny)."""

    explicit: bool = False


class FailAfterwards(Scope, frozen=True, kw_only=True):
    """Apply the call, then answer an error as if it had failed."""

    code: str = "ServiceFailure"
    status: int = 500
    message: str = "The request processing has failed because of an unknown error, exception or failure."


class LoseAnswer(Scope, frozen=True, kw_only=True):
    """Close the connection instead of answering; the call was applied, or with `applied=False` was not."""

    applied: bool = True


class Hang(Scope, frozen=True, kw_only=True):
    """Do not answer until the switch is cleared.

    The call is applied before, or with `applied=False` after, and then not at all if the caller has gone.
    """

    applied: bool = False


class Stale(Scope, frozen=True, kw_only=True):
    """GetRole, ListRoles and AssumeRoleWithWebIdentity see trust policies as they were `seconds` ago.

    With `actions` one of them alone is late. A role younger than that does not exist yet.
    """

    seconds: float
    actions: tuple[str, ...] = ("GetRole", "ListRoles", "AssumeRoleWithWebIdentity")


class Reorder(Scope, frozen=True, kw_only=True):
    """Reads show a trust policy in another form of the same meaning, as IAM does.

    Keys and arrays in another order (the same one for the same document and seed), one-element lists unwrapped.
    """

    seed: int = 0
    actions: tuple[str, ...] = ("GetRole", "ListRoles")


Fault = Latency | Throttle | Refuse | Deny | FailAfterwards | LoseAnswer | Hang | Stale | Reorder
