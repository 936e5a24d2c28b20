"""Which ServiceAccounts of this cluster may assume which role and why, answered from the snapshots alone."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from webhook.cli.judgement import judge_pod_trust, judge_trust, own_place
from webhook.iam.statement import NOBODY
from webhook.iam.trust_policy import is_placeholder
from webhook.planning.snapshot import TrustedSubjects
from webhook.podidentity.association import AssociationAction

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from webhook.cli.judgement import Trust
    from webhook.iam.trust_policy import Place, TrustPolicy
    from webhook.model.decisions import Grant
    from webhook.model.names import RoleArn, Subject
    from webhook.model.removal import RemovalReason
    from webhook.planning.snapshot import AccountSnapshot, ClusterSnapshot, Installation
    from webhook.podidentity.association import Association, Ownership

_PLACEHOLDER = "holds the place of our statement while no subject is trusted: IAM requires a statement"
_GOING = "it is being deleted, and may need its role until it is gone"


class AccessFinding(StrEnum):
    """What one line of the report finds; the values are those of tables and documents."""

    AS_WANTED = "as-wanted"
    WANTED_NOT_TRUSTED = "not-trusted"
    WANTED_NOT_ASSOCIATED = "not-associated"
    ASSOCIATED_NOT_WANTED = "unused-association"
    EXTERNAL_ASSOCIATION = "external-association"
    TRUSTED_NOT_WANTED = "unused-trust"
    DENIED = "denied"
    MAY_BE_DENIED = "may-be-denied"
    CHANGED = "changed-externally"
    NOT_KNOWN = "unknown"
    EXTERNAL = "external"
    WIDE = "wider-than-wanted"
    POD_IDENTITY = "pod-identity"
    OTHER_CLUSTER = "another-cluster"
    OTHER_INSTALLATION = "another-installation"
    DEAD_ISSUER = "dead-issuer"
    RETIRED_ROLE = "retired-role"

    @property
    def is_difference(self) -> bool:
        """Whether a person should look into it."""
        return self not in {
            AccessFinding.AS_WANTED,
            AccessFinding.EXTERNAL,
            AccessFinding.EXTERNAL_ASSOCIATION,
            AccessFinding.POD_IDENTITY,
            AccessFinding.OTHER_CLUSTER,
            AccessFinding.OTHER_INSTALLATION,
        }


class AssociationOwner(StrEnum):
    """Whose an association is; the values are those of tables and documents."""

    THIS_INSTALLATION = "this-installation"
    ADD_ON = "add-on"
    ANOTHER_INSTALLATION = "another-installation"
    EXTERNAL = "external"


@dataclass(frozen=True, slots=True)
class Access:
    """One line: `principal` may assume `role`, or should, by the statement at `place`."""

    role: RoleArn
    principal: str
    finding: AccessFinding
    why: str
    place: Place | None = None
    namespace: str | None = None
    """The control plane's namespace, for ServiceAccounts of this cluster."""
    issuer: str | None = None
    """The cluster that a statement is for; None where it is for no cluster."""
    association: str | None = None
    """The id of the Pod Identity association by which it may, where it is by one."""
    owner: AssociationOwner | None = None
    """The association's owner."""
    owner_arn: str | None = None
    """The add-on that owns the association."""


class Accesses:
    """The lines about ServiceAccounts of this cluster, by the snapshots."""

    def __init__(self, installation: Installation, cluster: ClusterSnapshot, account: AccountSnapshot) -> None:
        self._installation = installation
        self._cluster = cluster
        self._account = account
        self._trusted = TrustedSubjects(account, installation)
        self._grants = cluster.grants_due(installation)

    def lines(self) -> Iterator[Access]:
        """Every ServiceAccount that a binding selects, and every other with trust or an association."""
        granted = [line for grant in self._grants if not grant.binding.associates for line in self._granted(grant)]
        yield from granted
        associating = [grant for grant in self._grants if grant.binding.associates]
        for grant in associating:
            yield from self._associated(grant)
        yield from self._associations_beside({grant.subject for grant in associating})
        shown = {(line.role, line.principal) for line in granted}
        for role, policy in self._account.policies.items():
            yield from self._subjects_beside(role, policy, shown)

    def _line(self, role: RoleArn, subject: Subject, finding: AccessFinding, why: str) -> Access:
        issuer = self._installation.issuer.value
        return Access(role, str(subject), finding, why, None, subject.namespace, issuer)

    def _granted(self, grant: Grant) -> Iterator[Access]:
        """Where it is trusted; where nowhere, the role that it should be trusted in."""
        bound, subject = f"binding {grant.binding.name}", grant.subject
        role = grant.annotated or grant.binding.roles_in_order(subject)[0]
        if not grant.binding.names_subjects:
            why = f"{bound} only annotates: its trust is not managed"
            yield self._line(role, subject, AccessFinding.NOT_KNOWN, why)
            return
        lines = [line for each in grant.binding.roles for line in self._granted_in(each, grant, bound)]
        if lines:
            yield from lines
        elif role in self._account.unread:
            yield self._line(role, subject, AccessFinding.NOT_KNOWN, self._account.unread[role])
        else:
            why = f"{bound} selects it, and no statement allows it"
            yield self._line(role, subject, AccessFinding.WANTED_NOT_TRUSTED, why)

    def _granted_in(self, role: RoleArn, grant: Grant, bound: str) -> Iterator[Access]:
        policy = self._account.policies.get(role)
        if policy is None:
            return
        own, subject = self._installation.own_in(role).without_pods, grant.subject
        trust = judge_trust(policy, own, subject, by_own=self._trusted.lets_in(role, subject))
        allowed = bound if trust.by_own else f"{bound} selects it, and an external statement allows it"
        is_its_role = grant.annotated == role or len(grant.binding.roles) == 1
        if trust.allowed_by is not None or (trust.denied_by is not None and is_its_role):
            yield self._judged(self._line(role, subject, AccessFinding.AS_WANTED, allowed), trust, bound)

    def _judged(self, line: Access, trust: Trust, bound: str) -> Access:
        """A line about what is as wanted, unless the role's trust is not."""
        if trust.denied_by is not None:
            why = f"{bound} selects it, and a Deny denies it, whatever other statements allow"
            return replace(line, finding=AccessFinding.DENIED, why=why, place=trust.denied_by)
        if trust.allowed_by is None:
            why = f"{bound} selects it, and no statement allows EKS to assume the role for its pods"
            return replace(line, finding=AccessFinding.WANTED_NOT_TRUSTED, why=why)
        if trust.may_be_denied_by is not None:
            why = f"{bound} selects it, and a Deny may deny it: only AWS can evaluate its conditions"
            return replace(line, finding=AccessFinding.MAY_BE_DENIED, why=why, place=trust.may_be_denied_by)
        return replace(line, place=trust.allowed_by)

    def _associated(self, grant: Grant) -> Iterator[Access]:
        """How a control plane of mode pod-identity stands with its role, and with another one if it has that."""
        owner, seen = self._installation.owner, self._account.associations
        role, subject, bound = grant.binding.roles[0], grant.subject, f"binding {grant.binding.name}"
        policy = self._account.policies.get(role)
        if owner is None or seen is None or seen.unread or policy is None:
            unread = self._account.unread.get(role) or (seen.unread if seen else "")
            why = unread or "associations were not read"
            yield self._line(role, subject, AccessFinding.NOT_KNOWN, why)
            return
        found = seen.described.get(subject)
        action = owner.action_for(found, role)
        missing = self._line(role, subject, AccessFinding.WANTED_NOT_ASSOCIATED, "")
        if found is None:
            yield replace(missing, why=f"{bound} selects it, and it has no association")
        elif action in {AssociationAction.KEEP, AssociationAction.ACCEPT}:
            why = f"{bound} selects it, and an association {found.origin} gives it the role"
            why = bound if owner.owns(found) else why
            line = _by(self._line(role, subject, AccessFinding.AS_WANTED, why), found, owner)
            statement = self._installation.own_in(role).for_pods_of(grant.binding.name)
            claims = statement.claims_in(subject.namespace) if statement else {}
            yield self._judged(line, judge_pod_trust(policy, claims), bound)
        else:
            why = f"{found.change_from(role)}: the next passes repair it"
            why = owner.conflict_reason(found, role) if action is AssociationAction.CONFLICT else why
            yield _by(replace(missing, why=why), found, owner)
            if (other := found.role_arn) is not None and other != role:
                finding = AccessFinding.CHANGED if owner.owns(found) else AccessFinding.EXTERNAL_ASSOCIATION
                why = f"its association gives it this role, and {bound} wants {role}"
                yield _by(self._line(other, subject, finding, why), found, owner)

    def _associations_beside(self, shown: Collection[Subject]) -> Iterator[Access]:
        """Associations that no grant is for: ours, and others' of roles that bindings name."""
        owner, seen = self._installation.owner, self._account.associations
        if owner is None or seen is None:
            return
        bound = {role.value for one in self._installation.bindings for role in one.roles}
        for subject, found in seen.described.items():
            role = found.role_arn
            if subject in shown or role is None or not (owner.owns(found) or found.role in bound):
                continue
            finding, why = AccessFinding.EXTERNAL_ASSOCIATION, f"association {found.origin}; no binding is for it"
            if owner.owns(found):
                reason = self._cluster.removal_reason(role, subject, self._installation, None)
                finding, why = _unused(AccessFinding.ASSOCIATED_NOT_WANTED, reason)
            yield _by(self._line(role, subject, finding, why), found, owner)

    def _subjects_beside(
        self, role: RoleArn, policy: TrustPolicy, shown: Collection[tuple[RoleArn, str]]
    ) -> Iterator[Access]:
        """Subjects of our statement, where it is as we write it, that no grant is for."""
        own = self._installation.own_in(role).without_pods
        place = own_place(policy, own)
        if place is None or not policy.is_whole(own):
            return
        if is_placeholder(policy.statements[place.index], own):
            yield Access(role, NOBODY, AccessFinding.AS_WANTED, _PLACEHOLDER, place, None, own.issuer.value)
        is_bound = any(role in binding.roles for binding in self._installation.bindings)
        for subject in policy.subjects(own):
            if (role, str(subject)) in shown:
                continue
            finding, why = AccessFinding.RETIRED_ROLE, "no binding names the role"
            if is_bound:
                reason = self._cluster.removal_reason(role, subject, self._installation, self._trusted)
                finding, why = _unused(AccessFinding.TRUSTED_NOT_WANTED, reason)
            yield replace(self._line(role, subject, finding, why), place=place)


def _unused(finding: AccessFinding, reason: RemovalReason | None) -> tuple[AccessFinding, str]:
    """What to think of trust or an association that no grant is for; without a reason it is not removed yet."""
    return (AccessFinding.AS_WANTED, _GOING) if reason is None else (finding, reason.sentence)


def _by(line: Access, found: Association, owner: Ownership) -> Access:
    """A line about access by an association."""
    whose = AssociationOwner.EXTERNAL
    if owner.owns(found):
        whose = AssociationOwner.THIS_INSTALLATION
    elif found.owner_arn is not None:
        whose = AssociationOwner.ADD_ON
    elif found.names_an_installation:
        whose = AssociationOwner.ANOTHER_INSTALLATION
    return replace(line, association=found.id, owner=whose, owner_arn=found.owner_arn)
