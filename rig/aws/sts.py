"""STS's API: GetCallerIdentity and AssumeRoleWithWebIdentity; moto writes the XML.

Order of the checks of AssumeRoleWithWebIdentity: parameters, the token's form and expiry, the OIDC provider in the
role's account, the audience against its client ids, the signature, the trust policy. A role that does not exist
answers like one that does not trust.
"""

import datetime as dt
import re
from collections.abc import Mapping
from typing import Any

from moto.core.responses import ActionResult
from moto.sts.responses import TokenResponse

from rig.aws.callers import Caller, Session
from rig.aws.calls import ApiCall
from rig.aws.errors import AwsError, invalid_identity_token, not_authorized_to_assume, validation_error
from rig.aws.faults import Stale
from rig.aws.policy import trusts
from rig.aws.state import State
from rig.aws.switchboard import Met
from rig.aws.tokens import audience_of, claims_of
from rig.aws.trust import Version
from rig.aws.violations import Violation

ACTIONS = {"GetCallerIdentity", "AssumeRoleWithWebIdentity"}

_ROLE_ARN = re.compile(
    r"arn:(?P<partition>aws[a-z-]*):iam::(?P<account>\d{12}):role/(?:[^:]*/)?(?P<name>[\w+=,.@-]{1,64})"
)
_SESSION_NAME = re.compile(r"[\w+=,.@-]{2,64}")
_TOKEN_LENGTH = range(4, 20001)
_DURATION = range(900, 43201)
_DEFAULT_DURATION = 3600


class Sts(TokenResponse):
    """One STS call. `caller` is None for the unsigned AssumeRoleWithWebIdentity."""

    def __init__(self, state: State, call: ApiCall, caller: Caller | None, met: Met) -> None:
        super().__init__()
        self._state, self._clock = state, state.clock
        self._call, self._caller, self._met = call, caller, met

    def get_current_account(self) -> str:
        """Return the one account there is."""
        return str(self._state.iam.account_id)

    def get_caller_identity(self) -> ActionResult:
        """Say who calls; needs no permission."""
        if self._caller is None:
            raise AwsError("MissingAuthenticationToken", "Request is missing Authentication Token", 403)
        account = self.get_current_account()
        return ActionResult({"UserId": self._caller.user_id, "Account": account, "Arn": self._caller.arn})

    def assume_role_with_web_identity(self) -> ActionResult:
        """Exchange a token of an OIDC provider for credentials of a role that trusts it."""
        params = self._call.params
        arn, token = params.get("RoleArn", ""), params.get("WebIdentityToken", "")
        found = _check(params, arn, token)
        claims = claims_of(token, self._clock())
        provider_arn = self._provider(found, claims)
        self._state.issuers.verified(token)
        stale = self._state.trust.late(Violation.ASSUME_TIME, self._met.first(Stale))
        version = self._state.trust.version(found["name"], stale)
        if version is None or version.role is None or version.role.arn != arn:
            raise self._refusal()
        if not trusts(version.stored, provider_arn=provider_arn, context=self._context(claims)):
            raise self._refusal()
        if Violation.ASSUME_STAYS in self._state.violations:
            self._state.accepted += 1
            if self._state.accepted % 2 == 0:
                raise self._refusal()
        session = self._state.callers.open_session(
            version.role, params["RoleSessionName"], self._duration(version)
        )
        return _answer(session, claims, provider_arn)

    def _refusal(self) -> AwsError:
        if Violation.NOT_TRUSTED in self._state.violations:
            return invalid_identity_token(not_authorized_to_assume().message)
        return not_authorized_to_assume()

    def _provider(self, role: re.Match[str], claims: Mapping[str, Any]) -> str:
        """Return the ARN of the token's OIDC provider: in the role's account, and knowing the audience."""
        name = str(claims["iss"]).removeprefix("https://")
        arn = f"arn:{role['partition']}:iam::{role['account']}:oidc-provider/{name}"
        provider = self._state.iam.open_id_providers.get(arn)
        if provider is None:
            raise invalid_identity_token(f"No OpenIDConnect provider found in your account for {claims['iss']}")
        if audience_of(claims) not in provider.client_id_list:
            raise invalid_identity_token("Incorrect token audience")
        return arn

    def _duration(self, version: Version) -> int:
        wanted = int(self._call.params.get("DurationSeconds", _DEFAULT_DURATION))
        if version.role and wanted > int(version.role.max_session_duration or _DEFAULT_DURATION):
            raise validation_error(
                "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."
            )
        return wanted

    def _context(self, claims: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
        issuer = str(claims["iss"]).removeprefix("https://")
        context = {
            f"{issuer}:sub": str(claims["sub"]),
            f"{issuer}:aud": audience_of(claims),
            "sts:RoleSessionName": self._call.params["RoleSessionName"],
            "aws:SourceIp": self._call.request.peer,
            "aws:SecureTransport": "false",
            "aws:CurrentTime": dt.datetime.fromtimestamp(self._clock(), dt.UTC).isoformat(),
            "aws:EpochTime": str(int(self._clock())),
        }
        return {key.lower(): (value,) for key, value in context.items() if value}


def _check(params: Mapping[str, str], arn: str, token: str) -> re.Match[str]:
    found = _ROLE_ARN.fullmatch(arn)
    if found is None:
        raise validation_error("Request ARN is invalid")
    name = params.get("RoleSessionName", "")
    if not _SESSION_NAME.fullmatch(name):
        raise validation_error(
            f"1 validation error detected: Value '{name}' at 'roleSessionName' failed to satisfy constraint: "
            "Member must satisfy regular expression pattern: [\\w+=,.@-]*"
        )
    if len(token) not in _TOKEN_LENGTH:
        raise validation_error(
            "1 validation error detected: Value at 'webIdentityToken' failed to satisfy constraint: "
            "Member must have length between 4 and 20000"
        )
    seconds = params.get("DurationSeconds", str(_DEFAULT_DURATION))
    if not seconds.isdigit() or int(seconds) not in _DURATION:
        raise validation_error(
            f"1 validation error detected: Value '{seconds}' at 'durationSeconds' failed to satisfy constraint: "
            "Member must have value between 900 and 43200"
        )
    return found


def _answer(session: Session, claims: Mapping[str, Any], provider_arn: str) -> ActionResult:
    return ActionResult(
        {
            "Credentials": {
                "AccessKeyId": session.credentials.access_key_id,
                "SecretAccessKey": session.credentials.secret_access_key,
                "SessionToken": session.credentials.session_token,
                "Expiration": dt.datetime.fromtimestamp(session.expires, dt.UTC),
            },
            "SubjectFromWebIdentityToken": claims["sub"],
            "AssumedRoleUser": {"AssumedRoleId": session.caller.user_id, "Arn": session.caller.arn},
            "Provider": provider_arn,
            "Audience": audience_of(claims),
        }
    )
