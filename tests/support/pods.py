"""A program with one binding in mode pod-identity, over the simulated IAM and EKS."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.locks import InProcessLock
from tests.support.simulated_eks import SimulatedEks
from tests.support.simulated_iam import SimulatedIam
from tests.support.sites import ISSUER, binding, external_document, role
from webhook.engine.build import build_engine
from webhook.iam.statement import OwnStatement, PodStatement
from webhook.model.bindings import Mode
from webhook.model.decisions import Grant
from webhook.model.names import ClusterArn
from webhook.model.selectors import NamePattern
from webhook.podidentity.association import Ownership
from webhook.podidentity.associations import Associations

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from webhook.model.bindings import Binding
    from webhook.model.names import RoleArn, Subject

CLUSTER = ClusterArn("arn:aws:eks:us-west-2:123456789012:cluster/spaces-prod")
OWNER = Ownership(CLUSTER, "mxp-identity")
ROLE = role()


def pods_of(binding: Binding) -> PodStatement:
    """A binding's statement."""
    pattern = binding.namespaces.pattern or NamePattern("*")
    return PodStatement(OWNER.installation, binding.name, CLUSTER, binding.service_account, pattern)


PODS = pods_of(binding(ROLE, mode=Mode.POD_IDENTITY))
OWN = OwnStatement.for_role(ROLE, ISSUER, "mxp-identity", (PODS,))


class PodSite:
    """Writer, associations and grants of one program. What the cluster wants is `wanted`."""

    def __init__(
        self,
        iam: SimulatedIam | None = None,
        eks: SimulatedEks | None = None,
        name: str = "a",
        leads_since: Callable[[], float | None] = lambda: 0.0,
    ) -> None:
        self.iam, self.eks = iam or SimulatedIam(), eks or SimulatedEks()
        if iam is None:
            self.iam.store(ROLE, external_document(ROLE))
        self.binding = binding(ROLE, mode=Mode.POD_IDENTITY)
        self.wanted: dict[Subject, RoleArn] = {}
        self.others: set[Subject] = set()
        policies = self.iam.client(name)
        engine = build_engine(
            [ROLE],
            lambda _: OWN,
            lambda _: policies,
            InProcessLock(),
            lambda _: self,
            lambda desired: Associations(self.eks, OWNER, desired, leads_since),
        )
        assert engine.associations
        self.associations = engine.associations
        self.writer, self.grants = engine.writers[ROLE], engine.grants

    def grant(self, account: Subject) -> Grant:
        """The grant of a subject of the binding."""
        return Grant(account, self.binding)

    def wanted_associations(self) -> dict[Subject, RoleArn]:
        """As the port DesiredAssociations says."""
        return self.wanted

    def may_dissociate(self, account: Subject, one: RoleArn | None) -> bool:  # noqa: ARG002  the port's signature
        """As the port DesiredAssociations says."""
        return account not in self.wanted

    def was_replaced(self, account: Subject) -> bool:
        """As the port DesiredAssociations says."""
        return account in self.others

    def replaced_among(self, accounts: Collection[Subject]) -> Collection[Subject]:
        """As the port DesiredSubjects says."""
        return self.others.intersection(accounts)

    def wanted_in(self, one: RoleArn) -> list[Subject]:  # noqa: ARG002  the port's signature
        """As the port DesiredSubjects says: the role names no subject."""
        return []

    def may_want(self, one: RoleArn, account: Subject) -> bool:  # noqa: ARG002  the port's signature
        """As the port DesiredSubjects says."""
        return False

    def seems_unused(self, one: RoleArn, account: Subject) -> bool:  # noqa: ARG002  the port's signature
        """As the port DesiredSubjects says."""
        return False

    def may_add(self, account: Subject) -> bool:  # noqa: ARG002  the port's signature
        """As the port DesiredAssociations says."""
        return True

    def addable_among(self, accounts: Collection[Subject]) -> Collection[Subject]:
        """As the port DesiredSubjects says."""
        return accounts

    def may_remove(self, one: RoleArn, account: Subject) -> bool:  # noqa: ARG002  the port's signature
        """As the port DesiredSubjects says."""
        return False
