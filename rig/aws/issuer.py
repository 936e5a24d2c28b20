"""An OIDC issuer of our own, for where no API server signs tokens."""

import json
import time
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from rig.aws.calls import Clock

AUDIENCE = "sts.amazonaws.com"


class TokenIssuer:
    """Signs ServiceAccount tokens as an API server does; `url` is the issuer, `jwks` its public keys."""

    def __init__(self, url: str, *, key_id: str = "first", clock: Clock = time.time) -> None:
        self.url = url
        self._clock = clock
        self._key_id = key_id
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    @property
    def name(self) -> str:
        """The issuer as condition keys and provider ARNs have it: without its scheme."""
        return self.url.removeprefix("https://")

    @property
    def jwks(self) -> dict[str, Any]:
        """The JSON Web Key Set."""
        key: dict[str, Any] = RSAAlgorithm.to_jwk(self._key.public_key(), as_dict=True)
        return {"keys": [{**key, "kid": self._key_id, "use": "sig", "alg": "RS256"}]}

    def provider_arn(self, account: str, partition: str = "aws") -> str:
        """Return the ARN of this issuer's OIDC provider in an account."""
        return f"arn:{partition}:iam::{account}:oidc-provider/{self.name}"

    def token(
        self, subject: str, *, audience: str | list[str] = AUDIENCE, lifetime: float = 3600, **claims: object
    ) -> str:
        """Return a token that is good for `lifetime` seconds; `claims` are added to it."""
        now = int(self._clock())
        content = {
            "iss": self.url,
            "sub": subject,
            "aud": [audience] if isinstance(audience, str) else audience,
            "iat": now,
            "exp": int(now + lifetime),
            **claims,
        }
        return jwt.encode(content, self._key, algorithm="RS256", headers={"kid": self._key_id})

    def trust(self, *subjects: str, account: str, audience: str = AUDIENCE) -> str:
        """Return a trust policy for these subjects of this issuer, as compact JSON."""
        statement = {
            "Effect": "Allow",
            "Principal": {"Federated": self.provider_arn(account)},
            "Action": "sts:AssumeRoleWithWebIdentity",
            "Condition": {"StringEquals": {f"{self.name}:aud": audience, f"{self.name}:sub": list(subjects)}},
        }
        return json.dumps({"Version": "2012-10-17", "Statement": [statement]}, separators=(",", ":"))
