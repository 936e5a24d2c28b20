"""What others have in an account is not taken from them: the calls that would are refused."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from webhook.cli.setup import documents
from webhook.cli.setup.found import BUCKET_POLICY, OWN_POLICY
from webhook.cli.setup.rights import rights_of
from webhook.iam.conditions import as_list
from webhook.iam.trust_policy import canonical
from webhook.model.errors import InvalidNameError

if TYPE_CHECKING:
    from webhook.cli.setup.documents import DesiredAccount, Document
    from webhook.cli.setup.found import Found
    from webhook.iam.trust_policy import Statement
    from webhook.model.names import RoleArn


def refuse_what_others_use(desired: DesiredAccount, found: Found) -> None:
    """Raise InvalidNameError where a step would take from another webhook, bucket or person what it has."""
    _refuse_another_webhooks_role(desired, found)
    _refuse_to_narrow("--own-role", desired.own_role, OWN_POLICY, documents.own_policy(desired), found)
    for role in desired.roles:
        _refuse_to_narrow("--role", role, BUCKET_POLICY, documents.bucket_policy(desired), found)


def _refuse_another_webhooks_role(desired: DesiredAccount, found: Found) -> None:
    own, ours = desired.own_role, documents.own_statement(desired)
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
    """Whom its conditions name, by whatever operator."""
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
    lost = rights_of(there) - rights_of(wanted) if there is not None else ()
    if lost:
        raise InvalidNameError(
            f"{option} {role.name} has a policy {name} that says more than this would leave in it:"
            f" {', '.join(map(str, sorted(lost)))}; name another role, or move that to a policy of another name"
        )
