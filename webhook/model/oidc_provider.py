"""Whether an account accepts the cluster's tokens: its OIDC provider, and how to fix it where it does not."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from webhook.model.names import AUDIENCE


@dataclass(frozen=True, slots=True)
class OidcProvider:
    """An OIDC provider as IAM has it.

    Thumbprints are not compared: AWS ignores them where the issuer's certificate is of a CA that it trusts.
    """

    arn: str
    audiences: tuple[str, ...] | None
    """None where the account has no such provider."""
    twin: str | None = None
    """The ARN of a provider for the issuer's other address, where the account has that instead."""

    @property
    def problem(self) -> str | None:
        """Why STS refuses every token of the cluster; None where the provider has the right audience."""
        if self.audiences is None:
            there = (
                f"; {self.twin} is for another address of the issuer, which no token names" if self.twin else ""
            )
            return f"there is no OIDC provider {self.arn}: STS refuses every token of this cluster{there}"
        if AUDIENCE not in self.audiences:
            return (
                f"the OIDC provider {self.arn} does not know the audience {AUDIENCE}: STS refuses every token of "
                "this cluster"
            )
        return None

    @property
    def fix(self) -> str:
        """The command that corrects `problem`."""
        if self.audiences is None:
            url = "https://" + self.arn.split(":oidc-provider/", 1)[1]
            action = ["create-open-id-connect-provider", "--url", url, "--client-id-list", AUDIENCE]
        else:
            provider = ["--open-id-connect-provider-arn", self.arn]
            action = ["add-client-id-to-open-id-connect-provider", *provider, "--client-id", AUDIENCE]
        return shlex.join(["aws", "iam", *action])
