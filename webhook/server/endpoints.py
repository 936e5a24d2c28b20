"""The services of AWS that the bindings need, each asked until it has answered once.

A private cluster may reach none of them. Where credentials come from STS, calls of the others fail before they are
sent, so that only STS would be named.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from webhook.aws.reachability import unreached
from webhook.model.endpoints import services_for

if TYPE_CHECKING:
    from webhook.aws.calls import AwsCalls
    from webhook.model.bindings import Binding
    from webhook.telemetry.progress import Progress

RETRY_SECONDS = 30.0

_LONGEST_CALL = 120.0


async def watch_endpoints(bindings: tuple[Binding, ...], calls: AwsCalls, progress: Progress) -> None:
    """Return once each has answered; the calls log and export what is not reached, then and later."""
    waiting = services_for(bindings)
    while waiting:
        with progress.step("endpoints", _LONGEST_CALL):
            waiting = set(await unreached(calls, waiting))
        if waiting:
            await asyncio.sleep(RETRY_SECONDS)
