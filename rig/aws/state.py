"""Everything one AWS account remembers."""

import threading

from rig.aws.backend import Backend
from rig.aws.callers import Callers
from rig.aws.calls import Clock
from rig.aws.principals import Principals
from rig.aws.tokens import Issuers
from rig.aws.trust import TrustPolicies


class State:
    """One account. Hold `lock` to change it, or to look at several parts of it at one moment."""

    def __init__(self, number: str, partition: str, clock: Clock, quota: int) -> None:
        self.lock = threading.RLock()
        self.clock = clock
        self.iam = Backend(partition, number)
        self.principals = Principals(self.iam)
        self.trust = TrustPolicies(self.principals, clock, quota)
        self.issuers = Issuers()
        self.callers = Callers(self.iam, clock)
