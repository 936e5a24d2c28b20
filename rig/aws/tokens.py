"""Web identity tokens: the issuers' keys, and whether a token is genuine, timely and complete."""

import json
import threading
import urllib.request
from collections.abc import Callable, Mapping
from typing import Any

import jwt

from rig.aws.errors import AwsError, invalid_identity_token

Jwks = str | Mapping[str, Any] | Callable[[], Mapping[str, Any]]

_ALGORITHMS = ["RS256", "RS384", "RS512", "ES256", "ES384", "ES512"]
_FETCH_TIMEOUT = 5.0
_NOT_A_TOKEN = "The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)"
_NO_KEY = (
    "Couldn't retrieve verification key from your identity provider,  "
    "please reference AssumeRoleWithWebIdentity documentation for requirements"
)
_BAD_SIGNATURE = (  # the documentation text of the error; no report quotes a live message
    "The web identity token that was passed could not be validated by AWS. "
    "Get a new identity token from the identity provider and then retry the request."
)


class Issuers:
    """The registered issuers and their keys. Keys are kept; a key id not seen yet makes `load` look again."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sources: dict[str, Jwks] = {}
        self._keys: dict[str, dict[str, jwt.PyJWK]] = {}

    def add(self, issuer: str, source: Jwks) -> None:
        """Register where an issuer's keys are: a JWKS, a function that returns one, or an http URL of one."""
        with self._lock:
            self._sources[issuer] = source
            self._keys.pop(issuer, None)

    def remove(self, issuer: str) -> None:
        """Forget an issuer, as if its keys could no longer be fetched."""
        with self._lock:
            self._sources.pop(issuer, None)
            self._keys.pop(issuer, None)

    def lacks_key_of(self, token: str) -> bool:
        """Whether `load` could help with this token."""
        try:
            issuer, key_id = _origin(token)
        except AwsError:
            return False
        return issuer in self._sources and key_id not in self._keys.get(issuer, {})

    def load(self, token: str) -> None:
        """Fetch the keys of the token's issuer. Blocks; whatever fails shows as a missing key in `verified`."""
        issuer, _ = _origin(token)
        source = self._sources.get(issuer)
        try:
            document = _fetch(source) if source is not None else {"keys": []}
            keys = {key.key_id or "": key for key in jwt.PyJWKSet.from_dict(dict(document)).keys}
        except (OSError, ValueError, jwt.PyJWTError):
            keys = {}
        with self._lock:
            self._keys[issuer] = keys

    def verified(self, token: str) -> dict[str, Any]:
        """Return the claims of a token that its issuer signed, or raise InvalidIdentityToken."""
        issuer, key_id = _origin(token)
        key = self._keys.get(issuer, {}).get(key_id)
        if key is None:
            raise invalid_identity_token(_NO_KEY)
        try:
            return jwt.decode(
                token,
                key,
                algorithms=_ALGORITHMS,
                options={"verify_aud": False, "verify_exp": False, "verify_iat": False, "verify_nbf": False},
            )
        except jwt.PyJWTError as error:
            raise invalid_identity_token(_BAD_SIGNATURE) from error


def claims_of(token: str, now: float) -> dict[str, Any]:
    """Return a token's claims without checking its signature.

    Raises InvalidIdentityToken for what is no JWT or lacks a claim, ExpiredTokenException for one that is over;
    `now` is in seconds since 1970.
    """
    try:
        claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    except jwt.PyJWTError as error:
        raise invalid_identity_token(_NOT_A_TOKEN) from error
    for name in ("iss", "sub", "aud", "exp", "iat"):
        if name not in claims:
            raise invalid_identity_token(f"Missing a required claim: {name}.")
    if claims["exp"] <= now:
        raise AwsError(
            "ExpiredTokenException",
            f"Token expired: current date/time {int(now)} must be before the expiration date/time {claims['exp']}",
        )
    return claims


def audience_of(claims: Mapping[str, Any]) -> str:
    """Return the one audience STS takes the token for: `azp` if there, else `aud`."""
    if "azp" in claims:
        return str(claims["azp"])
    audiences = claims["aud"] if isinstance(claims["aud"], list) else [claims["aud"]]
    if len(audiences) != 1:
        raise invalid_identity_token(
            "Token audience contains more than one audience while authorized party is not present"
        )
    return str(audiences[0])


def _origin(token: str) -> tuple[str, str]:
    try:
        header = jwt.get_unverified_header(token)
        claims = jwt.decode(token, options={"verify_signature": False})
        return str(claims["iss"]), str(header.get("kid", ""))
    except (jwt.PyJWTError, KeyError) as error:
        raise invalid_identity_token(_NOT_A_TOKEN) from error


def _fetch(source: Jwks) -> Mapping[str, Any]:
    if isinstance(source, str):
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(source, timeout=_FETCH_TIMEOUT) as response:
            document: dict[str, Any] = json.load(response)
            return document
    return source() if callable(source) else source
