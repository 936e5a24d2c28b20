"""`verify --assume`: STS assumes the role for a token of each ServiceAccount, as it does for the pod."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

from webhook.aws.sessions import by_token
from webhook.cli.snapshots.inspection import Inspection
from webhook.cli.verify.findings import Check, Diagnosis, Finding, broken, note, ok, unknown
from webhook.model.aws_errors import AwsError, FailureKind
from webhook.model.errors import ClusterError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from webhook.aws.calls import AwsCalls
    from webhook.aws.clients import SessionKeys
    from webhook.cli.running import Progress
    from webhook.cli.snapshots.session import Session
    from webhook.model.names import RoleArn, Subject

_SESSION = "mxp-identity-verify"
_PAUSE = 1.0
_PATIENCE = 30.0
"""Seconds that --assume waits for STS to see trust that was just written."""

_AT_A_TIME = 16
_NOT_ASKED = "not asked: in mode pod-identity EKS assumes the role, and only for a pod's own token"


async def with_sts(
    here: Session, diagnoses: list[Diagnosis], progress: Progress
) -> tuple[list[Diagnosis], Mapping[Subject, SessionKeys]]:
    """The diagnoses with what STS answers, a few at a time: a refusal takes long. And the keys that it issued."""
    slots, asked = asyncio.Semaphore(_AT_A_TIME), 0
    total = sum(diagnosis.role is not None and not diagnosis.associates for diagnosis in diagnoses)
    issued: dict[Subject, SessionKeys] = {}

    async def ask(diagnosis: Diagnosis) -> Diagnosis:
        nonlocal asked
        if diagnosis.role is None:
            return diagnosis
        if diagnosis.associates:
            finding = note(Check.STS, _NOT_ASKED)
        else:
            async with slots:
                finding, keys = await _ask(here, diagnosis, diagnosis.role)
            if keys is not None:
                issued[diagnosis.subject] = keys
            asked += 1
            progress.count(f"STS has answered for {asked} of {total}", asked, total)
        return replace(diagnosis, findings=(*diagnosis.findings, finding))

    return await asyncio.gather(*(ask(diagnosis) for diagnosis in diagnoses)), issued


async def _ask(here: Session, diagnosis: Diagnosis, role: RoleArn) -> tuple[Finding, SessionKeys | None]:
    try:
        token = await Inspection(here.connection).token(diagnosis.subject)
        keys, seconds = await keys_once_accepted(here.calls, role, token, _PATIENCE)
    except ClusterError as error:
        return unknown(Check.STS, f"no token to try with: {error}"), None
    except AwsError as error:
        if not error.kind.is_refusal:
            return unknown(Check.STS, f"could not be asked: {error}"), None
        return broken(Check.STS, f"refuses a token of it for {role}: {error}"), None
    return ok(Check.STS, f"accepted a token of it for {role} after {seconds:.1f} s"), keys


async def keys_once_accepted(
    calls: AwsCalls, role: RoleArn, token: str, patience: float
) -> tuple[SessionKeys, float]:
    """Have STS assume `role` with `token` until it does; answers the keys, and after how many seconds.

    Trust that was just written takes STS some seconds to see. Raises AwsError once `patience` seconds are over.
    """
    loop = asyncio.get_running_loop()
    began = loop.time()
    while True:
        try:
            keys = await by_token(calls, role, token, _SESSION)
        except AwsError as error:
            may_pass = error.kind in {FailureKind.ACCESS_DENIED, FailureKind.THROTTLED, FailureKind.UNAVAILABLE}
            if not may_pass or loop.time() - began >= patience:
                raise
            await asyncio.sleep(_PAUSE)
        else:
            return keys, loop.time() - began
