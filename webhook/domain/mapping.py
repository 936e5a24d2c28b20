"""ServiceAccounts whose binding is not what somebody may think: none, more than one, or another role by hand."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from webhook.domain.decisions import Account, Ignore, IgnoreReason, Refuse, decide
from webhook.domain.names import Subject

if TYPE_CHECKING:
    from collections.abc import Iterator

    from webhook.domain.bindings import Binding
    from webhook.domain.names import RoleArn
    from webhook.domain.snapshot import ClusterSnapshot


class ProblemKind(StrEnum):
    """What only a person can mend; of notes, what a person may want to know."""

    UNREAD = "role not read"
    FULL = "no room"
    DENIED = "denied"
    DANGLING = "deleted principal"
    FOREIGN_ANNOTATION = "foreign annotation"
    NOT_SELECTED = "no binding"
    AMBIGUOUS = "more than one binding"


@dataclass(frozen=True, slots=True)
class Problem:
    """One of them, in a sentence that says what to do."""

    kind: ProblemKind
    message: str
    subject: Subject | None = None
    role: RoleArn | None = None


def mapping_problems(cluster: ClusterSnapshot, bindings: tuple[Binding, ...]) -> Iterator[Problem]:
    """ServiceAccounts that name a role which their binding, or none, does not give them."""
    ours = {role.value: role for binding in bindings for role in binding.roles}
    for account in _live_accounts(cluster):
        decision = decide(account, cluster.namespaces.get(account.namespace), bindings)
        subject = Subject(account.namespace, account.name)
        if isinstance(decision, Refuse):
            yield Problem(ProblemKind.FOREIGN_ANNOTATION, decision.reason, subject)
        elif isinstance(decision, Ignore) and decision.reason is IgnoreReason.FOREIGN_ROLE:
            yield Problem(ProblemKind.FOREIGN_ANNOTATION, str(decision.warning), subject)
        elif decision == Ignore(IgnoreReason.NOT_BOUND) and (role := ours.get(account.role_annotation or "")):
            why = (
                f"its annotation names {role}, but no binding selects it: label the namespace so that one does, "
                "or remove the annotation"
            )
            yield Problem(ProblemKind.NOT_SELECTED, why, subject, role)


def mapping_notes(cluster: ClusterSnapshot, bindings: tuple[Binding, ...]) -> Iterator[Problem]:
    """ServiceAccounts of a bound name that no binding selects, or that several with different roles do."""
    for account in _live_accounts(cluster):
        namespace = cluster.namespaces.get(account.namespace)
        if namespace is None or namespace.terminating:
            continue
        subject = Subject(account.namespace, account.name)
        matching = [
            binding
            for binding in bindings
            if binding.service_account == account.name and binding.selects(namespace.name, namespace.labels)
        ]
        if not matching:
            yield Problem(ProblemKind.NOT_SELECTED, "no binding selects its namespace: left alone", subject)
        elif len({binding.roles for binding in matching}) > 1:
            first, *others = (binding.name for binding in matching)
            why = f"binding {first} decides; {', '.join(others)} would select it too"
            yield Problem(ProblemKind.AMBIGUOUS, why, subject)


def _live_accounts(cluster: ClusterSnapshot) -> list[Account]:
    return [cluster.accounts[key] for key in sorted(cluster.accounts) if not cluster.accounts[key].being_deleted]
