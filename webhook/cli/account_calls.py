"""Calls that change an account, as values: made by `setup`, or printed as commands of the AWS command line."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from webhook.model.names import AUDIENCE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from webhook.iam.trust_policy import TrustPolicy
    from webhook.model.names import ClusterArn, RoleArn, Subject

Document = dict[str, Any]

AGENT = "eks-pod-identity-agent"
"""The add-on that gives pods their credentials in mode pod-identity (EKS User Guide)."""

_WORDS = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
"""Where a word of a parameter's name begins: Client-ID-List."""


@dataclass(frozen=True, slots=True)
class AccountCall:
    """`operation` is its name in words, joined by `_`; parameters are the service's own."""

    service: Literal["iam", "eks"]
    operation: str
    parameters: Mapping[str, str | list[str]]

    @property
    def name(self) -> str:
        """The operation as AWS writes it, such as CreateRole."""
        return "".join("ID" if word == "id" else word.capitalize() for word in self.operation.split("_"))

    def command(self) -> str:
        """The same for the AWS command line."""
        argv = ["aws", self.service, self.operation.replace("_", "-")]
        for name, value in self.parameters.items():
            argv += [f"--{_WORDS.sub('-', name).lower()}", *(value if isinstance(value, list) else [value])]
        return shlex.join(argv)


def compact(document: Mapping[str, Any]) -> str:
    """A document as it is sent: JSON without white space."""
    return json.dumps(document, separators=(",", ":"))


def policy_of(*statements: Mapping[str, Any]) -> Document:
    """A policy of these statements."""
    return {"Version": "2012-10-17", "Statement": list(statements)}


def create_provider(url: str, audiences: Sequence[str]) -> AccountCall:
    """Create the OIDC provider of a cluster's issuer."""
    return AccountCall("iam", "create_open_id_connect_provider", {"Url": url, "ClientIDList": list(audiences)})


def add_audience(provider_arn: str) -> AccountCall:
    """Have an OIDC provider accept tokens for STS."""
    parameters = {"OpenIDConnectProviderArn": provider_arn, "ClientID": AUDIENCE}
    return AccountCall("iam", "add_client_id_to_open_id_connect_provider", parameters)


def create_role(role: RoleArn, trust: Document) -> AccountCall:
    """Create a role; its permissions are another call."""
    path = role.value.split(":role", 1)[1].removesuffix(role.name)
    parameters = {"RoleName": role.name, "AssumeRolePolicyDocument": compact(trust)}
    return AccountCall("iam", "create_role", parameters if path == "/" else {**parameters, "Path": path})


def update_trust(role: RoleArn, trust: TrustPolicy) -> AccountCall:
    """Replace a trust policy."""
    parameters = {"RoleName": role.name, "PolicyDocument": trust.text()}
    return AccountCall("iam", "update_assume_role_policy", parameters)


def put_policy(role: RoleArn, name: str, policy: Document) -> AccountCall:
    """Write an inline policy of a role."""
    parameters = {"RoleName": role.name, "PolicyName": name, "PolicyDocument": compact(policy)}
    return AccountCall("iam", "put_role_policy", parameters)


def create_agent(cluster: ClusterArn) -> AccountCall:
    """Install the agent of EKS Pod Identity."""
    return AccountCall("eks", "create_addon", {"clusterName": cluster.name, "addonName": AGENT})


def create_association(cluster: ClusterArn, subject: Subject, role: RoleArn) -> AccountCall:
    """Give a ServiceAccount a role by EKS Pod Identity."""
    parameters = {
        "clusterName": cluster.name,
        "namespace": subject.namespace,
        "serviceAccount": subject.service_account,
        "roleArn": role.value,
    }
    return AccountCall("eks", "create_pod_identity_association", parameters)
