"""From the role to STS: whether the role exists, the account knows the cluster, and which statement decides."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from webhook.cli import suggested_commands as commands
from webhook.cli.judgement import judge_trust
from webhook.cli.verify.findings import Check, Finding, broken, note, ok, unknown
from webhook.cli.verify.near_misses import near_misses
from webhook.cli.verify.webhook import refused_as_node, unreached_by_webhook
from webhook.iam.amendment import Standing, amend, room
from webhook.iam.trust_policy import Place, TrustPolicy

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from webhook.cli.verify.findings import ControlPlane, Shared
    from webhook.iam.statement import OwnStatement
    from webhook.model.bindings import Binding
    from webhook.model.names import RoleArn

_GONE = "NoSuchEntity"
_DENIED, _EXPLICIT = "AccessDenied", "explicit deny"
_BACKS_UP = "mxp-controller"
"""The ServiceAccount whose roles `setup` gives permissions on a bucket."""
_LITTLE_ROOM = 3
_MOST_KNOWN = 8192
"""Characters: the longest trust policy that AWS is known to have allowed. AWS names no limit in its API."""


def check_provider(role: RoleArn, shared: Shared) -> Finding:
    """Whether the role's account trusts the cluster's tokens."""
    arn = shared.installation.own_in(role).provider_arn
    provider = shared.providers.get(arn, "was not read")
    if isinstance(provider, str):
        return unknown(Check.OIDC_PROVIDER, f"{arn}: {provider}")
    if provider.problem:
        return broken(Check.OIDC_PROVIDER, provider.problem, provider.fix)
    return ok(Check.OIDC_PROVIDER, "is there, with the audience sts.amazonaws.com")


def check_trust(plane: ControlPlane, role: RoleArn, binding: Binding, shared: Shared) -> Iterator[Finding]:
    """Whether the role allows it, by which statement, and if not, why."""
    policy = shared.account.policies.get(role)
    own = shared.installation.own_in(role)
    if policy is None:
        yield unread(role, binding, own.render([plane.subject]), shared)
        return
    trust = judge_trust(policy, own, plane.subject, by_own=shared.trusted.lets_in(role, plane.subject))
    if (place := trust.denied_by) is not None:
        why = f"{place} of {role} denies it, whatever other statements allow"
        yield broken(Check.TRUST, why, commands.write_policy(role, without(policy, place, own)))
        return
    if trust.allowed_by is None:
        yield _untrusted(plane, role, binding, policy, shared)
    elif trust.may_be_denied_by is None and trust.by_own:
        yield ok(Check.TRUST, f"our statement {own.sid} in {role} allows it")
    elif trust.may_be_denied_by is None:
        yield ok(Check.TRUST, f"{trust.allowed_by} of {role} allows it; it is external")
    if (place := trust.may_be_denied_by) is not None:
        fix = commands.ask_sts(plane.subject, shared.options)
        yield may_be_denied(place, role, "ask STS whether it does", fix)
    yield from check_room(role, policy, shared)


def may_be_denied(place: Place, role: RoleArn, next_step: str, fix: str | None = None) -> Finding:
    """A Deny of which only AWS knows whether it holds."""
    return unknown(
        Check.TRUST, f"{place} of {role} may deny it, by conditions that only AWS can evaluate: {next_step}", fix
    )


def unread(role: RoleArn, binding: Binding, statement: dict[str, Any], shared: Shared) -> Finding:
    """A role that could not be read; one that is gone is created with `statement`."""
    reason = shared.account.unread.get(role, "was not read")
    if _GONE in reason:
        return _gone(role, binding, commands.create_role(role, statement), shared)
    return unknown(Check.ROLE, f"{role} could not be read: {reason}")


def _gone(role: RoleArn, binding: Binding, fix: str, shared: Shared) -> Finding:
    """`setup` knows the permissions of a role for backups; it creates none with a path or external trust.

    It is suggested only where the webhook's own role is known: else it would create one, and give it rights.
    """
    why = f"there is no role {role}"
    is_for_setup = binding.service_account == _BACKS_UP and binding.edits_trust and role.has_no_path
    if not is_for_setup or "--own-role" not in shared.setup_options:
        return broken(Check.ROLE, f"{why}; recreated, it also needs its permissions", fix)
    why = (
        f"{why}; the fix creates it with its trust alone, setup with its permissions on the bucket NAME, and "
        "checks the webhook's own role too"
    )
    return replace(broken(Check.ROLE, why, fix), template=commands.set_up(role, shared.setup_options))


def _untrusted(
    plane: ControlPlane, role: RoleArn, binding: Binding, policy: TrustPolicy, shared: Shared
) -> Finding:
    own = shared.installation.own_in(role)
    why = "; ".join([f"no statement of {role} allows it", *near_misses(policy, own, plane.subject)])
    if not policy.is_whole(own.without_pods):
        why = f"our statement {own.sid} in {role} was changed externally: its trust is not reliable"
    if not binding.edits_trust:
        more = own.render(policy.subjects(own) | {plane.subject})
        others = [statement for statement in policy.statements if not own.owns(statement)]
        added = TrustPolicy({**policy.document, "Statement": [*others, more]})
        return broken(
            Check.TRUST, f"{why}; binding {binding.name} only annotates", commands.write_policy(role, added)
        )
    verdict = amend(policy, own, frozenset(), [plane.subject], shared.account.quota).verdicts[plane.subject]
    finding = blocked(role, policy, shared, has_room=verdict.standing is not Standing.NO_ROOM)
    # AWS refused the program itself when it was about to add this one.
    is_refused = _DENIED in plane.pending and any(action in plane.pending for action in commands.EDITING)
    if finding is None and is_refused and role.value in plane.pending:
        return refused_as_node(plane.pending, shared) or _without_right(plane, role, why, shared)
    return (
        finding
        or unreached_by_webhook(Check.TRUST, why, plane.pending, shared)
        or broken(Check.TRUST, why, commands.apply(shared.options))
    )


def _without_right(plane: ControlPlane, role: RoleArn, why: str, shared: Shared) -> Finding:
    """A permission is added by a policy of its own; a Deny, or a boundary, is for its owner."""
    why = f"{why}, because AWS refuses the program: {plane.pending}"
    own_role = shared.own_role
    if own_role is None or own_role == role or _EXPLICIT in plane.pending:
        return broken(Check.TRUST, why)
    return broken(Check.TRUST, why, commands.let_edit(own_role, role))


def blocked(role: RoleArn, policy: TrustPolicy, shared: Shared, *, has_room: bool) -> Finding | None:
    """What keeps a role's trust policy from being written, if something does."""
    for place, principal in policy.dangling_principals():
        why = (
            f"{place} of {role} names {principal}, which was deleted: IAM refuses every change until it is removed"
        )
        repaired = _without_principal(policy, place, principal, shared.installation.own_in(role))
        return broken(Check.TRUST, why, commands.write_policy(role, repaired))
    if has_room:
        return None
    stale = shared.removable.get(role, 0)
    full = f"{role} has no room for it ({policy.size()} of {shared.account.quota} characters)"
    if stale:
        why = f"{full}, but holds {stale} unused ones"
        return broken(Check.TRUST, why, commands.apply(shared.options, "--approve"))
    fix = _raise_quota(shared)
    way_out = "raise the quota, or" if fix else "AWS is not known to give more:"
    return broken(Check.TRUST, f"{full}; {way_out} add a role to the binding", fix)


def check_room(role: RoleArn, policy: TrustPolicy, shared: Shared) -> Iterator[Finding]:
    """How many subjects more fit into its trust policy."""
    fit = room(policy, shared.installation.own_in(role), shared.account.quota)
    used = f"{policy.size()} of {shared.account.quota} characters"
    if fit < _LITTLE_ROOM:
        yield note(Check.ROOM, f"{role.name} has room for {fit} more ({used})", _raise_quota(shared))
    else:
        yield ok(Check.ROOM, f"{role.name} has room for {fit} more ({used})")


def _raise_quota(shared: Shared) -> str | None:
    """A command that asks for more, as long as AWS is known to give more."""
    more = min(max(4096, 2 * shared.account.quota), _MOST_KNOWN)
    return commands.raise_quota(more) if more > shared.account.quota else None


def without(policy: TrustPolicy, place: Place, own: OwnStatement) -> TrustPolicy:
    """The policy without one statement; IAM requires one, so ours that allows no subject replaces the last."""
    kept = [statement for index, statement in enumerate(policy.statements) if index != place.index]
    return TrustPolicy({**policy.document, "Statement": kept or [own.render_placeholder()]})


def _without_principal(policy: TrustPolicy, place: Place, principal: str, own: OwnStatement) -> TrustPolicy:
    """The policy without a principal of a statement, or without the statement if it names no other."""
    statement = policy.statements[place.index]
    named = statement["Principal"]["AWS"]
    left = [one for one in (named if isinstance(named, list) else [named]) if one != principal]
    if not left:
        return without(policy, place, own)
    changed = {**statement, "Principal": {**statement["Principal"], "AWS": left}}
    statements = [changed if index == place.index else one for index, one in enumerate(policy.statements)]
    return TrustPolicy({**policy.document, "Statement": statements})
