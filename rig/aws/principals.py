"""Principals as IAM stores them: under their unique ids.

On save an ARN of a user or role becomes its AIDA... or AROA... id, on read the id becomes the ARN again. When the
principal was deleted the id stays visible, matches nobody made anew under the same name, and cannot be saved again
(IAM user guide, reference_policies_elements_principal).
"""

import hashlib
import json
import re
from collections.abc import Callable
from collections.abc import Set as AbstractSet

from moto.iam.models import IAMBackend, Role, User

from rig.aws.policy import MalformedPolicyError
from rig.aws.violations import Violation

_NAMED = re.compile(r"arn:[^:]+:iam::(?P<account>\d{12}):(?P<kind>user|role)/.+")
_UNIQUE_ID = re.compile(r"A(IDA|ROA)[A-Z0-9]+")
_PREFIX = {"user": "AIDA", "role": "AROA"}


class Principals:
    """Who exists: the account's own users and roles, and, until deleted, anybody in other accounts."""

    def __init__(self, iam: IAMBackend, violations: AbstractSet[Violation] = frozenset()) -> None:
        self._iam = iam
        self._violations = violations
        self._elsewhere: dict[str, str] = {}  # id -> ARN
        self._deleted: set[str] = set()

    def to_ids(self, document: str) -> str:
        """Return a document with ids for ARNs. Raises `MalformedPolicyError` for a principal that is nobody."""
        return _rewrite(document, self._id)

    def to_arns(self, document: str) -> str:
        """Return a stored document as a reader sees it."""
        return _rewrite(document, lambda stored: self._arn(stored) or stored)

    def delete(self, arn: str) -> Role | None:
        """Delete a user or role of any account, so that its id shows; return a role of this account.

        Raises `ValueError` for what is no such ARN or, in the account, nobody's.
        """
        if (found := _NAMED.fullmatch(arn)) is None:
            raise ValueError(f"{arn} is not the ARN of an IAM user or role")
        if found["account"] != self._iam.account_id:
            self._deleted.add(arn)
            return None
        principal = self._user_or_role(arn)
        if isinstance(principal, Role):
            return self._iam.roles.pop(principal.id)
        del self._iam.users[principal.name]
        return None

    def _id(self, written: str) -> str:
        found = _NAMED.fullmatch(written)
        if found is None and not _UNIQUE_ID.fullmatch(written):
            return written
        if found is None:
            if self._arn(written) is None and Violation.DELETED_PRINCIPAL not in self._violations:
                raise _invalid(written)
            return written
        if found["account"] == self._iam.account_id:
            return str(self._user_or_role(written).id)
        if written in self._deleted:
            raise _invalid(written)
        unique = _PREFIX[found["kind"]] + hashlib.sha256(written.encode()).hexdigest()[:17].upper()
        self._elsewhere[unique] = written
        return unique

    def _arn(self, stored: str) -> str | None:
        if not _UNIQUE_ID.fullmatch(stored):
            return None
        arn = self._elsewhere.get(stored)
        if arn is not None:
            return None if arn in self._deleted else arn
        return next((str(one.arn) for one in self._own() if one.id == stored), None)

    def _user_or_role(self, arn: str) -> User | Role:
        for one in self._own():
            if one.arn == arn:
                return one
        raise _invalid(arn)

    def _own(self) -> list[User | Role]:
        return [*self._iam.users.values(), *self._iam.roles.values()]


def _invalid(principal: str) -> MalformedPolicyError:
    return MalformedPolicyError(f'Invalid principal in policy: "AWS":"{principal}"')


def _rewrite(document: str, change: Callable[[str], str]) -> str:
    """Apply `change` to every AWS principal; the text stays as it is when nothing changes."""
    parsed = json.loads(document)
    changed = False
    statements = parsed["Statement"] if isinstance(parsed["Statement"], list) else [parsed["Statement"]]
    for statement in statements:
        principal = statement.get("Principal")
        if not isinstance(principal, dict) or "AWS" not in principal:
            continue
        before = principal["AWS"]
        after = [change(one) for one in before] if isinstance(before, list) else change(before)
        principal["AWS"] = after
        changed = changed or after != before
    return json.dumps(parsed, separators=(",", ":"), ensure_ascii=False) if changed else document
