"""API calls: what a request asks for, and the record of what became of it."""

import re
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from rig.aws import kms, rest, s3_requests
from rig.aws.errors import AwsError
from rig.aws.http import Request

_SERVICES = {"2010-05-08": "iam", "2011-06-15": "sts", "2016-11-15": "ec2"}
_ACCESS_KEY = re.compile(r"Credential=([^/,\s]+)/")

_ASK_AGAIN = 0.05

Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class ApiCall:
    """One request. `role` is the name of the role it is about, or empty.

    Parameters of the Query protocol are strings, those of EKS's REST protocol and of KMS what JSON makes of them.
    """

    service: str
    action: str
    params: Mapping[str, Any]
    role: str
    access_key: str | None
    session_token: str | None
    request: Request
    request_id: str

    @property
    def name(self) -> str:
        """The action as policies name it: `iam:GetRole`."""
        return f"{self.service}:{self.action}"


def read(request: Request) -> ApiCall:
    """Read a request. Raises `AwsError` when it names no action of a service that is here."""
    found = s3_requests.read(request) or kms.read(request) or rest.read(request)
    service, action, params = found or _read_query(request)
    key = _ACCESS_KEY.search(request.headers.get("authorization", ""))
    return ApiCall(
        service=service,
        action=action,
        params=params,
        role=str(params.get("RoleName") or params.get("RoleArn") or params.get("roleArn") or "").rpartition("/")[
            2
        ],
        access_key=key[1] if key else None,
        session_token=request.headers.get("x-amz-security-token"),
        request=request,
        request_id=str(uuid.uuid4()),
    )


def _read_query(request: Request) -> tuple[str, str, dict[str, Any]]:
    source = request.body.decode() if request.body else request.target.partition("?")[2]
    params = dict(parse_qsl(source, keep_blank_values=True))
    action, version = params.get("Action", ""), params.get("Version", "")
    if not action:
        raise AwsError("MissingAction", "Missing Action", 400)
    if version not in _SERVICES:
        raise AwsError("InvalidAction", f"Could not find operation {action} for version {version}", 400)
    return _SERVICES[version], action, dict(params)


class CallRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one call. Times are seconds on the stand-in's clock.

    `code` is "OK", AWS's error code, or what happened instead of an answer: "AnswerLost" (the connection was
    closed on purpose) or "CallerGone" (the caller gave up first; the history says whether its write was applied).
    """

    service: str
    action: str
    role: str
    caller: str
    request_id: str
    started: float
    ended: float
    code: str


class CallLog:
    """Every finished call, in order of completion, and the calls that are still on their way. Thread-safe."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._changed = threading.Condition()  # on a re-entrant lock: `wait_until` asks what reads the log
        self._open: dict[str, tuple[ApiCall, str, float]] = {}
        self._done: list[CallRecord] = []

    def begin(self, call: ApiCall, caller: str) -> None:
        """Note that a call has arrived."""
        with self._changed:
            self._open[call.request_id] = (call, caller, self._clock())
            self._changed.notify_all()

    def end(self, call: ApiCall, code: str) -> None:
        """Note how a call ended."""
        with self._changed:
            _, caller, started = self._open.pop(call.request_id)
            self._done.append(
                CallRecord(
                    service=call.service,
                    action=call.action,
                    role=call.role,
                    caller=caller,
                    request_id=call.request_id,
                    started=started,
                    ended=self._clock(),
                    code=code,
                )
            )
            self._changed.notify_all()

    def clear(self) -> None:
        """Forget the finished calls."""
        with self._changed:
            self._done.clear()

    @property
    def finished(self) -> list[CallRecord]:
        """The finished calls."""
        with self._changed:
            return list(self._done)

    @property
    def in_flight(self) -> list[str]:
        """The actions of the calls that have arrived and not ended."""
        with self._changed:
            return [call.action for call, _, _ in self._open.values()]

    @property
    def counts(self) -> Counter[tuple[str, str]]:
        """How many finished calls there are of each (action, code)."""
        return Counter((record.action, record.code) for record in self.finished)

    def wait_until(self, holds: Callable[[], bool], timeout: float) -> None:
        """Return once `holds()`, asked again at each arrival and end and every 50 ms; else `TimeoutError`."""
        deadline = time.monotonic() + timeout
        with self._changed:
            while not holds():
                self._changed.wait(timeout=_ASK_AGAIN)
                if time.monotonic() > deadline:
                    raise TimeoutError(f"the calls so far: {dict(self.counts)}, on their way: {self.in_flight}")
