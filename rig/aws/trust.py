"""The trust policies of all roles over time: what was written, when, by whom, and what a reader sees."""

import copy
import re
from collections import defaultdict
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

import msgspec
from moto.iam.models import Role

from rig.aws.calls import Clock
from rig.aws.errors import AwsError, validation_error
from rig.aws.faults import Reorder, Stale
from rig.aws.normal_form import reordered, without_last_elements
from rig.aws.policy import MalformedPolicyError, check_trust_policy
from rig.aws.principals import Principals
from rig.aws.violations import LATE_S, Violation

PARSER_CAP = 131072
_SECRETLY_LESS = 10
_CHARACTERS = re.compile(r"[\t\n\r\u0020-\u00ff]+")


class Write(msgspec.Struct, frozen=True, kw_only=True):
    """A trust policy that was stored, the document as it was sent. `at` is seconds on the stand-in's clock."""

    role: str
    document: str
    at: float
    caller: str
    request_id: str
    action: str


@dataclass(frozen=True, slots=True)
class Version:
    """A role as it was from `at` on: the stored document (principals as ids), or no role."""

    at: float
    role: Role | None = None
    stored: str = ""


class TrustPolicies:
    """Every trust policy ever stored. `quota` counts characters that are not white space."""

    def __init__(
        self, principals: Principals, clock: Clock, quota: int, violations: AbstractSet[Violation] = frozenset()
    ) -> None:
        self.quota = quota
        self._violations = violations
        self._principals = principals
        self._clock = clock
        self._versions: dict[str, list[Version]] = defaultdict(list)
        self._writes: dict[str, list[Write]] = defaultdict(list)

    def check(self, parameter: str, document: str) -> str:
        """Return the form to store. Raises ValidationError, MalformedPolicyDocument or LimitExceeded (409)."""
        if not 1 <= len(document) <= PARSER_CAP:
            limit = f"less than or equal to {PARSER_CAP}" if document else "greater than or equal to 1"
            raise validation_error(
                f"1 validation error detected: Value at '{parameter}' failed to satisfy constraint: "
                f"Member must have length {limit}"
            )
        if not _CHARACTERS.fullmatch(document):
            raise validation_error(
                f"The specified value for {parameter} is invalid. It must contain only printable ASCII characters."
            )
        try:
            check_trust_policy(document)
            stored = self._principals.to_ids(document)
        except MalformedPolicyError as error:
            raise AwsError("MalformedPolicyDocument", str(error)) from error
        if self._counted(document) > self._enforced:
            is_other = Violation.QUOTA_ERROR in self._violations
            code, status = ("MalformedPolicyDocument", 400) if is_other else ("LimitExceeded", 409)
            raise AwsError(code, f"Cannot exceed quota for ACLSizePerRole: {self.quota}", status)
        return stored

    def _counted(self, document: str) -> int:
        return len(document if Violation.WHITE_SPACE in self._violations else "".join(document.split()))

    @property
    def _enforced(self) -> int:
        return self.quota - (_SECRETLY_LESS if Violation.QUOTA_VALUE in self._violations else 0)

    def late(self, violation: Violation, stale: Stale | None) -> Stale | None:
        """Return how old a read is: as its switch says, or as the violated assumption has it."""
        return Stale(seconds=LATE_S) if violation in self._violations else stale

    def written(self, role: Role, stored: str, write: Write) -> None:
        """Keep a document that `check` passed."""
        self._writes[role.name].append(write)
        self._versions[role.name].append(Version(write.at, role, stored))

    def deleted(self, name: str) -> None:
        """Note that a role is gone."""
        self._versions[name].append(Version(self._clock()))

    def history(self, name: str) -> list[Write]:
        """Return every document written for roles of that name, oldest first."""
        return list(self._writes[name])

    def version(self, name: str, stale: Stale | None = None) -> Version | None:
        """Return a role as it is, or as it was; None where there was none."""
        limit = self._clock() - stale.seconds if stale else float("inf")
        seen = next((one for one in reversed(self._versions[name]) if one.at <= limit), None)
        return seen if seen and seen.role else None

    def shown(self, version: Version, reorder: Reorder | None = None) -> Role:
        """Return a copy of a role with its document as a reader sees it now."""
        role = copy.copy(version.role)
        if role is None:
            raise ValueError("there is no role to show")
        document = self._principals.to_arns(version.stored)
        role.assume_role_policy_document = reordered(document, reorder.seed) if reorder else document
        if Violation.ARRAY_ORDER in self._violations:
            role.assume_role_policy_document = without_last_elements(role.assume_role_policy_document)
        return role
