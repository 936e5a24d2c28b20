"""Roles whose trust policy allows more than the ServiceAccounts that it names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from webhook.cli import suggested_commands as commands
from webhook.cli.judgement import wider_than_wanted
from webhook.cli.statement_words import names_in, principals_of
from webhook.cli.verify.findings import Check, Finding, note
from webhook.iam.statement import SERVICE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from webhook.cli.verify.findings import Shared
    from webhook.iam.trust_policy import Statement


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
