"""One object through List, Put, Get and Delete, with the credentials that the control plane's pod gets.

Its name begins with the control plane's own prefix and ends in 128 random bits, and S3 is asked never to write
over another object: so only this one is touched. Nothing is written before it is known that it can be removed.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from webhook.aws.buckets import ProbeObjects, S3Answer
from webhook.cli.running import to_its_end
from webhook.model.aws_errors import AwsError

if TYPE_CHECKING:
    from webhook.aws.calls import AwsCalls
    from webhook.aws.clients import SessionKeys

NAME = "mxp-identity-verify-"
"""How the last part of a probe's name begins."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a control plane's objects are: `prefix` ends in a slash."""

    bucket: str
    region: str
    prefix: str


@dataclass(frozen=True, slots=True)
class Probed:
    """What came of it. `left` is the name of an object that could not be removed again."""

    answers: tuple[S3Answer, ...]
    left: str = ""
    failed: str = ""
    """Why a call had no answer."""
    unwritten: bool = False
    """Whether nothing was written, because neither the role nor the caller may remove it."""


async def probe(calls: AwsCalls, place: Place, keys: SessionKeys) -> Probed:
    """Try the four calls. Raises AwsError where S3 does not answer before anything is written.

    Ctrl-C leaves no object: what is under way ends first.
    """
    role = ProbeObjects(calls, place.region, keys)
    found = await role.look(place.bucket)
    if found.is_missing or (found.region and found.region != place.region):
        return Probed((found,))
    listed = await role.list(place.bucket, place.prefix)
    return await to_its_end(_round(calls, role, place, listed))


async def _round(calls: AwsCalls, role: ProbeObjects, place: Place, listed: S3Answer) -> Probed:
    """Delete comes first: on what is not there it shows the right, and then something may be written."""
    key = f"{place.prefix}{NAME}{secrets.token_hex(16)}"
    deleted = await role.delete(place.bucket, key)
    remover = role
    if deleted.is_denied:
        remover = ProbeObjects(calls, place.region, None)
        if (await remover.delete(place.bucket, key)).is_denied:
            return Probed((listed, await role.get(place.bucket, key), deleted), unwritten=True)
    answers, failed = [listed], ""
    try:
        answers.append(await role.put(place.bucket, key))
        answers.append(await role.get(place.bucket, key))
    except AwsError as error:
        failed = str(error)  # the object may be there all the same
    return Probed((*answers, deleted), await _removed(remover, place.bucket, key), failed)


async def _removed(remover: ProbeObjects, bucket: str, key: str) -> str:
    """Remove the object, also one that may have been written; its name where that failed."""
    try:
        answer = await remover.delete(bucket, key)
    except AwsError:
        return key
    return key if answer.code else ""
