"""The program of a lane, under observation: it lives and is healthy for as long as anything is waited for."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import httpx

from tests.support.reviews import Reply, review

if TYPE_CHECKING:
    from collections.abc import Callable

    from rig.kubernetes.metrics import Metrics
    from rig.processes import Workspace
    from rig.webhook import Webhook
    from webhook.model.names import Subject

T = TypeVar("T")

OK, UNAVAILABLE = 200, 503

_PAUSE_S = 0.1
_HEALTH_S = 1.0
_TIMEOUT_S = 10.0


class CellError(AssertionError):
    """What went wrong in a cell."""


class Program:
    """A process of the program. Everything raises CellError where it has ended or is not healthy."""

    def __init__(self, webhook: Webhook) -> None:
        self._webhook = webhook
        self._client = httpx.Client(trust_env=False, timeout=_TIMEOUT_S)
        self._looked_at = 0.0

    def wait_until_serving(self, seconds: float) -> None:
        """Wait until its ports are open."""
        self.until(self._webhook.learn_ports, "it serves", seconds)

    def until(self, condition: Callable[[], T | None], what: str, seconds: float, pause: float = _PAUSE_S) -> T:
        """Return the first truthy value of `condition`, asked after each `pause`, within `seconds`."""
        deadline = time.monotonic() + seconds
        while True:
            self.check()
            if value := condition():
                return value
            expect(time.monotonic() < deadline, f"{what}, within {seconds:g} s")
            time.sleep(pause)

    def check(self) -> None:
        """See to it that it lives, and from time to time that it says it is healthy."""
        self._check_life()
        now = time.monotonic()
        if self._webhook.plain_url and now - self._looked_at > _HEALTH_S:
            self._looked_at = now
            status = self.status("/healthz")
            expect(status == OK, f"/healthz is 200, it is {status}")

    def status(self, path: str) -> int:
        """What it answers on its plain port."""
        return self._get(path).status_code

    def metrics(self) -> Metrics:
        """Its metrics by a real scrape."""
        try:
            return self._webhook.metrics()
        except httpx.TransportError as error:
            self._check_life()
            raise CellError(f"/metrics: {error!r}") from error

    def review(self, subject: Subject) -> tuple[Reply, float]:
        """Send a review as the API server does; its answer, and the seconds until it was there."""
        with self._webhook.client(timeout=_TIMEOUT_S) as client:
            began = time.monotonic()
            try:
                answer = client.post(f"{self._webhook.url}?timeout={_TIMEOUT_S:g}s", json=review(subject))
            except httpx.TransportError as error:
                self._check_life()
                raise CellError(f"a review: {error!r}") from error
            took = time.monotonic() - began
        expect(
            answer.status_code == OK, f"a review is answered, not with {answer.status_code} {answer.text[:200]}"
        )
        return Reply(answer.status_code, answer.text), took

    def peak_mib(self) -> float:
        """The most memory that it has ever held."""
        self._check_life()
        status = Path(f"/proc/{self._webhook.process.pid}/status").read_text()
        found = re.search(r"VmHWM:\s+(\d+) kB", status)
        return int(found[1]) / 1024 if found else 0.0

    def last_words(self) -> str:
        """The end of its log."""
        return f"--- the end of its log\n{self._webhook.process.log_tail()}"

    def end(self, workspace: Workspace) -> None:
        """Kill it, and drop its log."""
        self._client.close()
        workspace.forget(self._webhook.process)

    def _get(self, path: str) -> httpx.Response:
        try:
            return self._client.get(f"{self._webhook.plain_url}{path}")
        except httpx.TransportError as error:
            self._check_life()
            raise CellError(f"{path}: {error!r}") from error

    def _check_life(self) -> None:
        process = self._webhook.process
        expect(process.running, f"it lives, it ended with exit code {process.exit_code}")


def expect(holds: bool, what: str) -> None:  # noqa: FBT001
    """Raise CellError unless it is so."""
    if not holds:
        raise CellError(f"not so: {what}")
