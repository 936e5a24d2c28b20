"""Mode pod-identity, from the association to the role's trust: whether EKS gives pods their role."""

from __future__ import annotations

from typing import TYPE_CHECKING

from webhook.cli import suggested_commands as commands
from webhook.cli.judgement import judge_pod_trust
from webhook.cli.verify.findings import Check, Finding, broken, no_account, note, ok, unknown
from webhook.cli.verify.trust import blocked, check_room, may_be_denied, unread, without
from webhook.cli.verify.webhook import unreached_by_webhook
from webhook.model.bindings import is_listed
from webhook.model.names import ROLE_ARN_ANNOTATION
from webhook.model.text import legible
from webhook.podidentity.association import QUOTA, AssociationAction, associations_that_fit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from webhook.cli.verify.findings import ControlPlane, Shared
    from webhook.iam.statement import OwnStatement, PodStatement
    from webhook.iam.trust_policy import TrustPolicy
    from webhook.model.bindings import Binding
    from webhook.model.names import RoleArn
    from webhook.podidentity.association import Association, FoundAssociations, Ownership


def check_account(plane: ControlPlane, role: RoleArn, binding: Binding, shared: Shared) -> Iterator[Finding]:
    """Whether the ServiceAccount exists, and its annotation, if it has one, names no other role."""
    subject = plane.subject
    if plane.annotations is None:
        yield no_account(subject)
        return
    named, fix = plane.annotations.get(ROLE_ARN_ANNOTATION), commands.annotate(subject, f"{ROLE_ARN_ANNOTATION}-")
    if not named:
        yield ok(Check.ANNOTATION, "names no role, as mode pod-identity wants it")
    elif is_listed(named, shared.installation.bindings):
        which = "the role too" if named == role.value else f"{named}, a role of another binding"
        why = f"names {which}: a pod that EKS's webhook admits before the association is propagated uses that"
        yield note(Check.ANNOTATION, why, fix)
    else:
        wrong = f"names {legible(named)}, which is no role of binding {binding.name}"
        why = f"{wrong}: so its review associates it with none"
        yield broken(Check.ANNOTATION, why, fix)


def check_association(plane: ControlPlane, role: RoleArn, shared: Shared) -> Finding:
    """Whether EKS has an association that gives it the role, and if not, why."""
    owner, seen = shared.installation.owner, shared.account.associations
    if owner is None or seen is None:
        return unknown(Check.ASSOCIATION, "was not read")
    cluster = owner.cluster.name
    if seen.unread:
        finding = broken if seen.wrong_cluster else unknown
        fix = None if seen.wrong_cluster else commands.list_associations(cluster, plane.subject)
        return finding(Check.ASSOCIATION, f"could not be read: {seen.unread}", fix)
    found = seen.described.get(plane.subject)
    if found is None:
        return _missing(plane, seen, shared)
    action = owner.action_for(found, role)
    if action is AssociationAction.KEEP:
        return ok(Check.ASSOCIATION, f"{found.id} gives it {role}")
    if action is AssociationAction.ACCEPT:
        return ok(Check.ASSOCIATION, f"{found.id} gives it {role}; it is external")
    if action is AssociationAction.UPDATE:
        why = f"{found.id} is managed, and {found.change_from(role)}"
        return broken(Check.ASSOCIATION, why, commands.apply(shared.options))
    return broken(Check.ASSOCIATION, owner.conflict_reason(found, role), _recreate(found, owner, shared))


def _missing(plane: ControlPlane, seen: FoundAssociations, shared: Shared) -> Finding:
    if not associations_that_fit(seen.there):
        why = (
            f"EKS has none for it, and takes no more than the {QUOTA} that the cluster has: delete some, or bind "
            "it in mode irsa"
        )
        return broken(Check.ASSOCIATION, why)
    why = "EKS has none for it"
    return unreached_by_webhook(Check.ASSOCIATION, why, plane.pending, shared) or broken(
        Check.ASSOCIATION, why, commands.apply(shared.options)
    )


def _recreate(found: Association, owner: Ownership, shared: Shared) -> str | None:
    """Deleting what is in the way; not where an add-on would recreate it."""
    if found.owner_arn is not None:
        return None
    return f"{commands.delete_association(owner.cluster.name, found.id)} && {commands.apply(shared.options)}"


def check_pod_trust(plane: ControlPlane, role: RoleArn, binding: Binding, shared: Shared) -> Iterator[Finding]:
    """Whether the role allows EKS for the control plane's pods, by which statement, and if not, why."""
    policy, own = shared.account.policies.get(role), shared.installation.own_in(role)
    statement = own.for_pods_of(binding.name)
    if statement is None:
        yield unknown(Check.TRUST, "was not read")
        return
    if policy is None:
        yield unread(role, binding, statement.render(), shared)
        return
    trust = judge_pod_trust(policy, statement.claims_in(plane.subject.namespace))
    if (place := trust.denied_by) is not None:
        why = f"{place} of {role} denies EKS, whatever other statements allow"
        yield broken(Check.TRUST, why, commands.write_policy(role, without(policy, place, own)))
        return
    if (place := trust.may_be_denied_by) is not None:
        yield may_be_denied(place, role, "check that statement, a pod shows whether it does")
    elif policy.has_whole(statement):
        yield ok(Check.TRUST, f"our statement {statement.sid} in {role} allows EKS for its pods")
    if not policy.has_whole(statement):
        yield _untrusted(role, statement, policy, own, shared)
    yield from check_room(role, policy, shared)


def _untrusted(
    role: RoleArn, statement: PodStatement, policy: TrustPolicy, own: OwnStatement, shared: Shared
) -> Finding:
    if policy.pod_statement(statement) is not None:
        why = f"our statement {statement.sid} in {role} was changed externally: its trust is not reliable"
    else:
        why = f"our statement {statement.sid} is not in {role}, so that EKS may not assume it for its pods"
    whole = policy.with_subjects(own, policy.subjects(own))
    finding = blocked(role, policy, shared, has_room=whole.size() <= shared.account.quota)
    return finding or broken(Check.TRUST, why, commands.apply(shared.options))
