"""A program with one binding in mode pod-identity, over the simulated IAM and EKS."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.locks import InProcessLock
from tests.support.simulated_eks import SimulatedEks
from tests.support.simulated_iam import SimulatedIam
from tests.support.sites import ISSUER, binding, foreign_document, role
from webhook.engine.grants import Grants
from webhook.iam.pod_statement import PodStatement
from webhook.iam.role_writer import RoleWriter
from webhook.iam.statement import OwnStatement
from webhook.model.bindings import Mode
from webhook.model.decisions import Grant
from webhook.model.names import ClusterArn
from webhook.model.selectors import NamePattern
from webhook.podidentity.association import Ownership
from webhook.podidentity.associations import Associations

if TYPE_CHECKING:
    from collections.abc import Callable

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
            self.iam.store(ROLE, foreign_document(ROLE))
        self.binding = binding(ROLE, mode=Mode.POD_IDENTITY)
        self.wanted: dict[Subject, RoleArn] = {}
        self.writer = RoleWriter(ROLE, lambda _: OWN, self.iam.client(name), InProcessLock(), self)
        self.others: set[Subject] = set()
        self.associations = Associations(self.eks, OWNER, self, leads_since)
        self.grants = Grants({ROLE: self.writer}, self.associations)

    def grant(self, who: Subject) -> Grant:
        """The grant of a subject of the binding."""
        return Grant(who, self.binding)

    def wanted_associations(self) -> dict[Subject, RoleArn]:
        """As the port DesiredAssociations says."""
        return self.wanted

    def may_dissociate(self, who: Subject, one: RoleArn | None) -> bool:  # noqa: ARG002  the port's signature
        """As the port DesiredAssociations says."""
        return who not in self.wanted

    def was_replaced(self, who: Subject) -> bool:
        """As the port DesiredAssociations says."""
        return who in self.others

    def wanted_in(self, one: RoleArn) -> list[Subject]:  # noqa: ARG002  the port's signature
        """As the port Demand says: nobody is named in the role."""
        return []

    def may_want(self, one: RoleArn, who: Subject) -> bool:  # noqa: ARG002  the port's signature
        """As the port Demand says."""
        return False

    def seems_unused(self, one: RoleArn, who: Subject) -> bool:  # noqa: ARG002  the port's signature
        """As the port Demand says."""
        return False

    def may_add(self, who: Subject) -> bool:  # noqa: ARG002  the port's signature
        """As the port Demand says."""
        return True

    def is_another(self, one: RoleArn, who: Subject) -> bool:  # noqa: ARG002  the port's signature
        """As the port Demand says."""
        return False

    def may_leave(self, one: RoleArn, who: Subject) -> bool:  # noqa: ARG002  the port's signature
        """As the port Demand says."""
        return False
