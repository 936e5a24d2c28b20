"""One running program as far as trust goes: writers and grants over the simulated IAM."""

from __future__ import annotations

from collections import defaultdict
from functools import cache
from typing import TYPE_CHECKING

from tests.support.locks import InProcessLock
from webhook.engine.build import build_engine
from webhook.iam.role_writer import iam_limiter
from webhook.iam.statement import OwnStatement
from webhook.iam.trust_policy import TrustPolicy
from webhook.model.bindings import Binding, Mode
from webhook.model.decisions import Grant
from webhook.model.names import IssuerUrl, RoleArn, Subject
from webhook.model.selectors import NamePattern, NamespaceSelector

if TYPE_CHECKING:
    from collections.abc import Collection

    from tests.support.simulated_iam import Document, SimulatedIam
    from webhook.coordination.lock import RoleLock

ISSUER = IssuerUrl(f"https://oidc.eks.us-west-2.amazonaws.com/id/{'A1' * 16}")
ELSEWHERE = IssuerUrl(f"https://oidc.eks.us-west-2.amazonaws.com/id/{'B2' * 16}")
SERVICE_ACCOUNT = "mxp-controller"
PATIENCE = 3.0
"""Seconds that an admission waits by default."""


def role(name: str = "mxp-backup") -> RoleArn:
    """A role of the one account."""
    return RoleArn(f"arn:aws:iam::123456789012:role/{name}")


def pool(size: int) -> tuple[RoleArn, ...]:
    """Roles of one binding."""
    return tuple(role(f"mxp-backup-{number}") for number in range(size))


def subject(number: int) -> Subject:
    """A control plane's ServiceAccount, with a name as long as they are."""
    return Subject(f"mxp-{number:08d}-0000-4000-8000-000000000000-system", SERVICE_ACCOUNT)


def binding(*roles: RoleArn, mode: Mode = Mode.IRSA) -> Binding:
    """A binding of all control planes to these roles."""
    everywhere = NamespaceSelector(pattern=NamePattern("mxp-*-system"))
    return Binding("backup", SERVICE_ACCOUNT, everywhere, mode, roles)


@cache
def own_in(one: RoleArn) -> OwnStatement:
    """Our statement in a role."""
    return OwnStatement.for_role(one, ISSUER, "mxp-identity")


def external_document(one: RoleArn) -> Document:
    """What a role has before we come: an administrator's statement and another cluster's."""
    neighbour = OwnStatement.for_role(one, ELSEWHERE, "mxp-identity")
    return {
        "Version": "2012-10-17",
        "Id": "made-by-terraform",
        "Statement": [
            {
                "Sid": "Operators",
                "Effect": "Allow",
                "Principal": {"AWS": ["arn:aws:iam::123456789012:root", "arn:aws:iam::210987654321:role/ops"]},
                "Action": "sts:AssumeRole",
            },
            neighbour.render([Subject("mxp-elsewhere-system", SERVICE_ACCOUNT)]),
        ],
    }


class Site:
    """Writers and grants of one program. What the cluster wants of each role is `wanted`."""

    def __init__(self, iam: SimulatedIam, *roles: RoleArn, name: str = "a", lock: RoleLock | None = None) -> None:
        self.iam = iam
        self.roles = roles
        self.binding = binding(*roles)
        self.wanted: defaultdict[RoleArn, list[Subject]] = defaultdict(list)
        self.others: set[Subject] = set()
        policies, lock = iam.client(name), lock or InProcessLock()
        self.limiter = iam_limiter()
        engine = build_engine(roles, own_in, lambda _: policies, lock, lambda _: self, limiter=self.limiter)
        self.writers, self.grants = engine.writers, engine.grants

    def grant(self, account: Subject, annotated: RoleArn | None = None) -> Grant:
        """The grant of a subject of the binding."""
        return Grant(account, self.binding, annotated)

    def wanted_in(self, one: RoleArn) -> list[Subject]:
        """As the port DesiredSubjects says."""
        return self.wanted[one]

    def may_want(self, one: RoleArn, account: Subject) -> bool:
        """As DesiredSubjects says: the binding goes by names alone, so any cluster could want those it fits."""
        fits = self.binding.service_account == account.service_account and self.binding.selects(
            account.namespace, {}
        )
        return fits and one in self.roles

    def may_remove(self, one: RoleArn, account: Subject) -> bool:
        """As the port DesiredSubjects says."""
        return account not in self.wanted[one]

    def seems_unused(self, one: RoleArn, account: Subject) -> bool:
        """As the port DesiredSubjects says."""
        return self.may_remove(one, account)

    def addable_among(self, accounts: Collection[Subject]) -> Collection[Subject]:
        """As the port DesiredSubjects says."""
        return accounts

    def replaced_among(self, accounts: Collection[Subject]) -> Collection[Subject]:
        """As the port DesiredSubjects says."""
        return self.others.intersection(accounts)

    def trusts(self, one: RoleArn, account: Subject) -> bool:
        """Whether IAM trusts the subject in the role now, by our statement."""
        return account in self.trusted_in(one)

    def trusted_in(self, one: RoleArn) -> frozenset[Subject]:
        """Whom our statement in the role trusts now."""
        return TrustPolicy(self.iam.document(one)).subjects(own_in(one))


def site(iam: SimulatedIam, *roles: RoleArn, name: str = "a", lock: RoleLock | None = None) -> Site:
    """A program over roles that exist, with what other people have in them."""
    for one in roles:
        iam.store(one, external_document(one))
    return Site(iam, *roles, name=name, lock=lock)
