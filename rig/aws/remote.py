"""A stand-in in another process, with the same controls as one in this process.

For benches: what they measure then does not share an interpreter with it.
"""

import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import msgspec

from rig.aws.associations import Association
from rig.aws.callers import Credentials
from rig.aws.calls import CallRecord
from rig.aws.control_messages import About, AssociationQuota, Cluster, Issuer, Principal, Quota, SwitchState
from rig.aws.endpoint import Endpoint
from rig.aws.faults import Fault
from rig.aws.trust import Write
from rig.aws.violations import Violation

_REPOSITORY = Path(__file__).parents[2]
_TIMEOUT = 10.0
_POLL = 0.02
_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))

T = TypeVar("T")


class RemoteStandIn(Endpoint):
    """The controls of a stand-in at `url`. Raises `OSError` when nothing answers, `ValueError` when it refuses."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        about = self._ask("GET", "about", About)
        self.account, self.region = about.account, about.region
        self.root = Credentials(about.access_key_id, about.secret_access_key)

    @property
    def quota(self) -> int:
        """The size a trust policy may have, in characters that are not white space."""
        return self._ask("GET", "about", About).quota

    @quota.setter
    def quota(self, characters: int) -> None:
        self._ask("PUT", "quota", None, Quota(characters))

    @property
    def association_quota(self) -> int:
        """How many Pod Identity associations a cluster may have."""
        return self._ask("GET", "about", About).association_quota

    @association_quota.setter
    def association_quota(self, count: int) -> None:
        self._ask("PUT", "association-quota", None, AssociationQuota(count))

    def add_cluster(self, name: str, issuer: str) -> str:
        """Have an EKS cluster whose tokens `issuer` signs, and return its ARN."""
        return self._ask("PUT", "clusters", str, Cluster(name, issuer))

    def associations(self, cluster: str, ago: float = 0.0) -> list[Association]:
        """Return a cluster's Pod Identity associations as they were `ago` seconds ago, oldest first."""
        return self._ask("GET", f"associations/{quote(cluster)}/{ago}", list[Association])

    def add_issuer(self, issuer: str, jwks: str | Mapping[str, Any]) -> None:
        """Say where an issuer's signing keys are: a JWKS, or a plain http URL of one."""
        self._ask("PUT", "issuers", None, Issuer(issuer, jwks if isinstance(jwks, str) else dict(jwks)))

    def remove_issuer(self, issuer: str) -> None:
        """Make an issuer's keys unreachable."""
        self._ask("PUT", "issuers", None, Issuer(issuer, None))

    def delete_principal(self, arn: str) -> None:
        """Delete a user or role: trust policies that name it show its unique id from now on."""
        self._ask("POST", "deleted-principals", None, Principal(arn))

    @property
    def violations(self) -> AbstractSet[Violation]:
        """In which respects it behaves otherwise than AWS is assumed to."""
        return frozenset(self._ask("GET", "violations", set[Violation]))

    @violations.setter
    def violations(self, violations: AbstractSet[Violation]) -> None:
        self._ask("PUT", "violations", None, sorted(violations))

    @property
    def faults(self) -> list[SwitchState]:
        """The faults that are on, in the order they were switched on."""
        return self._ask("GET", "faults", list[SwitchState])

    def switch_on(self, fault: Fault) -> SwitchState:
        """Switch a fault on until `switch_off`, `clear_faults`, or its `times` are used up."""
        return self._ask("POST", "faults", SwitchState, fault)

    def switch_off(self, switch: SwitchState) -> None:
        """Switch a fault off; calls that hang on it go on."""
        self._ask("DELETE", f"faults/{switch.number}", None)

    def clear_faults(self) -> None:
        """Switch every fault off."""
        self._ask("DELETE", "faults", None)

    @contextmanager
    def fault(self, fault: Fault) -> Iterator[SwitchState]:
        """Keep a fault on for a `with` block."""
        switch = self.switch_on(fault)
        try:
            yield switch
        finally:
            self.switch_off(switch)

    def history(self, role: str) -> list[Write]:
        """Return every trust policy ever stored for roles of that name, oldest first."""
        return self._ask("GET", f"history/{quote(role)}", list[Write])

    @property
    def log(self) -> list[CallRecord]:
        """Every finished call, in order of completion."""
        return self._ask("GET", "log", list[CallRecord])

    @property
    def in_flight(self) -> list[str]:
        """The actions of calls that have arrived and are not answered."""
        return self._ask("GET", "in-flight", list[str])

    @property
    def calls(self) -> Counter[tuple[str, str]]:
        """How many finished calls there are of each (action, code)."""
        return Counter((record.action, record.code) for record in self.log)

    def count(self, action: str) -> int:
        """Return how many finished calls of an action there are, whatever became of them."""
        return sum(record.action == action for record in self.log)

    def forget_calls(self) -> None:
        """Empty the log; histories stay."""
        self._ask("DELETE", "log", None)

    def wait_until(self, holds: Callable[[], bool], timeout: float = 10.0) -> None:
        """Return once `holds()`, asked again and again; else raise `TimeoutError`."""
        deadline = time.monotonic() + timeout
        while not holds():
            if time.monotonic() >= deadline:
                raise TimeoutError(f"the calls so far: {dict(self.calls)}, on their way: {self.in_flight}")
            time.sleep(_POLL)

    def _ask(self, method: str, path: str, kind: type[T] | None, body: Any = None) -> T:
        request = urllib.request.Request(
            f"{self.url}/_standin/{path}",
            method=method,
            data=None if body is None else msgspec.json.encode(body),
        )
        try:
            with _direct.open(request, timeout=_TIMEOUT) as response:
                return msgspec.json.decode(response.read(), type=kind)
        except urllib.error.HTTPError as error:
            raise ValueError(f"{method} {path}: {error.read().decode()}") from error


@contextmanager
def launch(*options: str) -> Iterator[RemoteStandIn]:
    """Run a stand-in in a process of its own, `options` as for `python -m rig.aws`, for a `with` block."""
    command = [sys.executable, "-m", "rig.aws", *options]
    process = subprocess.Popen(command, cwd=_REPOSITORY, stdout=subprocess.PIPE, text=True)
    try:
        line = process.stdout.readline() if process.stdout else ""
        if not line:
            raise OSError(f"the stand-in ended with {process.wait()} before it served")
        yield RemoteStandIn(line.split()[-1])
    finally:
        process.terminate()
        process.wait(timeout=_TIMEOUT)
        if process.stdout:
            process.stdout.close()
