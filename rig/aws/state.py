"""Everything one AWS account remembers."""

import threading
from typing import TYPE_CHECKING

from rig.aws.associations import Associations
from rig.aws.backend import Backend
from rig.aws.buckets import Bucket, Key, VpcEndpoint
from rig.aws.callers import Callers
from rig.aws.calls import Clock
from rig.aws.principals import Principals
from rig.aws.tokens import Issuers
from rig.aws.trust import TrustPolicies

if TYPE_CHECKING:
    from rig.aws.violations import Violation


class State:
    """One account. Hold `lock` to change it, or to look at several parts of it at one moment."""

    def __init__(self, number: str, region: str, partition: str, clock: Clock, quota: int) -> None:
        self.account, self.region, self.partition = number, region, partition
        self.lock = threading.RLock()
        self.clock = clock
        self.violations: set[Violation] = set()
        """In which respects it is not as AWS is assumed to be."""
        self.accepted = 0
        """Tokens that STS should have accepted while it is made to refuse every second one."""
        self.iam = Backend(partition, number)
        self.principals = Principals(self.iam, self.violations)
        self.trust = TrustPolicies(self.principals, clock, quota, self.violations)
        self.issuers = Issuers()
        self.callers = Callers(self.iam, clock)
        self.associations = Associations(clock)
        self.buckets = {"my-backups": Bucket("my-backups", region)}
        self.keys: dict[str, Key] = {}
        self.endpoints: dict[str, VpcEndpoint] = {}

    def cluster_arn(self, name: str) -> str:
        """Return the ARN of a cluster of this account."""
        return f"arn:{self.partition}:eks:{self.region}:{self.account}:cluster/{name}"

    def association_arn(self, cluster: str, association_id: str) -> str:
        """Return the ARN of a Pod Identity association: it names the cluster, but is not below the cluster's."""
        account = f"arn:{self.partition}:eks:{self.region}:{self.account}"
        return f"{account}:podidentityassociation/{cluster}/{association_id}"
