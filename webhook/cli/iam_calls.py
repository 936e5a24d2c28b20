"""Calls of IAM as values: made by `setup`, or printed as commands of the AWS command line."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from webhook.model.names import AUDIENCE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from webhook.iam.trust_policy import TrustPolicy
    from webhook.model.names import RoleArn

Document = dict[str, Any]

_WORDS = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
"""Where a word of a parameter's name begins: Client-ID-List."""


@dataclass(frozen=True, slots=True)
class IamCall:
    """`operation` is its name in words, joined by `_`; parameters are IAM's own; `what` says what it is about."""

    operation: str
    parameters: Mapping[str, str | list[str]]
    what: str = ""

    def command(self) -> str:
        """The same for the AWS command line."""
        argv = ["aws", "iam", self.operation.replace("_", "-")]
        for name, value in self.parameters.items():
            argv += [f"--{_WORDS.sub('-', name).lower()}", *(value if isinstance(value, list) else [value])]
        return shlex.join(argv)


def policy_of(*statements: Mapping[str, Any]) -> Document:
    """A policy of these statements."""
    return {"Version": "2012-10-17", "Statement": list(statements)}


def create_provider(url: str, what: str = "") -> IamCall:
    """Create the OIDC provider of a cluster's issuer."""
    return IamCall("create_open_id_connect_provider", {"Url": url, "ClientIDList": [AUDIENCE]}, what)


def add_audience(provider_arn: str, what: str = "") -> IamCall:
    """Have an OIDC provider accept tokens for STS."""
    parameters = {"OpenIDConnectProviderArn": provider_arn, "ClientID": AUDIENCE}
    return IamCall("add_client_id_to_open_id_connect_provider", parameters, what)


def create_role(role: RoleArn, trust: Document, what: str = "") -> IamCall:
    """Create a role; its permissions are another call."""
    path = role.value.split(":role", 1)[1].removesuffix(role.name)
    parameters = {"RoleName": role.name, "AssumeRolePolicyDocument": _text(trust)}
    return IamCall("create_role", parameters if path == "/" else {**parameters, "Path": path}, what)


def update_trust(role: RoleArn, trust: TrustPolicy, what: str = "") -> IamCall:
    """Replace a trust policy."""
    return IamCall("update_assume_role_policy", {"RoleName": role.name, "PolicyDocument": trust.text()}, what)


def put_policy(role: RoleArn, name: str, policy: Document, what: str = "") -> IamCall:
    """Write an inline policy of a role."""
    parameters = {"RoleName": role.name, "PolicyName": name, "PolicyDocument": _text(policy)}
    return IamCall("put_role_policy", parameters, what)


def _text(document: Document) -> str:
    return json.dumps(document, separators=(",", ":"))
