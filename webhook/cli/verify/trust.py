"""From the role to STS: whether the role is there, the account knows the cluster, and who decides."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from webhook.cli import suggested_commands as commands
from webhook.cli.verify.findings import Finding, Level, broken, note, ok, unknown
from webhook.cli.verify.near_misses import near_misses
from webhook.cli.verify.own_identity import refused_as_node
from webhook.cli.verify.rewriting import without, without_principal
from webhook.iam.amendment import Standing, amend, room
from webhook.iam.trust_policy import TrustPolicy

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from webhook.cli.verify.facts import ControlPlane, Shared
    from webhook.iam.trust_policy import Place
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
    """Whether the role's account knows the cluster's tokens."""
    arn = shared.installation.own_in(role).provider_arn
    provider = shared.providers.get(arn, "was not looked at")
    if isinstance(provider, str):
        return unknown("OIDC provider", f"{arn}: {provider}")
    if provider.problem:
        return broken("OIDC provider", provider.problem, provider.fix)
    return ok("OIDC provider", "is there, with the audience sts.amazonaws.com")


def check_trust(plane: ControlPlane, role: RoleArn, binding: Binding, shared: Shared) -> Iterator[Finding]:
    """Whether the role lets it in, by which statement, and if not, why."""
    policy = shared.account.policies.get(role)
    own = shared.installation.own_in(role)
    if policy is None:
        yield unread(role, binding, own.render([plane.subject]), shared)
        return
    if (place := policy.denial(own, plane.subject)) is not None:
        why = f"{place} of {role} denies it, whatever else is said"
        yield broken("trust", why, commands.write_policy(role, without(policy, place, own)))
        return
    if shared.trusted.lets_in(role, plane.subject):
        trust = ok("trust", f"our statement {own.sid} in {role} lets it in")
    elif (place := policy.foreign_grant(own, plane.subject)) is not None:
        trust = ok("trust", f"{place} of {role} lets it in; it is somebody else's")
    else:
        trust = _untrusted(plane, role, binding, policy, shared)
    doubtful = policy.possible_denial(own, plane.subject)
    if doubtful is None or trust.level is not Level.OK:
        yield trust
    if doubtful is not None:
        yield may_be_denied(
            doubtful, role, "STS says whether it does", commands.ask_sts(plane.subject, shared.options)
        )
    yield from check_room(role, policy, shared)


def may_be_denied(place: Place, role: RoleArn, next_step: str, fix: str | None = None) -> Finding:
    """A Deny of which only AWS knows whether it holds: nobody can say that the trust works."""
    return unknown("trust", f"{place} of {role} may deny it, by what only AWS knows: {next_step}", fix)


def unread(role: RoleArn, binding: Binding, statement: dict[str, Any], shared: Shared) -> Finding:
    """What is said of a role that could not be read; one that is gone is made with `statement`."""
    reason = shared.account.unread.get(role, "was not looked at")
    if _GONE in reason:
        return _gone(role, binding, commands.create_role(role, statement), shared)
    return unknown("role", f"{role} could not be read: {reason}")


def _gone(role: RoleArn, binding: Binding, fix: str, shared: Shared) -> Finding:
    """`setup` knows the permissions of a role for backups; it makes none with a path, nor one of others' trust.

    It is named only where the webhook's own role is known: else it would make one, and give it rights.
    """
    why = f"there is no role {role}"
    is_for_setup = binding.service_account == _BACKS_UP and binding.edits_trust and role.has_no_path
    if not is_for_setup or "--own-role" not in shared.setup_options:
        return broken("role", f"{why}; made anew it also needs its permissions", fix)
    why = (
        f"{why}; the fix makes it with its trust alone, setup with its permissions on the bucket NAME, and sees "
        "to the webhook's own role too"
    )
    return replace(broken("role", why, fix), template=commands.set_up(role, shared.setup_options))


def _untrusted(
    plane: ControlPlane, role: RoleArn, binding: Binding, policy: TrustPolicy, shared: Shared
) -> Finding:
    own = shared.installation.own_in(role)
    named = own.without_pods
    misses = near_misses(policy, own, plane.subject)
    why = "; ".join([f"no statement of {role} lets it in", *misses])
    if not policy.is_whole(named):
        why = f"somebody has changed our statement {own.sid} in {role}: nobody can rely on it"
    if not binding.edits_trust:
        more = own.render(policy.subjects(own) | {plane.subject})
        added = TrustPolicy({**policy.document, "Statement": [*_others(policy, role, shared), more]})
        return broken("trust", f"{why}; binding {binding.name} only annotates", commands.write_policy(role, added))
    verdict = amend(policy, own, frozenset(), [plane.subject], shared.account.quota).verdicts[plane.subject]
    finding = blocked(role, policy, shared, has_room=verdict.standing is not Standing.NO_ROOM)
    if finding is None and _may_not_edit(plane, role):
        return refused_as_node(plane.pending, shared) or _without_right(plane, role, why, shared)
    return finding or broken("trust", why, commands.apply(shared.options))


def _may_not_edit(plane: ControlPlane, role: RoleArn) -> bool:
    """Whether AWS refused the program itself when it was about to let this one in."""
    refused = _DENIED in plane.pending and any(action in plane.pending for action in commands.EDITING)
    return refused and role.value in plane.pending


def _without_right(plane: ControlPlane, role: RoleArn, why: str, shared: Shared) -> Finding:
    """A permission is added by a policy of its own; a Deny, or a boundary, is for whoever put it there."""
    why = f"{why}, because AWS refuses the program: {plane.pending}"
    own_role = shared.own_role
    if own_role is None or own_role == role or _EXPLICIT in plane.pending:
        return broken("trust", why)
    return broken("trust", why, commands.let_edit(own_role, role))


def blocked(role: RoleArn, policy: TrustPolicy, shared: Shared, *, has_room: bool) -> Finding | None:
    """What keeps anybody from writing a role's trust policy, if something does."""
    for place, principal in policy.dangling_principals():
        why = f"{place} of {role} names {principal}, which was deleted: IAM refuses every change until it goes"
        mended = without_principal(policy, place, principal, shared.installation.own_in(role))
        return broken("trust", why, commands.write_policy(role, mended))
    if has_room:
        return None
    stale = shared.removable.get(role, 0)
    full = f"{role} has no room for it ({policy.size()} of {shared.account.quota} characters)"
    if stale:
        why = f"{full}, but holds {stale} that nobody wants any more"
        return broken("trust", why, commands.apply(shared.options, "--approve"))
    fix = _raise_quota(shared)
    way_out = "raise the quota, or" if fix else "AWS is not known to give more:"
    return broken("trust", f"{full}; {way_out} add a role to the binding", fix)


def check_room(role: RoleArn, policy: TrustPolicy, shared: Shared) -> Iterator[Finding]:
    """How many subjects more fit into its trust policy."""
    fit = room(policy, shared.installation.own_in(role), shared.account.quota)
    used = f"{policy.size()} of {shared.account.quota} characters"
    if fit < _LITTLE_ROOM:
        yield note("room", f"{role.name} has room for {fit} more ({used})", _raise_quota(shared))
    else:
        yield ok("room", f"{role.name} has room for {fit} more ({used})")


def _raise_quota(shared: Shared) -> str | None:
    """A command that asks for more, as long as AWS is known to give more."""
    more = min(max(4096, 2 * shared.account.quota), _MOST_KNOWN)
    return commands.raise_quota(more) if more > shared.account.quota else None


def _others(policy: TrustPolicy, role: RoleArn, shared: Shared) -> list[dict[str, object]]:
    own = shared.installation.own_in(role)
    return [statement for statement in policy.statements if not own.owns(statement)]
