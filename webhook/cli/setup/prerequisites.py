"""What an account lacks, as calls of IAM to be made or printed; a call that would take from others is refused."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from webhook.cli.iam_calls import add_audience, create_provider, create_role, policy_of, put_policy, update_trust
from webhook.cli.setup import policies
from webhook.iam.evaluation import as_list
from webhook.iam.trust_policy import TrustPolicy, canonical, canonical_policy
from webhook.model.errors import InvalidNameError
from webhook.model.names import AUDIENCE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from webhook.cli.iam_calls import Document, IamCall
    from webhook.cli.setup.policies import DesiredAccount
    from webhook.iam.trust_policy import Statement
    from webhook.model.names import RoleArn
    from webhook.model.oidc_provider import OidcProvider

BUCKET_POLICY = "backup-bucket"
OWN_POLICY = "trust-policies"
"""Names of the inline policies."""


@dataclass(frozen=True, slots=True)
class FoundRole:
    """A role that exists: its trust policy, and its inline policies by name."""

    trust: TrustPolicy
    policies: Mapping[str, Document]


@dataclass(frozen=True, slots=True)
class Found:
    """What the account has of the prerequisites."""

    provider: OidcProvider
    roles: Mapping[RoleArn, FoundRole] = field(default_factory=dict)

    def policy(self, role: RoleArn, name: str) -> Document | None:
        """A role's inline policy of that name."""
        return self.roles[role].policies.get(name) if role in self.roles else None


def missing_calls(desired: DesiredAccount, found: Found) -> list[IamCall]:
    """What is left to do; nothing where all exists. Trust policies of roles for backups are left as they are.

    Nothing is removed: the webhook keeps the roles that an earlier call gave it, and InvalidNameError is raised
    where a call would take from another webhook, bucket or person what it has.
    """
    editable = policies.editable_roles(found.policy(desired.own_role, OWN_POLICY) or {})
    desired = replace(desired, roles_before=tuple(role for role in editable if role != desired.own_role))
    _refuse_another_webhooks_role(desired, found)
    _refuse_to_narrow("--own-role", desired.own_role, OWN_POLICY, policies.own_policy(desired), found)
    for role in desired.roles:
        _refuse_to_narrow("--role", role, BUCKET_POLICY, policies.bucket_policy(desired), found)
    return [*_provider(desired, found), *_bound_roles(desired, found), *_own_role(desired, found)]


def _provider(desired: DesiredAccount, found: Found) -> Iterator[IamCall]:
    if found.provider.audiences is None:
        yield create_provider(desired.issuer.value, "the cluster's OIDC provider")
    elif found.provider.problem:
        yield add_audience(desired.provider_arn, f"the audience {AUDIENCE} of the OIDC provider")


def _bound_roles(desired: DesiredAccount, found: Found) -> Iterator[IamCall]:
    """Roles for backups with their policy; of other workloads only the owners know what a role may do in AWS."""
    for role in desired.bound_roles:
        is_backup = role in desired.roles
        if role not in found.roles:
            names = ["backups"] if is_backup else [one.name for one, given in desired.workloads if given == role]
            what = f"role {role.name} for {', '.join(names)}"
            yield create_role(role, policies.first_trust(desired, role), what)
        if is_backup:
            yield from _inline(role, BUCKET_POLICY, policies.bucket_policy(desired), found)


def _own_role(desired: DesiredAccount, found: Found) -> Iterator[IamCall]:
    role, statement = desired.own_role, policies.own_statement(desired)
    there = found.roles.get(role)
    if there is None:
        yield create_role(role, policy_of(statement), f"the webhook's own role {role.name}")
    elif not any(canonical_policy(one) == canonical_policy(statement) for one in there.trust.statements):
        others = [one for one in there.trust.statements if one.get("Sid") != statement["Sid"]]
        trust = TrustPolicy({**there.trust.document, "Statement": [*others, statement]})
        yield update_trust(role, trust, f"the webhook in the trust policy of {role.name}")
    yield from _inline(role, OWN_POLICY, policies.own_policy(desired), found)


def _inline(role: RoleArn, name: str, policy: Document, found: Found) -> Iterator[IamCall]:
    there = found.policy(role, name)
    if there is None or canonical_policy(there) != canonical_policy(policy):
        yield put_policy(role, name, policy, f"policy {name} of {role.name}")


def _refuse_another_webhooks_role(desired: DesiredAccount, found: Found) -> None:
    own, ours = desired.own_role, policies.own_statement(desired)
    for statement in found.roles[own].trust.statements if own in found.roles else ():
        if statement.get("Sid") != ours["Sid"]:
            continue
        if canonical(statement.get("Principal")) != canonical(ours["Principal"]):
            raise InvalidNameError(
                f"--own-role {own.name} is the role of another cluster's webhook, which trusts"
                f" {json.dumps(statement.get('Principal'))}: give this cluster a role of its own"
            )
        others = [one for one in _subjects(statement, f"{desired.issuer.key}:sub") if one != str(desired.program)]
        if others:
            raise InvalidNameError(
                f"--own-role {own.name} is the role of another webhook of this cluster, {', '.join(others)}: give"
                f" {desired.program} a role of its own, or delete the statement {ours['Sid']} if it has moved"
            )


def _subjects(statement: Statement, key: str) -> list[str]:
    """The subjects that its conditions name, by any operator."""
    condition = statement.get("Condition")
    blocks: list[Any] = list(condition.values()) if isinstance(condition, dict) else []
    return [
        str(subject)
        for block in blocks
        if isinstance(block, dict)
        for name, subjects in block.items()
        if name.lower() == key.lower()
        for subject in as_list(subjects)
    ]


def _refuse_to_narrow(option: str, role: RoleArn, name: str, wanted: Document, found: Found) -> None:
    there = found.policy(role, name)
    lost = policies.rights_of(there) - policies.rights_of(wanted) if there is not None else ()
    if lost:
        raise InvalidNameError(
            f"{option} {role.name} has a policy {name} with more than this would leave in it:"
            f" {', '.join(map(str, sorted(lost)))}; name another role, or move that to a policy of another name"
        )
