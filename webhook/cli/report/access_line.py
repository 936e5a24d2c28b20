"""One line of what an auditor asks: who may assume which role, and what there is to say about it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from webhook.iam.trust_policy import Place
    from webhook.model.names import RoleArn


class AccessFinding(StrEnum):
    """What there is to say about one line of the report."""

    AS_WANTED = "as wanted"
    WANTED_NOT_TRUSTED = "wanted, not trusted"
    WANTED_NOT_ASSOCIATED = "wanted, not associated"
    ASSOCIATED_NOT_WANTED = "associated, not wanted"
    ASSOCIATION_OF_OTHERS = "association of others"
    TRUSTED_NOT_WANTED = "trusted, not wanted"
    DENIED = "denied"
    MAY_BE_DENIED = "may be denied"
    CHANGED = "changed by somebody"
    NOT_KNOWN = "not known"
    OTHERS = "somebody else's"
    POD_IDENTITY = "pod identity"
    OTHER_CLUSTER = "another cluster's"
    OTHER_INSTALLATION = "another installation's"
    DEAD_ISSUER = "dead issuer"
    RETIRED_ROLE = "retired role"

    @property
    def is_difference(self) -> bool:
        """Whether somebody should look into it."""
        return self not in {
            AccessFinding.AS_WANTED,
            AccessFinding.OTHERS,
            AccessFinding.ASSOCIATION_OF_OTHERS,
            AccessFinding.POD_IDENTITY,
            AccessFinding.OTHER_CLUSTER,
            AccessFinding.OTHER_INSTALLATION,
        }


@dataclass(frozen=True, slots=True)
class Access:
    """One line: `who` may assume `role`, or should, by the statement at `place`."""

    role: RoleArn
    who: str
    finding: AccessFinding
    why: str
    place: Place | None = None
    namespace: str | None = None
    """The control plane's namespace, for ServiceAccounts of this cluster."""
    issuer: str | None = None
    """The cluster that a statement is for; None where it is for no cluster."""
    association: str | None = None
    """The id of the Pod Identity association by which it may, where it is by one."""
    owner: str | None = None
    """Whose the association is: `ours`, an add-on's ARN, or in words."""
