"""From an HTTP request to its answer: the faults the call meets, and between them the account."""

import asyncio
import contextlib
import logging
from collections.abc import Callable

from rig.aws import kms, rest, s3, s3_requests, vpc_endpoints
from rig.aws.account import NAMESPACES, Account
from rig.aws.calls import ApiCall, CallLog, read
from rig.aws.errors import AwsError, not_authorized_to_assume, throttling
from rig.aws.faults import Deny, FailAfterwards, Hang, LoseAnswer, Refuse
from rig.aws.http import Request, Response
from rig.aws.switchboard import Met, Switch, Switchboard

_FIRST_ERROR = 400

_log = logging.getLogger(__name__)

CONTROL_PREFIX = "/_standin/"

_UNKNOWN_REQUEST = "00000000-0000-0000-0000-000000000000"


class Service:
    """Answers API calls. A call that waits for its latency or hangs keeps no other call waiting."""

    def __init__(
        self, account: Account, switches: Switchboard, log: CallLog, control: Callable[[Request], Response]
    ) -> None:
        self._account = account
        self._switches = switches
        self._log = log
        self._control = control

    async def answer(self, request: Request) -> Response | None:
        """Answer a request; None closes the connection without an answer."""
        if request.target.startswith(CONTROL_PREFIX):
            return self._control(request)
        try:
            call = read(request)
        except AwsError as error:
            return _refusal_in_xml(error, "iam", _UNKNOWN_REQUEST)
        caller = self._account.caller_name(call)
        self._log.begin(call, caller)
        code = "CallerGone"
        try:
            response, code = await self._serve(call, self._switches.meet(call, caller))
        finally:
            self._log.end(call, "CallerGone" if request.gone.is_set() else code)
        return response

    async def _serve(self, call: ApiCall, met: Met) -> tuple[Response | None, str]:
        await _pause(met.latency / 2)
        hang, lose = met.first(Hang), met.first(LoseAnswer)
        if hang and not hang.applied:
            await _until_cleared(met.switch(hang), call)
            if call.request.gone.is_set():
                return None, "CallerGone"
        if lose and not lose.applied:
            return None, "AnswerLost"
        response, code = await self._attempt(call, met)
        if hang and hang.applied:
            await _until_cleared(met.switch(hang), call)
        await _pause(met.latency / 2)
        return (None, "AnswerLost") if lose else (response, code)

    async def _attempt(self, call: ApiCall, met: Met) -> tuple[Response, str]:
        try:
            response = await self._apply(call, met)
        except AwsError as error:
            said = rest.worded(call.service, error)
            return self._refusal(said, call), said.code
        except Exception:  # noqa: BLE001 a bug here must not look like a hang to whoever is tested
            _log.exception("%s failed inside the stand-in", call.name)
            bug = AwsError("InternalFailure", "The stand-in itself failed; its log says how.", 500)
            return self._refusal(bug, call), bug.code
        return response, "OK" if response.status < _FIRST_ERROR else _code(response)

    def _refusal(self, error: AwsError, call: ApiCall) -> Response:
        match call.service:
            case s3_requests.SERVICE:
                return s3.refusal(self._account.state, call, error)
            case kms.SERVICE:
                return kms.refusal(error, call.request_id)
            case vpc_endpoints.SERVICE:
                return vpc_endpoints.refusal(error, call.request_id)
            case service if service in rest.SERVICES:
                return rest.refusal(error, call.request_id)
        return _refusal_in_xml(error, call.service, call.request_id)

    async def _apply(self, call: ApiCall, met: Met) -> Response:
        if met.throttled:
            raise throttling()
        if refuse := met.first(Refuse):
            raise AwsError(refuse.code, refuse.message, refuse.status)
        if met.first(Deny) and call.action == "AssumeRoleWithWebIdentity":
            raise not_authorized_to_assume()
        token, issuers = (
            call.params.get("WebIdentityToken") or call.params.get("token"),
            self._account.state.issuers,
        )
        if token and issuers.lacks_key_of(token):
            await asyncio.to_thread(issuers.load, token)
        response = self._account.execute(call, met)
        if after := met.first(FailAfterwards):
            raise AwsError(after.code, after.message, after.status)
        return response


async def _until_cleared(switch: Switch, call: ApiCall) -> None:
    """Wait until the switch is off, or the caller gone."""
    loop = asyncio.get_running_loop()
    cleared = asyncio.Event()

    def wake(_: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(cleared.set)

    switch.cleared.add_done_callback(wake)
    waiting = [loop.create_task(event.wait()) for event in (cleared, call.request.gone)]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waiting:
            task.cancel()


async def _pause(seconds: float) -> None:
    if seconds > 0:
        await asyncio.sleep(seconds)


def _refusal_in_xml(error: AwsError, service: str, request_id: str) -> Response:
    body = error.body(NAMESPACES[service], request_id).encode()
    return Response(error.status, body, {"Content-Type": "text/xml", "x-amzn-RequestId": request_id})


def _code(response: Response) -> str:
    """Return the error code of an answer that moto wrote."""
    return response.body.decode().partition("<Code>")[2].partition("</Code>")[0]
