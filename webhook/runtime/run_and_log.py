"""A piece of work whose failure must not end the loop that it is part of."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from webhook.model.aws_errors import AwsError
from webhook.model.errors import ClusterError
from webhook.telemetry import metrics

if TYPE_CHECKING:
    from collections.abc import Awaitable

log = structlog.get_logger(__name__)


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
