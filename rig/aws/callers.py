"""Who calls: the access key id in the SigV4 Authorization header says it.

The signature itself is not verified: whoever knows a key id may use it, here and only here. A session's token must
be the one that was handed out with its key.
"""

import base64
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field

from moto.iam.models import Role

from rig.aws.backend import Backend
from rig.aws.calls import ApiCall, Clock
from rig.aws.errors import AwsError


@dataclass(frozen=True, slots=True)
class Credentials:
    """An access key; `session_token` only with a session's."""

    access_key_id: str
    secret_access_key: str
    session_token: str | None = None


@dataclass(frozen=True, slots=True)
class Caller:
    """A principal. `kind` is root (may do everything), user or role; a session's `principal_arn` is its role's."""

    kind: str
    name: str
    arn: str
    principal_arn: str
    user_id: str
    tags: Mapping[str, str] = field(default_factory=dict)
    """Of a session."""


@dataclass(frozen=True, slots=True)
class Session:
    """An assumed role. `expires` is in seconds since 1970."""

    caller: Caller
    credentials: Credentials
    expires: float


class Callers:
    """The access keys of one account: root's, its users', and those of sessions."""

    def __init__(self, iam: Backend, clock: Clock) -> None:
        self._iam = iam
        self._clock = clock
        self._sessions: dict[str, Session] = {}
        self.root = _credentials("AKIA")

    def identify(self, call: ApiCall) -> Caller:
        """Return the caller of a signed call.

        Raises MissingAuthenticationToken, InvalidClientTokenId or ExpiredToken, all with HTTP 403.
        """
        if call.access_key is None:
            raise AwsError("MissingAuthenticationToken", "Request is missing Authentication Token", 403)
        if call.access_key == self.root.access_key_id:
            arn = f"arn:{self._iam.partition}:iam::{self._iam.account_id}:root"
            return Caller("root", "root", arn, arn, str(self._iam.account_id))
        if call.access_key in self._sessions:
            return self._session_caller(self._sessions[call.access_key], call.session_token)
        for user in self._iam.users.values():
            if any(key.access_key_id == call.access_key and key.status == "Active" for key in user.access_keys):
                return Caller("user", user.name, user.arn, user.arn, user.id)
        raise _invalid()

    def name(self, call: ApiCall) -> str:
        """Return the caller's ARN for records and switches; "anonymous" where nobody is known."""
        try:
            return self.identify(call).arn
        except AwsError:
            return "anonymous"

    def open_session(
        self, role: Role, name: str, duration: float, tags: Mapping[str, str] | None = None
    ) -> Session:
        """Hand out credentials of an assumed role that hold for `duration` seconds; `tags` are the session's."""
        arn = f"arn:{self._iam.partition}:sts::{self._iam.account_id}:assumed-role/{role.name}/{name}"
        caller = Caller("role", role.name, arn, role.arn, f"{role.id}:{name}", tags or {})
        session = Session(caller, _credentials("ASIA", session=True), self._clock() + duration)
        self._sessions[session.credentials.access_key_id] = session
        return session

    def _session_caller(self, session: Session, token: str | None) -> Caller:
        if token != session.credentials.session_token:
            raise _invalid()
        if session.expires <= self._clock():
            raise AwsError("ExpiredToken", "The security token included in the request is expired", 403)
        return session.caller


def _invalid() -> AwsError:
    return AwsError("InvalidClientTokenId", "The security token included in the request is invalid.", 403)


def _credentials(prefix: str, *, session: bool = False) -> Credentials:
    key = prefix + base64.b32encode(secrets.token_bytes(10)).decode()
    return Credentials(key, secrets.token_urlsafe(30), secrets.token_urlsafe(200) if session else None)
