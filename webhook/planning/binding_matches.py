"""ServiceAccounts without a binding, with more than one, or with a role that their binding does not give them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from webhook.model.decisions import BindingMatch, Ignore, Refuse, binding_match, competing, decide_existing
from webhook.model.names import Subject

if TYPE_CHECKING:
    from collections.abc import Iterator

    from webhook.model.bindings import Binding
    from webhook.model.decisions import Account
    from webhook.model.names import RoleArn
    from webhook.planning.snapshot import ClusterSnapshot


class ProblemKind(StrEnum):
    """What only a person can fix; of notes, what one may want to know. The values are in documents and logs."""

    UNREAD = "role-not-read"
    FULL = "no-room"
    DENIED = "denied"
    MAY_BE_DENIED = "may-be-denied"
    DANGLING = "deleted-principal"
    EXTERNAL_ANNOTATION = "external-annotation"
    NOT_SELECTED = "no-binding"
    AMBIGUOUS = "several-bindings"
    TAKEN = "association-in-the-way"
    ASSOCIATION_OF_OTHERS = "external-association"
    ASSOCIATIONS_UNREAD = "associations-not-read"
    STATEMENT_CHANGED = "statement-changed"
    STATEMENT_LEFT = "statement-left"


@dataclass(frozen=True, slots=True)
class Problem:
    """One of them, in a sentence that says what to do."""

    kind: ProblemKind
    message: str
    subject: Subject | None = None
    role: RoleArn | None = None


def conflict_problems(cluster: ClusterSnapshot, bindings: tuple[Binding, ...]) -> Iterator[Problem]:
    """ServiceAccounts that name a role which their binding, or none, does not give them."""
    ours = {role.value: role for binding in bindings for role in binding.roles}
    for account, subject, match in _live_accounts(cluster, bindings):
        if match is BindingMatch.EXTERNAL_ROLE:
            decision = decide_existing(account, cluster.namespaces.get(account.namespace), bindings)
            if isinstance(decision, Refuse):
                yield Problem(ProblemKind.EXTERNAL_ANNOTATION, decision.reason, subject)
            elif isinstance(decision, Ignore):
                yield Problem(ProblemKind.EXTERNAL_ANNOTATION, str(decision.warning), subject)
        elif match is BindingMatch.NOT_SELECTED and (role := ours.get(account.role_annotation or "")):
            why = (
                f"its annotation names {role}, but no binding selects it: label the namespace so that one does, "
                "or remove the annotation"
            )
            yield Problem(ProblemKind.NOT_SELECTED, why, subject, role)


def conflict_notes(cluster: ClusterSnapshot, bindings: tuple[Binding, ...]) -> Iterator[Problem]:
    """ServiceAccounts of a bound name that no binding selects, or that several which differ do."""
    ours = {role.value for binding in bindings for role in binding.roles}
    for account, subject, match in _live_accounts(cluster, bindings):
        if match is BindingMatch.NOT_SELECTED and account.role_annotation not in ours:
            yield Problem(ProblemKind.NOT_SELECTED, "no binding selects its namespace: left alone", subject)
        elif match is BindingMatch.AMBIGUOUS:
            first, *others = competing(account, cluster.namespaces.get(account.namespace), bindings)
            names = ", ".join(binding.name for binding in others)
            why = f"binding {first.name} decides because it comes first; {names} would select it too"
            yield Problem(ProblemKind.AMBIGUOUS, why, subject)


def _live_accounts(
    cluster: ClusterSnapshot, bindings: tuple[Binding, ...]
) -> Iterator[tuple[Account, Subject, BindingMatch]]:
    """Those about which the bindings say something, in order."""
    for key in sorted(cluster.accounts):
        account = cluster.accounts[key]
        match = binding_match(account, cluster.namespaces.get(account.namespace), bindings)
        if match is not None:
            yield account, Subject(account.namespace, account.name), match
