"""Trust policies as they would be without what keeps a control plane out: for a person to look at and write."""

from __future__ import annotations

from typing import TYPE_CHECKING

from webhook.iam.trust_policy import TrustPolicy

if TYPE_CHECKING:
    from webhook.iam.statement import OwnStatement
    from webhook.iam.trust_policy import Place


def without(policy: TrustPolicy, place: Place, own: OwnStatement) -> TrustPolicy:
    """The policy without one statement; IAM wants one, so in place of the last stands ours that allows nobody."""
    kept = [statement for index, statement in enumerate(policy.statements) if index != place.index]
    return TrustPolicy({**policy.document, "Statement": kept or [own.render_placeholder()]})


def without_principal(policy: TrustPolicy, place: Place, principal: str, own: OwnStatement) -> TrustPolicy:
    """The policy with a principal taken out of a statement, or the statement if it names no other."""
    statement = policy.statements[place.index]
    named = statement["Principal"]["AWS"]
    left = [one for one in (named if isinstance(named, list) else [named]) if one != principal]
    if not left:
        return without(policy, place, own)
    changed = {**statement, "Principal": {**statement["Principal"], "AWS": left}}
    statements = [changed if index == place.index else one for index, one in enumerate(policy.statements)]
    return TrustPolicy({**policy.document, "Statement": statements})
