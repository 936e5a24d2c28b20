"""What an account lacks, as calls of IAM: each, to be called or printed."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from webhook.cli.setup import documents
from webhook.cli.setup.found import BUCKET_POLICY, OWN_POLICY
from webhook.cli.setup.others import refuse_what_others_use
from webhook.cli.setup.rights import editable_roles
from webhook.iam.trust_policy import canonical_policy
from webhook.model.names import AUDIENCE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from webhook.cli.setup.documents import DesiredAccount, Document
    from webhook.cli.setup.found import Found
    from webhook.model.names import RoleArn

_OPTIONS = {
    "AssumeRolePolicyDocument": "assume-role-policy-document",
    "ClientID": "client-id",
    "ClientIDList": "client-id-list",
    "Description": "description",
    "OpenIDConnectProviderArn": "open-id-connect-provider-arn",
    "Path": "path",
    "PolicyDocument": "policy-document",
    "PolicyName": "policy-name",
    "RoleName": "role-name",
    "Url": "url",
}


@dataclass(frozen=True, slots=True)
class IamCall:
    """One call of IAM. `operation` is its name in words, joined by `_`; parameters are IAM's own."""

    what: str
    operation: str
    parameters: Mapping[str, str | list[str]]

    def command(self) -> str:
        """The same for the AWS command line."""
        argv = ["aws", "iam", self.operation.replace("_", "-")]
        for name, value in self.parameters.items():
            argv += [f"--{_OPTIONS[name]}", *(value if isinstance(value, list) else [value])]
        return shlex.join(argv)


def missing_steps(desired: DesiredAccount, found: Found) -> list[IamCall]:
    """What is left to do; nothing where all is there. Trust policies of roles for backups are left as they are.

    Nothing is taken away: the webhook keeps the roles that an earlier call gave it, and InvalidNameError is raised
    where a step would take from another webhook, bucket or person what it has.
    """
    desired = replace(desired, roles_before=_roles_before(desired, found))
    refuse_what_others_use(desired, found)
    return [
        *_provider(desired, found),
        *_backup_roles(desired, found),
        *_other_roles(desired, found),
        *_own_role(desired, found),
    ]


def _roles_before(desired: DesiredAccount, found: Found) -> tuple[RoleArn, ...]:
    policy = found.policy(desired.own_role, OWN_POLICY) or {}
    return tuple(role for role in editable_roles(policy) if role != desired.own_role)


def _provider(desired: DesiredAccount, found: Found) -> Iterator[IamCall]:
    if found.provider.audiences is None:
        parameters: dict[str, str | list[str]] = {"Url": desired.issuer.value, "ClientIDList": [AUDIENCE]}
        yield IamCall("the cluster's OIDC provider", "create_open_id_connect_provider", parameters)
    elif found.provider.problem:
        parameters = {"OpenIDConnectProviderArn": desired.provider_arn, "ClientID": AUDIENCE}
        what = f"the audience {AUDIENCE} of the OIDC provider"
        yield IamCall(what, "add_client_id_to_open_id_connect_provider", parameters)


def _backup_roles(desired: DesiredAccount, found: Found) -> Iterator[IamCall]:
    for role in desired.roles:
        if role not in found.roles:
            yield _create(role, documents.first_trust(desired, role), f"role {role.name} for backups")
        yield from _inline(role, BUCKET_POLICY, documents.bucket_policy(desired), found)


def _other_roles(desired: DesiredAccount, found: Found) -> Iterator[IamCall]:
    """What these may do in AWS only their owners know."""
    for role in desired.bound_roles:
        if role not in desired.roles and role not in found.roles:
            names = [workload.preset.name for workload in desired.workloads if workload.role == role]
            yield _create(role, documents.first_trust(desired, role), f"role {role.name} for {', '.join(names)}")


def _own_role(desired: DesiredAccount, found: Found) -> Iterator[IamCall]:
    role, statement = desired.own_role, documents.own_statement(desired)
    there = found.roles.get(role)
    if there is None:
        trust = {"Version": "2012-10-17", "Statement": [statement]}
        yield _create(role, trust, f"the webhook's own role {role.name}")
    elif not any(canonical_policy(one) == canonical_policy(statement) for one in there.trust.statements):
        others = [one for one in there.trust.statements if one.get("Sid") != statement["Sid"]]
        document = {**there.trust.document, "Statement": [*others, statement]}
        parameters: dict[str, str | list[str]] = {"RoleName": role.name, "PolicyDocument": _text(document)}
        yield IamCall(f"the webhook in the trust policy of {role.name}", "update_assume_role_policy", parameters)
    yield from _inline(role, OWN_POLICY, documents.own_policy(desired), found)


def _create(role: RoleArn, trust: Document, what: str) -> IamCall:
    path = role.value.split(":role", 1)[1].removesuffix(role.name)
    parameters: dict[str, str | list[str]] = {"RoleName": role.name, "AssumeRolePolicyDocument": _text(trust)}
    return IamCall(what, "create_role", parameters if path == "/" else {**parameters, "Path": path})


def _inline(role: RoleArn, name: str, policy: Document, found: Found) -> Iterator[IamCall]:
    there = found.policy(role, name)
    if there is None or canonical_policy(there) != canonical_policy(policy):
        parameters: dict[str, str | list[str]] = {
            "RoleName": role.name,
            "PolicyName": name,
            "PolicyDocument": _text(policy),
        }
        yield IamCall(f"policy {name} of {role.name}", "put_role_policy", parameters)


def _text(document: Any) -> str:
    return json.dumps(document, separators=(",", ":"))
