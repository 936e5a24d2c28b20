"""Which statements of a role move into the managed one, which wildcards it replaces, and what is left and why.

All that a role's adoption changes is in one write: statements are removed by the same document that names their
ServiceAccounts. So none is without access at any moment, and an interrupted command leaves each role as it was or
as it is to be.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from webhook.cli.adopt.hand_made import read_statement
from webhook.cli.output import short
from webhook.iam.amendment import amend, room
from webhook.iam.evaluation import allows
from webhook.iam.external import ExternalStatements
from webhook.iam.reasons import WAYS_OUT
from webhook.iam.statement import ASSUME_WITH_TOKEN, OwnStatement
from webhook.iam.trust_policy import canonical
from webhook.model.names import Subject

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping

    from webhook.iam.trust_policy import Place, Statement, TrustPolicy
    from webhook.model.decisions import Account, Grant
    from webhook.model.names import RoleArn


@dataclass(frozen=True)
class AdoptingStatement(OwnStatement):
    """The managed statement of a role while it takes over statements that people made.

    To a writer those are former statements of ours: it keeps the ServiceAccounts that they name, and removes them
    in the same write.
    """

    taken: frozenset[Hashable] = frozenset()
    """Their canonical forms: one that is edited in the meantime is external again."""

    @classmethod
    def over(cls, own: OwnStatement, statements: Iterable[Statement]) -> Self:
        """`own` without its statements for pods, which an adoption leaves alone, taking over `statements`."""
        return cls(own.sid, own.provider_arn, own.issuer, taken=frozenset(map(canonical, statements)))

    def takes(self, statement: dict[str, Any]) -> bool:
        """Whether it is one of those that are taken over."""
        return canonical(statement) in self.taken

    def owns(self, statement: dict[str, Any]) -> bool:
        """As OwnStatement promises."""
        return super().owns(statement) or self.takes(statement)

    def is_former(self, statement: dict[str, Any]) -> bool:
        """As OwnStatement promises."""
        return super().is_former(statement) or self.takes(statement)

    def subjects_in(self, statement: dict[str, Any]) -> frozenset[Subject]:
        """As OwnStatement promises; of a wildcard that is replaced, none."""
        if not self.takes(statement):
            return super().subjects_in(statement)
        found = read_statement(statement, self)
        return found.subjects if found and not found.patterns else frozenset()


@dataclass(frozen=True, slots=True)
class RoleView:
    """A role as it was found, and what the cluster says about ServiceAccounts in it."""

    role: RoleArn
    policy: TrustPolicy
    own: OwnStatement
    quota: int
    """Characters of its trust policy."""
    why_not: Callable[[Subject], str]
    """Why a ServiceAccount is not wanted in it; empty where it is."""
    relying: frozenset[Subject]
    """Those that are wanted in it for certain."""
    accounts: Mapping[Subject, bool]
    """All ServiceAccounts of the cluster, and whether each is annotated with the role."""
    only_annotated_by: str = ""
    """A binding in mode annotate that lists it, whose ServiceAccounts no managed statement names."""


@dataclass(frozen=True, slots=True)
class Losing:
    """A ServiceAccount that only a wildcard allows the role."""

    subject: Subject
    is_annotated: bool
    """Whether its annotation names the role, so that its pods use it."""


@dataclass(frozen=True, slots=True)
class Taken:
    """A statement that the managed one takes over."""

    place: Place
    statement: Statement
    subjects: frozenset[Subject]
    """Those that it names, or that the managed statement names in place of its wildcard."""
    patterns: tuple[str, ...] = ()

    @property
    def wildcards(self) -> str:
        """Its patterns, for people."""
        return ", ".join(self.patterns)


@dataclass(frozen=True, slots=True)
class Left:
    """A statement that stays as it is."""

    place: Place
    why: str


@dataclass(frozen=True, slots=True)
class RoleAdoption:
    """What happens to one role's trust policy."""

    role: RoleArn
    own: AdoptingStatement
    before: TrustPolicy
    after: TrustPolicy
    room_before: int
    room_after: int
    """How many ServiceAccounts more fit."""
    taken: tuple[Taken, ...] = ()
    losing: tuple[Losing, ...] = ()
    left: tuple[Left, ...] = ()

    @property
    def has_changes(self) -> bool:
        """Whether there is anything to write."""
        return bool(self.taken)

    @property
    def replaces(self) -> bool:
        """Whether a wildcard is replaced."""
        return any(one.patterns for one in self.taken)


def adopt_role(view: RoleView, keep: Collection[str], *, replace_wildcards: bool) -> RoleAdoption:
    """What the managed statement of a role takes over. `keep` are Sids of statements that stay as they are."""
    exact: list[Taken] = []
    wild: list[Taken] = []
    left: list[Left] = []
    for place, statement in view.policy.external(view.own):
        if (found := read_statement(statement, view.own)) is None:
            continue
        one = Taken(place, statement, found.subjects, found.patterns)
        if place.sid in keep:
            left.append(Left(place, "it is kept, as --keep says"))
        elif found.flaw:
            left.append(Left(place, found.flaw))
        elif found.patterns:
            wild.append(one)
        elif why := _unwanted(found.subjects, view.why_not):
            left.append(Left(place, why))
        else:
            exact.append(one)
    taken, own, after = _move(view, exact, left)
    if wild and replace_wildcards:
        taken, own, after = _replace(view, taken, wild, left) or (taken, own, after)
    elif wild:
        left += [Left(one.place, f"it allows {one.wildcards}: --replace-wildcards replaces it") for one in wild]
    return RoleAdoption(
        view.role,
        own,
        view.policy,
        after,
        room(view.policy, view.own, view.quota),
        room(after, view.own, view.quota),
        tuple(sorted(taken, key=lambda one: one.place.index)),
        tuple(_losing(view, own, after)),
        tuple(sorted(left, key=lambda one: one.place.index)),
    )


def relying_on(
    role: RoleArn, accounts: Iterable[Account], grants: Iterable[Grant], is_wanted: Callable[[Subject], bool]
) -> frozenset[Subject]:
    """The ServiceAccounts that are wanted in `role` for certain: it is annotated, or the only one of a binding.

    One whose binding has several roles has no role before it is annotated. `accounts` are those of bound names.
    """
    annotated = {Subject(one.namespace, one.name) for one in accounts if one.role_annotation == role.value}
    only = {one.subject for one in grants if one.binding.names_subjects and one.binding.roles == (role,)}
    return frozenset(filter(is_wanted, annotated | only))


def objection(
    before: TrustPolicy,
    after: TrustPolicy,
    own: AdoptingStatement,
    relying: Collection[Subject],
    is_wanted: Callable[[Subject], bool],
) -> str:
    """Why `after` must not be written over `before`: a ServiceAccount would lose access, or keep it unseen.

    The plan is minutes old by now, so what the cluster shows at this moment decides. Empty where nothing is wrong.
    """
    trusted = after.subjects(own)
    taken = (own.subjects_in(statement) for statement in before.statements if own.takes(statement))
    for subject in sorted(frozenset().union(*taken)):
        if not is_wanted(subject):
            return f"{short(subject)} is no longer wanted in it: run the command again"
        if subject not in trusted:
            return f"{short(subject)} would lose its access: run the command again"
    for subject in _without_access(before, after, own, sorted(relying)):
        return f"{short(subject)} would lose its access, because there is no room for it: {WAYS_OUT}"
    return ""


def _move(
    view: RoleView, exact: list[Taken], left: list[Left]
) -> tuple[list[Taken], AdoptingStatement, TrustPolicy]:
    own, after = _taking(view, exact)
    if after.size() <= max(view.policy.size(), view.quota):
        return exact, own, after
    why = f"moved, the policy would take {after.size()} characters of {view.quota}: raise IAM quota L-C07B4B0D"
    left += [Left(one.place, why) for one in exact]
    return [], *_taking(view, [])


def _taking(view: RoleView, taken: list[Taken]) -> tuple[AdoptingStatement, TrustPolicy]:
    own = AdoptingStatement.over(view.own, (one.statement for one in taken))
    return own, view.policy.with_subjects(own, view.policy.subjects(own)) if taken else view.policy


def _replace(
    view: RoleView, taken: list[Taken], wild: list[Taken], left: list[Left]
) -> tuple[list[Taken], AdoptingStatement, TrustPolicy] | None:
    """The same with the wildcards replaced; None where they are left, and why is noted."""
    why = ""
    own = AdoptingStatement.over(view.own, (one.statement for one in [*taken, *wild]))
    needed = {
        one.place: frozenset(each for each in view.relying if _allows(one.statement, own, each)) for one in wild
    }
    asked = sorted(frozenset().union(*needed.values()))
    amendment = amend(view.policy, own, frozenset(), asked, view.quota)
    lacking = sum(amendment.finds_no_room_for(subject) for subject in asked)
    if view.only_annotated_by:
        why = f"binding {view.only_annotated_by} only annotates, so its ServiceAccounts need it"
    elif lacking:
        why = (
            f"{lacking} of the {len(asked)} ServiceAccounts that need it have no room in the managed statement: "
            "raise IAM quota L-C07B4B0D (Role trust policy length)"
        )
    if why:
        left += [Left(one.place, f"it allows {one.wildcards}, and {why}") for one in wild]
        return None
    replaced = [Taken(one.place, one.statement, needed[one.place], one.patterns) for one in wild]
    return [*taken, *replaced], own, amendment.policy


def _losing(view: RoleView, own: AdoptingStatement, after: TrustPolicy) -> Iterator[Losing]:
    ordered = sorted(view.accounts, key=lambda subject: (not view.accounts[subject], subject))
    for subject in _without_access(view.policy, after, own, ordered):
        yield Losing(subject, view.accounts[subject])


def _without_access(
    before: TrustPolicy, after: TrustPolicy, own: AdoptingStatement, subjects: Iterable[Subject]
) -> Iterator[Subject]:
    """Those that a statement which is taken over allows, and nothing in `after`; a denied one had no access."""
    gone = [statement for statement in before.statements if own.takes(statement)]
    staying, trusted = ExternalStatements(after, own), after.subjects(own)
    for subject in subjects:
        effects = staying.effects_on(subject)
        is_the_same = subject in trusted or effects.grant is not None or effects.denial is not None
        if not is_the_same and any(_allows(statement, own, subject) for statement in gone):
            yield subject


def _allows(statement: Statement, own: OwnStatement, subject: Subject) -> bool:
    claims = own.claims(subject)
    return bool(allows(statement, "Federated", own.provider_arn, (ASSUME_WITH_TOKEN,), claims))


def _unwanted(subjects: Iterable[Subject], why_not: Callable[[Subject], str]) -> str:
    reasons = ((subject, why_not(subject)) for subject in sorted(subjects))
    return "; ".join(f"{short(subject)}: {why}" for subject, why in reasons if why)
