"""What a ServiceAccount's token says of itself: read, never verified, and never logged."""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64decode

import msgspec

_PARTS = 3
_OF_A_SERVICE_ACCOUNT = "system:serviceaccount:"


class _Claims(msgspec.Struct):
    iss: str = ""
    sub: str = ""


def issuer_in(token: str | None) -> str | None:
    """The issuer of a ServiceAccount's token, or None for anything else.

    A person's token is of another issuer than the cluster's, and so is one that was stored in a Secret
    (`kubernetes/serviceaccount`).
    """
    parts = token.split(".") if token else []
    if len(parts) != _PARTS:
        return None
    try:
        payload = urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4))
        claims = msgspec.json.decode(payload, type=_Claims)
    except (binascii.Error, ValueError):
        return None
    if not claims.sub.startswith(_OF_A_SERVICE_ACCOUNT) or not claims.iss.startswith("https://"):
        return None
    return claims.iss
