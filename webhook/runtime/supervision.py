"""Failures that end no loop: a loop that raises is run again, and a piece of its work that fails is logged."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from webhook.model.aws_errors import AwsError
from webhook.model.errors import ClusterError
from webhook.runtime.clock import loop_clock, pause_after
from webhook.telemetry import metrics

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

log = structlog.get_logger(__name__)

_WELL = 60.0
"""Seconds after which a run counts as a good one, so that the next pause is the first again."""


async def supervise(loop: str, run: Callable[[], Awaitable[None]]) -> None:
    """Run `run` until it returns or this task is cancelled; where it raises, log, count and run it again.

    The pauses are those of `pause_after`: from a quarter of a second up to ten. `loop` is a label of a metric.
    """
    metrics.unexpected_errors.labels(loop)  # from the start: a rate needs two samples to show the first error
    failures, clock = 0, loop_clock()
    while True:
        began = clock()
        try:
            await run()
        except (Exception, asyncio.CancelledError):
            if _is_cancelled():
                raise
            failures = 1 if clock() - began > _WELL else failures + 1
            pause = pause_after(failures)
            log.exception("loop_failed", loop=loop, retry_in_s=round(pause, 2))
            metrics.unexpected_errors.labels(loop).inc()
            await asyncio.sleep(pause)
        else:
            return


def _is_cancelled() -> bool:
    """Whether this task was asked to end, and not only something that it waited for."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def run_and_log(event: str, work: Awaitable[object], loop: str = "pass", **facts: str) -> bool:
    """Do `work`; where it fails, log `event` and go on: the next round tries again.

    Answers whether it went well. An unexpected error is counted for `loop`.
    """
    try:
        await work
    except ClusterError as error:
        log.warning(event, reason=str(error), **facts)
    except AwsError as error:
        log.warning(event, outcome=error.kind.value, reason=str(error), **facts)
    except Exception:
        log.exception(event, **facts)
        metrics.unexpected_errors.labels(loop).inc()
    else:
        return True
    return False
