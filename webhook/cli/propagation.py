"""Waiting until EKS's pod identity webhook gives new pods what was just given to their ServiceAccount."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from webhook.podidentity.association_cache import PROPAGATED_WITHIN
from webhook.runtime.clock import loop_clock

if TYPE_CHECKING:
    from webhook.cli.snapshots.inspection import Inspection
    from webhook.model.bindings import Mode
    from webhook.model.names import Subject

UNSEEN_SECONDS = PROPAGATED_WITHIN + 5.0
"""How long it takes where no dry run can show it: some more than that usually takes."""

_ASK_SECONDS = 0.5
_ANSWERS_ALIKE = 3
"""EKS runs several replicas of its webhook; an association does not reach all at the same moment."""

_SEEN_WITHIN = 90.0
"""Seconds within which an association is propagated: 5 to 15 by reports (eks-pod-identity-agent#52)."""


async def until_propagated(inspection: Inspection, subject: Subject, target: Mode, unseen: float) -> str:
    """Wait until a new pod would get the variables of `target`, by dry runs; answers why not, or nothing.

    Where a trial is not possible (no right, no ServiceAccount yet) it waits `unseen` seconds.
    """
    clock = loop_clock()
    until = clock() + _SEEN_WITHIN
    alike = 0
    while alike < _ANSWERS_ALIKE:
        carried = await inspection.variables_of_a_new_pod(subject)
        if carried is None:
            await asyncio.sleep(unseen)
            return ""
        alike = alike + 1 if carried == {target} else 0
        if clock() > until:
            return f"EKS's pod identity webhook does not give new pods mode {target} yet"
        await asyncio.sleep(_ASK_SECONDS)
    return ""
