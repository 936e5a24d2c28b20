"""What `setup` refuses, because it would take from another webhook, bucket or person what it has."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from webhook.cli.setup import policies
from webhook.cli.setup.policies import rights_of, statements_of
from webhook.iam.evaluation import conditions_of
from webhook.iam.external import effects_on_pod
from webhook.iam.statement import OwnStatement
from webhook.iam.trust_policy import canonical
from webhook.model.errors import InvalidNameError
from webhook.model.text import legible

if TYPE_CHECKING:
    from collections.abc import Iterator

    from webhook.cli.account_calls import Document
    from webhook.cli.setup.prerequisites import DesiredAccount, Found
    from webhook.iam.trust_policy import Statement, TrustPolicy
    from webhook.model.names import RoleArn

_SIDS = frozenset({policies.BY_TOKEN, policies.BY_ASSOCIATION})

_TRUST = "aws iam get-role --role-name {} --query Role.AssumeRolePolicyDocument"


def refuse_role_of_others(desired: DesiredAccount, found: Found, marks: tuple[str, ...]) -> None:
    """Raise InvalidNameError where the webhook's own role is another webhook's, or no webhook's at all.

    `marks` are the names of the policies by which a role is known as a webhook's.
    """
    own = desired.own_role
    if own not in found.roles:
        return
    ours = policies.own_statements(desired)
    there = {one["Sid"]: one for one in found.roles[own].trust.statements if one.get("Sid") in _SIDS}
    for sid, statement in there.items():
        if sid not in ours:
            raise InvalidNameError(
                f"--own-role {own.name} trusts a webhook by EKS Pod Identity (statement {sid}), and which cluster "
                "this is, is not known: name it with --cluster, or give this webhook a role of its own"
            )
        _refuse_another(desired, statement, ours[sid])
    is_known = there or any(found.policy(own, mark) for mark in marks)
    if not is_known and not _trusts_webhook(desired, found.roles[own].trust):
        raise InvalidNameError(
            f"--own-role {own.name} exists and is no webhook's role: the webhook would have all that it may do. "
            f"Name another role, or see what trusts it: {_TRUST.format(own.name)}"
        )


def _trusts_webhook(desired: DesiredAccount, trust: TrustPolicy) -> bool:
    """Whether a role made by hand, by other names than ours, trusts this webhook."""
    own = OwnStatement.for_role(desired.own_role, desired.issuer, desired.program.namespace)
    if trust.effects_on(own, desired.program).grant is not None:
        return True
    if desired.cluster is None:
        return False
    claims = policies.own_pods(desired, desired.cluster).claims_in(desired.program.namespace)
    return effects_on_pod(trust, claims).grant is not None


def _refuse_another(desired: DesiredAccount, there: Statement, ours: Statement) -> None:
    """Raise InvalidNameError where a statement for a webhook is for another than this one."""
    own = desired.own_role.name
    if canonical(there.get("Principal")) != canonical(ours["Principal"]):
        raise InvalidNameError(
            f"--own-role {own} is the role of another cluster's webhook, which trusts"
            f" {json.dumps(there.get('Principal'))}: give this cluster a role of its own"
        )
    if added := sorted(_condition_keys(there) - _condition_keys(ours)):
        raise InvalidNameError(
            f"--own-role {own} has a statement {ours['Sid']} with a condition on {legible(', '.join(added))},"
            " which this would remove: move it to a Deny of its own, or give the webhook another role"
        )
    wanted = {key: set(values) for key, values in _named_in(ours)}
    others = sorted({value for key, values in _named_in(there) for value in values - wanted.get(key, set())})
    if others:
        raise InvalidNameError(
            f"--own-role {own} is the role of another webhook, {', '.join(others)}: give {desired.program} of"
            f" {desired.cluster or desired.issuer} a role of its own, or delete the statement {ours['Sid']} if it"
            " has moved"
        )


def _named_in(statement: Statement) -> Iterator[tuple[str, set[str]]]:
    """The subjects, and the tags of EKS, that its conditions name, by any operator."""
    for _, name, values in conditions_of(statement):
        key = name.lower()
        if key.endswith(":sub") or key.startswith("aws:requesttag/"):
            yield key, set(map(str, values))


def _condition_keys(statement: Statement) -> set[str]:
    return {key.lower() for _, key, _ in conditions_of(statement)}


def refuse_to_replace(option: str, role: RoleArn, name: str, wanted: Document, found: Found) -> None:
    """Raise InvalidNameError where an inline policy has more than would be left in it, or a condition."""
    there = found.policy(role, name)
    if there is None:
        return
    added = set().union(*map(_condition_keys, statements_of(there)))
    added -= set().union(*map(_condition_keys, statements_of(wanted)))
    if added:
        raise InvalidNameError(
            f"{option} {role.name} has a policy {name} with a condition on {legible(', '.join(sorted(added)))},"
            " which this would remove: name another role, or move it to a Deny in a policy of another name"
        )
    lost = rights_of(there) - rights_of(wanted)
    if lost:
        raise InvalidNameError(
            f"{option} {role.name} has a policy {name} with more than this would leave in it:"
            f" {', '.join(map(str, sorted(lost)))}; name another role, or move that to a policy of another name"
        )


def refuse_association(desired: DesiredAccount, found: Found) -> None:
    """Raise InvalidNameError where the webhook's ServiceAccount has an association with another role."""
    there = found.association
    if there is None or there.gives(desired.own_role):
        return
    fault = f"for {legible(there.role)}" if there.role != desired.own_role.value else "with other settings"
    raise InvalidNameError(
        f"{desired.program} has association {there.id} {there.origin} already, {fault}: name its role with"
        f" --own-role, or delete it (aws eks delete-pod-identity-association) and run this again"
    )
