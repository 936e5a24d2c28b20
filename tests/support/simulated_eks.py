"""EKS's associations in memory, with what goes wrong: late reads, throttling, lost answers, external edits."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeVar

from webhook.model.aws_errors import AwsError, FailureKind
from webhook.podidentity.association import Association, Listing
from webhook.podidentity.ports import AssociationInUseError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.support.token_bucket import TokenBucket
    from webhook.model.names import RoleArn, Subject

T = TypeVar("T")

LATENCY = 0.15
PAGE = 100
CLIENT_TIMEOUT = 3.0
ADDON = "arn:aws:eks:us-west-2:123456789012:addon/spaces-prod/velero/1"


@dataclass(slots=True)
class Trouble:
    """What the next `times` calls of an operation meet; `applied`: the write happens all the same."""

    error: AwsError
    operation: str = ""
    times: int = 1
    applied: bool = False


@dataclass(slots=True)
class SimulatedEks:
    """The port AssociationApi. `late` is how many seconds a list or a description may be behind."""

    late: float = 0.0
    in_use_after_delete: float = 0.0
    limit: int = 5000
    names_the_id: bool = True
    bucket: TokenBucket | None = None
    """What throttles calls, where something does."""
    calls: Counter[str] = field(default_factory=Counter)
    at_once: int = 0
    most_at_once: int = 0
    _history: list[tuple[float, dict[Subject, Association]]] = field(default_factory=lambda: [(-1e9, {})])
    _deleted: dict[Subject, tuple[float, str]] = field(default_factory=dict)
    _troubles: list[Trouble] = field(default_factory=list)
    _count: int = 0

    # External edits

    def put(self, subject: Subject, role: str, **more: object) -> Association:
        """Have an association that was created by hand."""
        self._count += 1
        made = replace(Association(f"a-{self._count:017d}", subject, role), **more)  # type: ignore[arg-type]
        self._store({**self.now, subject: made})
        return made

    def edit(self, subject: Subject, **changed: object) -> None:
        """Change one by hand."""
        self._store({**self.now, subject: replace(self.now[subject], **changed)})  # type: ignore[arg-type]

    def drop(self, subject: Subject) -> None:
        """Delete one by hand."""
        self._deleted[subject] = (_now(), self.now[subject].id)
        self._store({one: found for one, found in self.now.items() if one != subject})

    def have(self, *troubles: Trouble) -> None:
        """Have things go wrong."""
        self._troubles.extend(troubles)

    def recover(self) -> None:
        """Have nothing go wrong any more."""
        self._troubles.clear()

    @property
    def now(self) -> dict[Subject, Association]:
        """What there is."""
        return self._history[-1][1]

    # The port

    async def list(self, only: Subject | None = None) -> Listing:
        """As the port says: a call for each page."""
        listing = await self._made("list", lambda: self._listing(only))
        self.calls["list"] += max(len(listing.ids) - 1, 0) // PAGE
        return listing

    async def describe(self, association_id: str) -> Association | None:
        """As the port says."""
        return await self._made("describe", lambda: self._found(association_id, self._seen()))

    async def create(self, subject: Subject, role: RoleArn, tags: Mapping[str, str]) -> Association:
        """As the port says."""

        def make() -> Association:
            used = self.now[subject].id if subject in self.now else self._lately_deleted(subject)
            if used:
                named = used if self.names_the_id else None
                raise AssociationInUseError(f"Association already exists: {used}", named)
            if len(self.now) >= self.limit:
                raise AwsError(FailureKind.FULL, "CreatePodIdentityAssociation: limit exceeded")
            return self.put(subject, role.value, tags=dict(tags))

        return await self._made("create", make)

    async def update(self, association_id: str, role: RoleArn) -> None:
        """As the port says."""

        def change() -> None:
            found = self._found(association_id, self.now)
            if found is None:
                raise AwsError(FailureKind.NOT_FOUND, "UpdatePodIdentityAssociation: not found")
            self.edit(found.subject, role=role.value, session_tags=True)

        await self._made("update", change)

    async def delete(self, association_id: str) -> None:
        """As the port says."""

        def remove() -> None:
            if (found := self._found(association_id, self.now)) is not None:
                self.drop(found.subject)

        await self._made("delete", remove)

    async def _made(self, operation: str, effect: Callable[[], T]) -> T:
        self.calls[operation] += 1
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await asyncio.sleep(LATENCY / 2)
            trouble = next((one for one in self._troubles if one.operation in {"", operation} and one.times), None)
            if trouble:
                trouble.times -= 1
                if trouble.applied:
                    effect()
                raise trouble.error
            if self.bucket and not self.bucket.admits():
                raise refusal(FailureKind.THROTTLED, "ThrottlingException: Rate exceeded")
            result = effect()
            await asyncio.sleep(LATENCY / 2)
            return result
        finally:
            self.at_once -= 1

    def _listing(self, only: Subject | None) -> Listing:
        seen = {subject: one for subject, one in self._seen().items() if only in {None, subject}}
        addons = frozenset(one.id for one in seen.values() if one.owner_arn)
        return Listing({subject: one.id for subject, one in seen.items()}, addons)

    def _seen(self) -> dict[Subject, Association]:
        limit = _now() - self.late
        return next(state for at, state in reversed(self._history) if at <= limit)

    def _found(self, association_id: str, state: dict[Subject, Association]) -> Association | None:
        return next((one for one in state.values() if one.id == association_id), None)

    def _lately_deleted(self, subject: Subject) -> str | None:
        at, used = self._deleted.get(subject, (-1e9, ""))
        return used if _now() - at < self.in_use_after_delete else None

    def _store(self, state: dict[Subject, Association]) -> None:
        self._history.append((_now(), state))


def refusal(kind: FailureKind, message: str = "no") -> AwsError:
    """An error of that kind."""
    return AwsError(kind, message)


def _now() -> float:
    try:
        return asyncio.get_running_loop().time()
    except RuntimeError:
        return 0.0
