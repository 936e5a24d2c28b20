"""What to do about one ServiceAccount: nothing, give it a role, or refuse it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from webhook.model.bindings import Binding, ExistingAnnotation, first_match, is_listed, possible_matches
from webhook.model.errors import InvalidNameError
from webhook.model.names import RoleArn, Subject

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


@dataclass(frozen=True, slots=True)
class LiveNamespace:
    """A namespace as the API server has it. Only this gives authority, never what a review says about it."""

    name: str
    uid: str
    labels: Mapping[str, str]
    terminating: bool = False
    created: float = 0.0
    """When, in seconds since 1970 by the API server's clock."""

    def staying(self) -> LiveNamespace:
        """The same as if it were not being deleted."""
        return replace(self, terminating=False) if self.terminating else self


@dataclass(frozen=True, slots=True)
class Account:
    """A ServiceAccount as far as decisions need it; an empty annotation is no annotation."""

    namespace: str
    name: str
    role_annotation: str | None = None
    being_deleted: bool = False


AccountKey = tuple[str, str]
"""Namespace and name."""


_ARN_LIMIT = 120
"""Characters of an annotation that a message shows."""


class IgnoreReason(StrEnum):
    """Why a ServiceAccount is left alone."""

    NOT_BOUND = "not_bound"
    NO_SUCH_NAMESPACE = "no_such_namespace"
    NAMESPACE_TERMINATING = "namespace_terminating"
    BEING_DELETED = "being_deleted"
    NOT_A_NAME = "not_a_name"
    EXTERNAL_ROLE = "external_role"


@dataclass(frozen=True, slots=True)
class Ignore:
    """Leave it alone; `warning` is for the person who created it."""

    reason: IgnoreReason
    warning: str | None = None


@dataclass(frozen=True, slots=True)
class Grant:
    """Give it a role of `binding`; `annotated` is the one among them that its annotation names already."""

    subject: Subject
    binding: Binding
    annotated: RoleArn | None = None

    @property
    def roles_in_order(self) -> tuple[RoleArn, ...]:
        """The binding's roles as the subject tries them: the annotated one first."""
        if len(self.binding.roles) == 1:
            return self.binding.roles
        order = self.binding.roles_in_order(self.subject)
        return tuple(sorted(order, key=lambda role: role != self.annotated))

    @property
    def role_of_pods(self) -> RoleArn | None:
        """The role that a new pod carries by the annotation; None where it names none, or does not decide."""
        return self.annotated if self.binding.annotates else None

    @property
    def may_have_identity(self) -> bool:
        """Whether the cluster's part of its identity is there. If not, only a change in the cluster helps."""
        return self.binding.associates or self.annotated is not None


@dataclass(frozen=True, slots=True)
class Refuse:
    """Do not let it be created; `reason` is for the person who tried."""

    reason: str
    instead: Grant | None = None
    """What is done about a ServiceAccount that is there already, and cannot be refused."""


Decision = Ignore | Grant | Refuse


def decide(account: Account, namespace: LiveNamespace | None, bindings: tuple[Binding, ...]) -> Decision:
    """Decide about `account` in `namespace`, which is None where there is none of that name.

    A namespace of another name decides nothing about it.
    """
    try:
        subject = Subject(account.namespace, account.name)
    except InvalidNameError:
        return Ignore(IgnoreReason.NOT_A_NAME)
    if account.being_deleted:
        return Ignore(IgnoreReason.BEING_DELETED)
    if namespace is None or namespace.name != account.namespace:
        return Ignore(IgnoreReason.NO_SUCH_NAMESPACE)
    if namespace.terminating:
        return Ignore(IgnoreReason.NAMESPACE_TERMINATING)
    binding = first_match(bindings, account.name, namespace.name, namespace.labels)
    if binding is None:
        return Ignore(IgnoreReason.NOT_BOUND)
    return _by_annotation(account, subject, binding, bindings)


def decide_existing(account: Account, namespace: LiveNamespace | None, bindings: tuple[Binding, ...]) -> Decision:
    """Decide about an `account` that is there already, or will be: it cannot be refused, but may be corrected."""
    decision = decide(account, namespace, bindings)
    return decision.instead if isinstance(decision, Refuse) and decision.instead else decision


def wanted_grants(
    namespaces: Iterable[LiveNamespace],
    accounts: Mapping[AccountKey, Account],
    bindings: tuple[Binding, ...],
) -> list[Grant]:
    """The grants for all selected namespaces, in order of namespace and ServiceAccount.

    A selected namespace counts before its ServiceAccount is there: then the ServiceAccount's review finds its
    grant done.
    """
    names = sorted({binding.service_account for binding in bindings})
    return [
        decision
        for namespace in sorted(namespaces, key=lambda namespace: namespace.name)
        for name in names
        if isinstance(
            decision := decide_existing(
                accounts.get((namespace.name, name), Account(namespace.name, name)), namespace, bindings
            ),
            Grant,
        )
    ]


def refusal_while_terminating(
    account: Account, namespace: LiveNamespace | None, bindings: tuple[Binding, ...]
) -> Refuse | None:
    """The refusal that would be decided if `namespace` were not being deleted.

    Nothing is granted there any more. But until it is gone its ServiceAccounts can be changed, and their tokens
    are valid.
    """
    if namespace is None:
        return None
    decision = decide(account, namespace.staying(), bindings)
    return decision if isinstance(decision, Refuse) else None


def possible_decisions(account: Account, bindings: tuple[Binding, ...]) -> list[Decision]:
    """What could be decided about `account`, whatever labels its namespace has; empty where no binding fits it."""
    try:
        subject = Subject(account.namespace, account.name)
    except InvalidNameError:
        return []
    found = possible_matches(bindings, account.name, account.namespace)
    return [_by_annotation(account, subject, binding, bindings) for binding in found]


def _by_annotation(
    account: Account, subject: Subject, binding: Binding, bindings: tuple[Binding, ...]
) -> Decision:
    annotation = account.role_annotation
    if not annotation:
        return Grant(subject, binding)
    for role in binding.roles:
        if role.value == annotation:
            return Grant(subject, binding, annotated=role)
    return _other_annotation(annotation, Grant(subject, binding), is_external=not is_listed(annotation, bindings))


def _other_annotation(annotation: str, instead: Grant, *, is_external: bool) -> Decision:
    """Decide about an annotation that names a role which the binding does not list.

    A role that another binding lists is not external. Most likely this program wrote the annotation while that
    binding selected the namespace.
    """
    subject, binding = instead.subject, instead.binding
    named = annotation if len(annotation) <= _ARN_LIMIT else annotation[:_ARN_LIMIT] + "..."
    match binding.existing_annotation:
        case ExistingAnnotation.OVERRIDE:
            return instead
        case ExistingAnnotation.DENY:
            return Refuse(
                f"ServiceAccount {subject.namespace}/{subject.service_account} names role {named}, which is not "
                f"among the roles of binding {binding.name}: remove the annotation or name one of them",
                None if is_external else instead,
            )
        case ExistingAnnotation.KEEP:
            if not is_external:
                return instead
            return Ignore(
                IgnoreReason.EXTERNAL_ROLE,
                f"{named} is not a role of binding {binding.name}: left as it is, trust is not managed",
            )


class BindingMatch(StrEnum):
    """How a ServiceAccount of a bound name matches the bindings."""

    BOUND = "bound"
    AMBIGUOUS = "ambiguous"
    """Several bindings that differ in mode or roles select it; the first decides."""
    EXTERNAL_ROLE = "external_role"
    """Its annotation names a role that no binding lists, and its binding keeps it."""
    NOT_SELECTED = "not_selected"
    """It has a bound name, but no binding selects its namespace: perhaps a label is missing."""


def binding_match(
    account: Account, namespace: LiveNamespace | None, bindings: tuple[Binding, ...]
) -> BindingMatch | None:
    """How `account` matches the bindings; None where it is being deleted."""
    decision = decide_existing(account, namespace, bindings)
    if isinstance(decision, Grant):
        return BindingMatch.AMBIGUOUS if len(competing(account, namespace, bindings)) > 1 else BindingMatch.BOUND
    reason = decision.reason if isinstance(decision, Ignore) else IgnoreReason.EXTERNAL_ROLE
    return _BY_REASON.get(reason)


def competing(
    account: Account, namespace: LiveNamespace | None, bindings: tuple[Binding, ...]
) -> tuple[Binding, ...]:
    """The bindings that select `account`, the one that decides first; one for each mode and set of roles."""
    if namespace is None:
        return ()
    found = [
        binding
        for binding in bindings
        if binding.service_account == account.name and binding.selects(namespace.name, namespace.labels)
    ]
    return tuple({(one.mode, frozenset(one.roles)): one for one in reversed(found)}.values())[::-1]


_BY_REASON = {
    IgnoreReason.NOT_BOUND: BindingMatch.NOT_SELECTED,
    IgnoreReason.EXTERNAL_ROLE: BindingMatch.EXTERNAL_ROLE,
}
