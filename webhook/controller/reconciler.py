"""The add-only pass: every ServiceAccount of a binding ends annotated and trusted, whatever was missed before.

The queue of grants in memory is an optimisation; the cluster is the record. So a pass over the whole cluster runs
at the start and every interval. A namespace in which something changes is checked at once. Nothing is removed
here: see `pruner`.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import TYPE_CHECKING

import structlog

from webhook.controller.remediation.pods import PodsWithoutIdentity
from webhook.model.names import Subject
from webhook.model.outcomes import Trusted
from webhook.runtime.clock import wait_for
from webhook.runtime.supervision import run_and_log
from webhook.telemetry import metrics
from webhook.telemetry.events import EventSubject
from webhook.telemetry.progress import Progress

if TYPE_CHECKING:
    from webhook.controller.cluster_cache import ClusterCache
    from webhook.controller.ports import Cluster
    from webhook.engine.grants import Grants
    from webhook.model.decisions import Account, Grant
    from webhook.model.names import RoleArn
    from webhook.telemetry.events import Events

log = structlog.get_logger(__name__)

_LATE_GRANT_SECONDS = 5.0
"""Seconds that a late annotation waits for trust, so that it names the role that has room."""

_FIRST_READ_SECONDS = 5.0
"""Seconds that the first pass waits until all roles were read: what is trusted already needs no grant."""

_AT_ONCE = 16
"""ServiceAccounts annotated late at the same time."""

_LONGEST_PASS = 300.0
"""Seconds of a pass: it makes no call."""

_LONGEST_ANNOTATION = 600.0
"""Seconds: some calls of ten seconds, each of which may wait for a turn."""

_YIELD_EVERY = 200
"""Namespaces checked before the loop may answer reviews again."""


class Reconciler:
    """Brings AWS and annotations to what the cluster wants."""

    def __init__(
        self,
        cache: ClusterCache,
        grants: Grants,
        cluster: Cluster,
        events: Events,
        progress: Progress | None = None,
    ) -> None:
        self._clock = cache.clock
        self._cache = cache
        self._grants = grants
        self._cluster = cluster
        self._events = events
        self._changed: dict[str, None] = {}
        self._wake = asyncio.Event()
        self._is_hurried = False
        self._late: OrderedDict[Subject, None] = OrderedDict()
        self._annotating: set[Subject] = set()
        self._replaced: set[tuple[Subject, str | None]] = set()
        """The annotations that were replaced since the last pass, None where there was none.

        Each is replaced once a pass, however often it comes back: by a tool that removes the annotation, or by a
        replica that has another configuration, or knows of trust that this one has not read yet.
        """
        self._annotators: list[asyncio.Task[None]] = []
        self._progress = progress = progress or Progress()
        self.pods = PodsWithoutIdentity(cache, cluster, events, progress)
        cache.on_change(self._note)
        grants.on_trusted(self._note_unless_annotated)

    async def run(self, interval: float) -> None:
        """A pass at start and every `interval` seconds, and a check of each namespace that changes."""
        metrics.pass_interval.set(interval)
        await self._cache.wait_until_synced()
        await self._grants.wait_until_synced(_FIRST_READ_SECONDS)
        next_pass, is_due = 0.0, True
        while True:
            if is_due:
                self._is_hurried, next_pass = False, self._clock() + interval
                await run_and_log("pass_failed", self._pass())
            await run_and_log("pass_failed", self._process_changed())
            is_due = not await wait_for(self._wake, next_pass - self._clock()) or self._is_hurried

    def hurry(self) -> None:
        """Start a pass at once: this replica leads now and continues what the leader before left open."""
        self._is_hurried = True
        self._wake.set()

    def _note(self, namespace: str) -> None:
        self._changed[namespace] = None
        self._wake.set()

    def _note_unless_annotated(self, subject: Subject) -> None:
        """Check the namespace of a subject whose annotation does not name the role that is known to trust it.

        So it is where a review waited no longer, and the role that it named has proved full. Where the trust is
        not certain, the check would only ask for it again.
        """
        grant = self._cache.grant(subject)
        if grant and grant.binding.annotates and self._cache.account(subject):
            known = self._grants.known(grant)
            if known and known.role != grant.annotated:
                self._note(subject.namespace)

    async def _pass(self) -> None:
        with metrics.pass_seconds.time(), self._progress.step("pass", _LONGEST_PASS):
            self._replaced.clear()
            self._grants.enqueue()
            self._grants.forget_refused(self._cache.wanted())
            self._changed.update(dict.fromkeys(self._cache.namespaces_with_grants()))
            self._changed.update(dict.fromkeys(self._grants.namespaces_under_way))
            await self._process_changed()
        metrics.pass_last_success.set_to_current_time()

    async def _process_changed(self) -> None:
        self._wake.clear()
        count = 0
        while self._changed:
            namespace, _ = self._changed.popitem()
            if self._cache.is_behind_a_live_read(namespace):
                continue  # the review that read it handles it, and the watch brings it here again
            grants = self._cache.grants_in(namespace)
            self._reconsider(namespace, grants)
            for grant in grants:
                if self._cache.is_due(grant):
                    self._start_missing(grant)
            count += 1
            if count % _YIELD_EVERY == 0:
                await asyncio.sleep(0)

    def _reconsider(self, namespace: str, grants: list[Grant]) -> None:
        """Have pending grants follow what the watch shows of the namespace.

        A ServiceAccount as the watch shows it does not end a grant: the review that asked may be newer.
        """
        by_subject = {grant.subject: grant for grant in grants}
        for name in self._cache.service_accounts:
            subject = Subject(namespace, name)
            grant = by_subject.get(subject)
            if grant is not None or not self._cache.selects(subject):
                self._grants.reconsider(subject, grant)

    def _start_missing(self, grant: Grant) -> None:
        """Start what is missing: trust, or the annotation too where the ServiceAccount is there without it."""
        account = self._cache.account(grant.subject)
        known = self._grants.start(grant)
        if account is None or not grant.binding.annotates or grant.subject in self._annotating:
            return
        if grant.annotated is None or (known and known.role != grant.annotated):
            self._late[grant.subject] = None
            self._start_annotating()

    def _start_annotating(self) -> None:
        """Annotate late with a few tasks: a task for each would take more memory than all else."""
        self._annotators = [task for task in self._annotators if not task.done()]
        if len(self._annotators) < _AT_ONCE:
            task = asyncio.get_running_loop().create_task(self._annotate_late(), name="annotate late")
            self._annotators.append(task)

    async def _annotate_late(self) -> None:
        """Annotate one after the other, as long as there are any."""
        while self._late:
            subject, _ = self._late.popitem(last=False)
            self._annotating.add(subject)
            with self._progress.step("late_annotations", _LONGEST_ANNOTATION):
                await run_and_log("late_annotation_failed", self._annotate(subject), **subject.log_fields)
            self._annotating.discard(subject)

    async def _annotate(self, subject: Subject) -> None:
        """Annotate a ServiceAccount that is there already, and find the pods that started before.

        The watch is asked before and after the wait for AWS: the namespace may change meanwhile.
        """
        if (grant := self._grant(subject)) is None:
            return
        outcome = await self._grants.obtain(grant, _LATE_GRANT_SECONDS)
        if (grant := self._grant(subject)) is None or outcome.role not in grant.binding.roles:
            return
        seen = self._cache.account(subject)
        if seen is None or _names(outcome.role, seen) or (subject, seen.role_annotation) in self._replaced:
            return
        if not isinstance(outcome, Trusted) and any(_names(role, seen) for role in grant.binding.roles):
            return
        if await self._cluster.annotate(subject, outcome.role, seen.role_annotation):
            self._replaced.add((subject, seen.role_annotation))
            self._report_annotated(subject, outcome.role)
            await self.pods.find_of(subject)

    def _grant(self, subject: Subject) -> Grant | None:
        """The subject's grant; None too where the watch may be behind what is known of its namespace."""
        if not self._cache.may_add(subject) or self._cache.is_behind_a_live_read(subject.namespace):
            return None
        return self._cache.grant(subject)

    def _report_annotated(self, subject: Subject, role: RoleArn) -> None:
        metrics.accounts_annotated_late.inc()
        log.info("annotated_late", **subject.log_fields, role_arn=role.value)
        self._events.note(
            EventSubject("ServiceAccount", subject.namespace, subject.service_account),
            "AnnotatedLate",
            f"annotated with {role} after it was created: pods started before need a restart",
        )


def _names(role: RoleArn, account: Account | None) -> bool:
    return account is not None and account.role_annotation == role.value
