"""What `adopt` would do: to the trust policies of bound roles, and to associations that people made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from webhook.cli.adopt.rules import RoleView, adopt_role, relying_on
from webhook.iam.external import ExternalStatements
from webhook.model.bindings import first_match
from webhook.model.control_planes import ControlPlanes
from webhook.model.errors import InvalidNameError
from webhook.model.removal import removal_reason
from webhook.planning.binding_matches import Problem, ProblemKind
from webhook.planning.plan import unread_roles
from webhook.podidentity.association import AssociationAction

if TYPE_CHECKING:
    from collections.abc import Iterator

    from webhook.cli.adopt.rules import RoleAdoption
    from webhook.model.decisions import Grant
    from webhook.model.names import RoleArn, Subject
    from webhook.planning.snapshot import AccountSnapshot, ClusterSnapshot, Installation
    from webhook.podidentity.association import Association, Ownership

Accounts = Mapping["Subject", "str | None"]
"""All ServiceAccounts of a cluster, and the role that each one's annotation names."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a person asked for."""

    binding: str | None = None
    """The only one whose roles and ServiceAccounts count; None for all."""
    keep: frozenset[str] = frozenset()
    """Sids of statements and ids of associations that stay as they are."""
    replace_wildcards: bool = False


@dataclass(frozen=True, slots=True)
class AssociationLeft:
    """An association of a bound ServiceAccount that stays external, and why."""

    found: Association
    why: str


@dataclass(frozen=True, slots=True)
class Adoption:
    """All of it. `roles` are those with a statement to take over, or that people may want to look at."""

    roles: tuple[RoleAdoption, ...] = ()
    tagged: tuple[Association, ...] = ()
    """Associations that get the tags of managed ones."""
    untagged: tuple[AssociationLeft, ...] = ()
    problems: tuple[Problem, ...] = ()
    planes: ControlPlanes = field(default_factory=ControlPlanes)
    """The names of the control planes."""

    @property
    def has_changes(self) -> bool:
        """Whether there is anything to do."""
        return bool(self.tagged) or any(role.has_changes for role in self.roles)


def check_asked(asked: Asked, installation: Installation, account: AccountSnapshot) -> None:
    """Raise InvalidNameError for a binding that there is not, or something to keep that there is not."""
    names = [binding.name for binding in installation.bindings]
    if asked.binding is not None and asked.binding not in names:
        raise InvalidNameError(f'no binding "{asked.binding}"; available: {", ".join(names)}')
    described = account.associations.described.values() if account.associations else ()
    sids = {
        place.sid
        for role, policy in account.policies.items()
        for place, _ in policy.external(installation.own_in(role))
        if place.sid
    }
    if unknown := asked.keep - sids - {found.id for found in described}:
        raise InvalidNameError(
            f'--keep: no external statement has the Sid "{min(unknown)}", and no association that id; '
            f"Sids: {', '.join(sorted(sids)) or 'none'}"
        )


def plan_adoption(
    installation: Installation,
    cluster: ClusterSnapshot,
    account: AccountSnapshot,
    accounts: Accounts,
    asked: Asked,
) -> Adoption:
    """What to do. `accounts` need only be there where wildcards are replaced."""
    planning = _Planning(installation, cluster, account, accounts, asked)
    roles = tuple(found for found in planning.roles() if found.taken or found.left)
    tagged, untagged = planning.associations()
    return Adoption(
        roles,
        tuple(tagged),
        tuple(untagged),
        (*unread_roles(account), *planning.problems(roles)),
        ControlPlanes(cluster.namespaces.values()),
    )


@dataclass(frozen=True)
class _Planning:
    installation: Installation
    cluster: ClusterSnapshot
    account: AccountSnapshot
    accounts: Accounts
    asked: Asked

    @cached_property
    def grants(self) -> list[Grant]:
        return self.cluster.grants_due(self.installation)

    @cached_property
    def external(self) -> dict[RoleArn, ExternalStatements]:
        own_in, policies = self.installation.own_in, self.account.policies
        return {role: ExternalStatements(policy, own_in(role)) for role, policy in policies.items()}

    def roles(self) -> Iterator[RoleAdoption]:
        for role in sorted(self.account.policies):
            if any(role in one.roles for one in self.installation.bindings if self._is_asked(one.name)):
                replaces = self.asked.replace_wildcards
                yield adopt_role(self._view(role), self.asked.keep, replace_wildcards=replaces)

    def associations(self) -> tuple[list[Association], list[AssociationLeft]]:
        owner, seen = self.installation.owner, self.account.associations
        tagged: list[Association] = []
        left: list[AssociationLeft] = []
        if owner is None or seen is None:
            return tagged, left
        for grant in self.grants:
            found = seen.described.get(grant.subject)
            if not (grant.binding.associates and self._is_asked(grant.binding.name)) or found is None:
                continue
            if owner.owns(found):
                continue
            if why := self._why_left(found, owner, grant.binding.roles[0]):
                left.append(AssociationLeft(found, why))
            else:
                tagged.append(found)
        return tagged, left

    def problems(self, roles: tuple[RoleAdoption, ...]) -> Iterator[Problem]:
        seen = self.account.associations
        if seen is not None and seen.unread:
            yield Problem(ProblemKind.ASSOCIATIONS_UNREAD, seen.unread)
        for role in roles:
            for place, principal in role.before.dangling_principals() if role.has_changes else ():
                why = (
                    f"{place} names {principal}, which was deleted: remove it, IAM refuses every change until then"
                )
                yield Problem(ProblemKind.DANGLING, why, role=role.role)

    def _is_asked(self, binding: str) -> bool:
        return self.asked.binding in {None, binding}

    def _view(self, role: RoleArn) -> RoleView:
        policy, bindings = self.account.policies[role], self.installation.bindings
        annotating = (one.name for one in bindings if not one.edits_trust and role in one.roles)
        return RoleView(
            role,
            policy,
            self.installation.own_in(role),
            self.account.quota,
            lambda subject: self._why_not(role, subject),
            relying_on(
                role, self.cluster.accounts.values(), self.grants, lambda one: self._reason(role, one) == ""
            ),
            {subject: named == role.value for subject, named in self.accounts.items()},
            next(annotating, ""),
        )

    def _why_not(self, role: RoleArn, subject: Subject) -> str:
        if reason := self._reason(role, subject):
            return reason
        namespace = self.cluster.namespaces[subject.namespace]
        found = first_match(self.installation.bindings, subject.service_account, namespace.name, namespace.labels)
        return f"binding {found.name} selects it" if found and not self._is_asked(found.name) else ""

    def _reason(self, role: RoleArn, subject: Subject) -> str:
        """Why the running program would not keep it in the role's managed statement; empty where it would."""
        reason = removal_reason(
            role,
            subject,
            (self.cluster.namespaces.get(subject.namespace), self.cluster.account(subject)),
            self.installation.bindings,
            may_still_come=self.cluster.is_young(subject.namespace, self.installation.grace),
            trusted_by=lambda other: self._trusts(other, subject),
        )
        return reason.sentence if reason else ""

    def _trusts(self, role: RoleArn, subject: Subject) -> bool:
        policy = self.account.policies.get(role)
        if policy is None:
            return False
        named = subject in policy.subjects(self.installation.own_in(role))
        return named or self.external[role].effects_on(subject).grant is not None

    def _why_left(self, found: Association, owner: Ownership, role: RoleArn) -> str:
        if found.id in self.asked.keep:
            return "it is kept, as --keep says"
        if owner.action_for(found, role) is AssociationAction.CONFLICT:
            return owner.conflict_reason(found, role)
        if found.owner_arn or found.names_an_installation:
            return f"it is {found.origin}"
        return ""
