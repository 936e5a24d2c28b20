"""What can be done to a stand-in from outside AWS's own API, and what it tells of what happened."""

import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import msgspec

from rig.aws.associations import Association, EksCluster
from rig.aws.buckets import Bucket, Key, VpcEndpoint
from rig.aws.calls import CallLog, CallRecord
from rig.aws.faults import Fault
from rig.aws.state import State
from rig.aws.switchboard import Switch, Switchboard
from rig.aws.tokens import Jwks
from rig.aws.trust import Write
from rig.aws.violations import LATE_FOR_PODS_S, Violation


class Controls:
    """The controls of one account, usable from any thread."""

    def __init__(self, state: State, switches: Switchboard, log: CallLog) -> None:
        self._state = state
        self._switches = switches
        self._log = log

    @property
    def quota(self) -> int:
        """The size a trust policy may have, in characters that are not white space."""
        return self._state.trust.quota

    @quota.setter
    def quota(self, characters: int) -> None:
        self._state.trust.quota = characters

    @property
    def association_quota(self) -> int:
        """How many Pod Identity associations a cluster may have."""
        return self._state.associations.quota

    @association_quota.setter
    def association_quota(self, count: int) -> None:
        self._state.associations.quota = count

    def add_cluster(self, name: str, issuer: str, *, auto_mode: bool = False) -> str:
        """Have an EKS cluster whose tokens `issuer` signs, and return its ARN."""
        arn = self._state.cluster_arn(name)
        with self._state.lock:
            self._state.associations.clusters[name] = EksCluster(
                name=name, arn=arn, issuer=issuer, created=self._state.clock(), auto_mode=auto_mode
            )
        return arn

    def add_bucket(self, name: str, region: str | None = None, **more: Any) -> Bucket:
        """Have a bucket, by default in the account's region; `my-backups` is there from the start."""
        with self._state.lock:
            found = self._state.buckets[name] = Bucket(name, region or self._state.region, **more)
        return found

    def bucket(self, name: str) -> Bucket:
        """A bucket, to look at and to change."""
        return self._state.buckets[name]

    def add_key(self, policy: str, region: str | None = None) -> Key:
        """Have a KMS key, by default in the account's region."""
        place = f"{region or self._state.region}:{self._state.account}"
        arn = f"arn:{self._state.partition}:kms:{place}:key/{uuid.uuid4()}"
        with self._state.lock:
            found = self._state.keys[arn] = Key(arn, policy)
        return found

    def add_endpoint(self, policy: str) -> VpcEndpoint:
        """Have roles' calls to S3 go through a VPC endpoint, until it is removed from `endpoints`."""
        with self._state.lock:
            name = f"vpce-{uuid.uuid4().hex[:17]}"
            service = f"com.amazonaws.{self._state.region}.s3"
            found = self._state.endpoints[name] = VpcEndpoint(name, service, policy)
        return found

    @property
    def endpoints(self) -> dict[str, VpcEndpoint]:
        """The VPC endpoints of S3, by their ids."""
        return self._state.endpoints

    def associations(self, cluster: str, ago: float = 0.0) -> list[Association]:
        """Return a cluster's Pod Identity associations as they were `ago` seconds ago, oldest first."""
        with self._state.lock:
            return self._state.associations.seen(cluster, ago)

    def known_to_pods(self, cluster: str, lag: float = 0.0) -> list[Association]:
        """Return the associations that EKS's webhook knows, which it learns of `lag` seconds late."""
        is_late = Violation.POD_VARIABLES in self._state.violations
        return self.associations(cluster, lag + (LATE_FOR_PODS_S if is_late else 0.0))

    @property
    def violations(self) -> AbstractSet[Violation]:
        """In which respects it behaves otherwise than AWS is assumed to."""
        return frozenset(self._state.violations)

    @violations.setter
    def violations(self, violations: AbstractSet[Violation]) -> None:
        with self._state.lock:
            self._state.violations.clear()
            self._state.violations |= violations

    @contextmanager
    def violating(self, violation: Violation) -> Iterator[None]:
        """Behave otherwise than AWS is assumed to in one respect, for a `with` block."""
        before = self.violations
        self.violations = before | {violation}
        try:
            yield
        finally:
            self.violations = before

    def addons(self, cluster: str) -> tuple[str, ...]:
        """Return the names of a cluster's add-ons, in the order in which they came."""
        with self._state.lock:
            found = self._state.associations.clusters.get(cluster)
            return tuple(found.addons) if found else ()

    def break_addon(self, cluster: str, addon: str) -> None:
        """Have an add-on's installation fail."""
        with self._state.lock:
            found = self._state.associations.clusters[cluster]
            addons = {**found.addons, addon: "CREATE_FAILED"}
            self._state.associations.clusters[cluster] = msgspec.structs.replace(found, addons=addons)

    def give_to_addon(self, cluster: str, association_id: str, owner_arn: str) -> None:
        """Have an add-on own an association, as one that an add-on's installation made."""
        with self._state.lock:
            found = self._state.associations.find(cluster, association_id)
            if found is None:
                raise ValueError(f"cluster {cluster} has no association {association_id}")
            self._state.associations.keep(msgspec.structs.replace(found, owner_arn=owner_arn))

    def add_issuer(self, issuer: str, jwks: Jwks) -> None:
        """Say where an issuer's signing keys are: a JWKS, a function returning one, or a plain http URL."""
        self._state.issuers.add(issuer, jwks)

    def remove_issuer(self, issuer: str) -> None:
        """Make an issuer's keys unreachable."""
        self._state.issuers.remove(issuer)

    def delete_principal(self, arn: str) -> None:
        """Delete a user or role, of any account: trust policies that name it show its unique id from now on."""
        with self._state.lock:
            role = self._state.principals.delete(arn)
            if role:
                self._state.trust.deleted(role.name)

    def switch_on(self, fault: Fault) -> Switch:
        """Switch a fault on until `switch_off`, `clear_faults`, or its `times` are used up."""
        return self._switches.on(fault)

    def switch_off(self, switch: Switch) -> None:
        """Switch a fault off; calls that hang on it go on."""
        self._switches.off(switch)

    def clear_faults(self) -> None:
        """Switch every fault off."""
        self._switches.clear()

    def fault(self, fault: Fault) -> AbstractContextManager[Switch]:
        """Keep a fault on for a `with` block."""
        return self._switches.during(fault)

    @property
    def faults(self) -> list[Switch]:
        """The faults that are on, in the order they were switched on."""
        return self._switches.active

    def history(self, role: str) -> list[Write]:
        """Return every trust policy ever stored for roles of that name, oldest first."""
        with self._state.lock:
            return self._state.trust.history(role)

    @property
    def log(self) -> list[CallRecord]:
        """Every finished call, in order of completion."""
        return self._log.finished

    @property
    def in_flight(self) -> list[str]:
        """The actions of calls that have arrived and are not answered."""
        return self._log.in_flight

    @property
    def calls(self) -> Counter[tuple[str, str]]:
        """How many finished calls there are of each (action, code)."""
        return self._log.counts

    def count(self, action: str) -> int:
        """Return how many finished calls of an action there are, whatever became of them."""
        return sum(number for (name, _), number in self.calls.items() if name == action)

    def forget_calls(self) -> None:
        """Empty the log; histories stay."""
        self._log.clear()

    def wait_until(self, holds: Callable[[], bool], timeout: float = 10.0) -> None:
        """Return once `holds()`, asked again whenever a call arrives or ends; else raise `TimeoutError`."""
        self._log.wait_until(holds, timeout)
