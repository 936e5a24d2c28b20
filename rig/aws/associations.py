"""The Pod Identity associations of all clusters over time: what there is, and what a reader sees."""

import secrets
import string
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import msgspec

from rig.aws.calls import Clock

DEFAULT_QUOTA = 5000
"""Associations that a cluster may have (EKS user guide, Pod Identity considerations)."""

_ID_CHARACTERS = string.ascii_lowercase + string.digits
_ID_LENGTH = 17


class EksCluster(msgspec.Struct, frozen=True, kw_only=True):
    """A cluster as EKS knows it: its name, and who issues its tokens."""

    name: str
    arn: str
    issuer: str
    created: float
    auto_mode: bool = False
    """Whether its nodes have the agent without an add-on."""
    addons: Mapping[str, str] = {}
    """The status of each."""


class Association(msgspec.Struct, frozen=True, kw_only=True):
    """One association. Times are seconds on the stand-in's clock; `owner_arn` is the add-on's that owns it."""

    cluster: str
    id: str
    arn: str
    namespace: str
    service_account: str
    role_arn: str
    tags: Mapping[str, str]
    created: float
    modified: float
    owner_arn: str | None = None
    disable_session_tags: bool = False
    target_role_arn: str | None = None
    policy: str | None = None
    token: str = ""


@dataclass(frozen=True, slots=True)
class _Version:
    """An association as it was from `at` on, or None: gone."""

    at: float
    association: Association | None


class Associations:
    """Clusters and every association that they ever had. `quota` is how many a cluster may have."""

    def __init__(self, clock: Clock, quota: int = DEFAULT_QUOTA) -> None:
        self.quota = quota
        self.clusters: dict[str, EksCluster] = {}
        self._clock = clock
        self._versions: defaultdict[str, dict[str, list[_Version]]] = defaultdict(dict)

    def new_id(self) -> str:
        """Return an id as EKS gives them: `a-` and 17 lower-case letters and digits."""
        return "a-" + "".join(secrets.choice(_ID_CHARACTERS) for _ in range(_ID_LENGTH))

    def keep(self, association: Association) -> None:
        """Store a new association or a new version of one."""
        versions = self._versions[association.cluster].setdefault(association.id, [])
        versions.append(_Version(self._clock(), association))

    def remove(self, association: Association) -> None:
        """Store that an association is gone."""
        self._versions[association.cluster][association.id].append(_Version(self._clock(), None))

    def seen(self, cluster: str, ago: float = 0.0) -> list[Association]:
        """Return the associations of a cluster as they were `ago` seconds ago, oldest first."""
        return list(self._seen(cluster, ago))

    def find(self, cluster: str, association_id: str, ago: float = 0.0) -> Association | None:
        """Return one association as it was `ago` seconds ago."""
        return self._at(self._versions[cluster].get(association_id, []), ago)

    def of(self, cluster: str, namespace: str, service_account: str, ago: float = 0.0) -> Association | None:
        """Return the association of a ServiceAccount as it was `ago` seconds ago."""
        wanted = (namespace, service_account)
        return next(
            (one for one in self._seen(cluster, ago) if (one.namespace, one.service_account) == wanted), None
        )

    def _seen(self, cluster: str, ago: float) -> Iterator[Association]:
        for versions in self._versions[cluster].values():
            if (found := self._at(versions, ago)) is not None:
                yield found

    def _at(self, versions: list[_Version], ago: float) -> Association | None:
        limit = self._clock() - ago if ago else float("inf")
        seen = next((one for one in reversed(versions) if one.at <= limit), None)
        return seen.association if seen else None
