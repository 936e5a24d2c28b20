"""What is found of the trust policies of all roles, whichever control plane uses them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from webhook.cli import suggested_commands as commands
from webhook.cli.judgement import wider_than_wanted
from webhook.cli.trust_statements import (
    FIRST_OF_SETUP,
    begins_with_denial,
    names_in,
    principals_of,
    without_denial,
)
from webhook.cli.verify.findings import Check, Finding, broken, note
from webhook.iam.statement import SERVICE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from webhook.cli.verify.findings import Shared
    from webhook.iam.trust_policy import Statement


_RECENT, _MANY_REPAIRS = 3600.0, 3
"""Seconds, and repairs: an edit by hand is repaired once."""


def check_other_writers(shared: Shared) -> Iterator[Finding]:
    """The roles whose managed statement another program keeps removing or changing."""
    for role, times in sorted(shared.repairs.items()):
        recent = sum(shared.now - time < _RECENT for time in times)
        if recent >= _MANY_REPAIRS:
            yield broken(
                Check.TRUST_POLICY,
                f"the managed statement of {role} was repaired {recent} times in the last hour: another program "
                "writes the whole trust policy, and denies control planes in between. CloudTrail's "
                "UpdateAssumeRolePolicy names it. Have it leave the trust policy alone "
                "(docs/use/guides/gitops.md)",
            )


def check_first_statements(shared: Shared) -> Iterator[Finding]:
    """A finding for each role that an earlier `setup` made, and that still begins with its Deny.

    It breaks bindings in mode pod-identity, and hinders all others on their way there.
    """
    associated = {role for one in shared.installation.bindings if one.associates for role in one.roles}
    for role, policy in sorted(shared.account.policies.items()):
        if not begins_with_denial(policy):
            continue
        why = (
            f"{role} was made by an earlier setup: its statement {FIRST_OF_SETUP['Sid']} denies EKS, so that no "
            "pod gets it by an association; the fix replaces the policy as it was read, setup removes that alone, "
            "under the role's lock"
        )
        fix = commands.write_policy(role, without_denial(policy, shared.installation.own_in(role)))
        finding = broken(Check.ROLE, why, fix) if role in associated else note(Check.ROLE, why, fix)
        is_known = "--own-role" in shared.setup_options and role.has_no_path
        yield replace(finding, template=commands.set_up(role, shared.setup_options)) if is_known else finding


def check_wide_trust(shared: Shared) -> Iterator[Finding]:
    """A note for each statement: nothing revokes what it allows, whatever bindings want."""
    for role, policy in sorted(shared.account.policies.items()):
        for place in wider_than_wanted(role, policy, shared.installation):
            why = _why(policy.statements[place.index], shared)
            yield note(Check.TRUST_POLICY, f"{place} of {role} is wider than wanted: {why}")


def _why(statement: Statement, shared: Shared) -> str:
    if SERVICE in principals_of(statement, "Service"):
        return (
            "EKS may assume the role for pods of namespaces, ServiceAccounts or clusters that it does not name; "
            "remove it where a managed statement is beside it, or have it ask for the session tags"
        )
    return (
        f"it allows {', '.join(names_in(statement))}, now and later, whether a binding wants it or not; "
        f"`{commands.adopt(shared.options, '--replace-wildcards')}` prints what would replace it"
    )
