"""When credentials expire, as the answers of STS and of the agent have it."""

from __future__ import annotations

import datetime as dt
import re
from typing import TYPE_CHECKING

from rig.faults import Answer

if TYPE_CHECKING:
    from rig.faults.misbehaviours import Exchange

_EXPIRATION = re.compile(rb'(<Expiration>|"Expiration": ")[^<"]*')

_MUST_BE_RENEWED = dt.timedelta(minutes=5)
"""An SDK renews credentials before it uses them where less than ten minutes of their life are left."""


def expiring(answer: Answer, after: dt.timedelta) -> Answer:
    """The same answer with credentials that expire at another time."""
    when = (dt.datetime.now(dt.UTC) + after).strftime("%Y-%m-%dT%H:%M:%SZ").encode()
    return Answer(answer.status, answer.content_type, _EXPIRATION.sub(rb"\g<1>" + when, answer.body))


def short_lived(answer: Answer) -> Answer:
    """Credentials that are renewed for each call, so that it matters what becomes of the renewal."""
    return expiring(answer, _MUST_BE_RENEWED)


async def expired(exchange: Exchange) -> None:
    """Answer with credentials that have expired already."""
    await exchange.say(expiring(await exchange.genuine(), -_MUST_BE_RENEWED))
