"""A role's trust policy: read, judged, and rewritten without touching what is not ours.

IAM replaces the whole document at each write, reorders arrays and keys, and unwraps one-element lists
(aws-controllers-k8s/community#2875, crossplane-contrib/provider-aws#792). So a policy keeps the document as it
was read, changes only our statement in it, and compares by meaning.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from math import isfinite
from typing import TYPE_CHECKING, Any, Self

from webhook.iam.evaluation import as_list, principals
from webhook.iam.external import ExternalStatements
from webhook.iam.statement import NOBODY
from webhook.model.errors import InvalidPolicyError
from webhook.model.names import Subject
from webhook.model.text import legible

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable

    from webhook.iam.external import Effects
    from webhook.iam.statement import OwnStatement, PodStatement

Statement = dict[str, Any]

# Beyond ASCII it is not known what IAM leaves out: counting it errs on the safe side.
_WHITE_SPACE = re.compile(r"\s", re.ASCII)
_BEYOND_LATIN_1 = re.compile("[^\x00-\xff]")
# A principal that was deleted shows as its unique id (IAM identifiers: AIDA user, AROA role).
_UNIQUE_ID = re.compile(r"A(IDA|ROA)[A-Z0-9]{12,}")
_OLDEST_VERSION = "2008-10-17"
_REPLACEMENT = "\ufffd"

_DEEPEST = 16
"""Levels below a statement. A policy has four: the condition, its operators, their keys, lists of values."""

QUOTES_AND_COMMA = 3
"""Characters that each subject takes in our statement beside its own."""

_EXACT_DIGITS = 15
"""Significant digits that a float keeps of any number."""


@dataclass(frozen=True, slots=True)
class Place:
    """A statement of a policy as a person finds it."""

    index: int
    sid: str | None

    def __str__(self) -> str:
        number = f"statement {self.index + 1}"
        return f"{number} (Sid {legible(self.sid)})" if self.sid else number


@dataclass(frozen=True, slots=True)
class _Parts:
    """The statements of a policy as one of its owners sees them."""

    is_own: list[bool]
    """Of each statement."""
    subjects: frozenset[Subject]
    external: list[tuple[Place, Statement]]


@dataclass(frozen=True)
class TrustPolicy:
    """One trust policy document, never changed in place."""

    document: dict[str, Any]

    @classmethod
    def parse(cls, document: object) -> Self:
        """The policy that IAM's GetRole answered.

        Raises InvalidPolicyError when it is not an object with statements, or could not be written back as it was
        read: such a document is not guessed at.
        """
        if not isinstance(document, dict):
            raise InvalidPolicyError("the trust policy is not a JSON object")
        policy = cls(document)
        if not all(isinstance(statement, dict) for statement in policy.statements):
            raise InvalidPolicyError("the trust policy's Statement is not a list of objects")
        for index, statement in enumerate(policy.statements):
            sid = statement.get("Sid", "")
            for name, value in (("a Sid", sid), ("an Effect", statement.get("Effect", ""))):
                if not isinstance(value, str):
                    raise _not_kept(
                        f"{Place(index, None)} of the trust policy", f"has {name} that is not a string"
                    )
            if reason := _why_not_kept(statement):
                raise _not_kept(f"{Place(index, sid)} of the trust policy", reason)
        if reason := _why_not_kept({key: value for key, value in document.items() if key != "Statement"}):
            raise _not_kept("the trust policy", reason)
        return policy

    @cached_property
    def statements(self) -> list[Statement]:
        """All statements in their order; not to be changed."""
        return as_list(self.document.get("Statement", []))

    @cached_property
    def placed(self) -> list[tuple[Place, Statement]]:
        """The same with their places."""
        return [(Place(index, one.get("Sid")), one) for index, one in enumerate(self.statements)]

    def text(self) -> str:
        """The document as it is sent: compact, with escapes for characters beyond U+00FF, which IAM refuses."""
        text = json.dumps(self.document, separators=(",", ":"), ensure_ascii=False)
        return _BEYOND_LATIN_1.sub(lambda char: json.dumps(char[0])[1:-1], text)

    def size(self) -> int:
        """Characters that count against AssumeRolePolicySizeQuota: all but white space."""
        return self._size

    @cached_property
    def _size(self) -> int:
        return len(_WHITE_SPACE.sub("", self.text()))

    def subjects(self, own: OwnStatement) -> frozenset[Subject]:
        """The subjects that our statement trusts."""
        return self._parts_by(own).subjects

    def external(self, own: OwnStatement) -> list[tuple[Place, Statement]]:
        """The statements that are not ours, with their places."""
        return self._parts_by(own).external

    def _parts_by(self, own: OwnStatement) -> _Parts:
        """What is ours and what is not, worked out once: thousands of subjects take a while to read."""
        if (parts := self._parts.get(own)) is None:
            is_own, subjects, external = list[bool](), set[Subject](), list[tuple[Place, Statement]]()
            for place, statement in self.placed:
                is_own.append(own.owns(statement))
                subjects |= own.subjects_in(statement)
                if not is_own[-1]:
                    external.append((place, statement))
            parts = self._parts[own] = _Parts(is_own, frozenset(subjects), external)
        return parts

    @cached_property
    def _parts(self) -> dict[OwnStatement, _Parts]:
        return {}

    def effective_subjects(self, own: OwnStatement) -> frozenset[Subject]:
        """The subjects that our statement trusts; none where ours were edited beyond the subjects named."""
        return self.subjects(own) if self.is_whole(own) else frozenset()

    def is_whole(self, own: OwnStatement) -> bool:
        """Whether our statements are as we write them for the subjects that are named now, which may be none."""
        return self.with_subjects(own, self.subjects(own)).same_meaning(self)

    def edited_elements(self, own: OwnStatement) -> list[str]:
        """The elements of our statement that are not as we write them, whichever subjects it names."""
        edited: set[str] = set()
        for there in self.statements:
            if there.get("Sid") == own.sid:
                named = own.subjects_in({**there, "Effect": "Allow"})
                ours = own.render(named) if named else own.render_placeholder()
                edited |= {key for key in ours | there if canonical(ours.get(key)) != canonical(there.get(key))}
        return sorted(edited)

    def with_subjects(self, own: OwnStatement, subjects: Iterable[Subject]) -> Self:
        """This policy with our statement trusting exactly `subjects`; every other part stays as read.

        Without subjects that statement is removed, and those for pods stay. IAM refuses a policy without any
        statement: where none would be left, a placeholder takes its place until there is another of ours. A
        statement of ours that already means the same is left as IAM stored it.
        """
        return self._with(own, own.rendered(frozenset(subjects)))

    def _with(self, own: OwnStatement, rendered: dict[str, Statement]) -> Self:
        is_none_ours = not rendered
        statements: list[Statement] = []
        for statement, is_own in zip(self.statements, self._parts_by(own).is_own, strict=True):
            if not is_own or (is_none_ours and is_placeholder(statement, own)):
                statements.append(statement)
            elif (ours := rendered.pop(statement.get("Sid", ""), None)) is not None:
                statements.append(statement if canonical(statement) == canonical(ours) else ours)
        statements.extend(rendered.values())
        if self.statements and not statements:
            statements.append(own.render_placeholder())
        if statements == self.statements:
            return self
        return type(self)({**self.document, "Statement": statements})

    def size_without_subjects(self, own: OwnStatement) -> int:
        """Characters of this policy with our statement, but for the subjects in it.

        Each of them adds its own and QUOTES_AND_COMMA. The statement counts as we write it, not as IAM stored it.
        """
        rendered, placeholder = own.rendered(frozenset()), own.render_placeholder()
        others = [one for one in self._with(own, rendered).statements if one.get("Sid") != own.sid]
        filled = type(self)({**self.document, "Statement": [*others, placeholder]})
        return filled.size() - len(NOBODY) - QUOTES_AND_COMMA

    def same_meaning(self, other: TrustPolicy) -> bool:
        """Whether IAM would store both as the same policy."""
        return canonical_policy(self.document) == canonical_policy(other.document)

    def allows_pods(self, own: OwnStatement) -> bool:
        """Whether our statements for pods are all there, and whole."""
        if not own.pods:
            return True
        found = {canonical(statement) for statement in self.statements if own.owns(statement)}
        return all(canonical(one.render()) in found for one in own.pods)

    def has_former(self, own: OwnStatement) -> bool:
        """Whether a former statement of ours is there, which is to be removed."""
        return any(map(own.is_former, self.statements))

    def pod_statement(self, one: PodStatement) -> Statement | None:
        """The statement with the Sid of one of ours for pods, whole or edited; None where there is none."""
        return next((statement for statement in self.statements if statement.get("Sid") == one.sid), None)

    def has_whole(self, one: PodStatement) -> bool:
        """Whether a statement of ours for pods is there as we write it."""
        found = self.pod_statement(one)
        return found is not None and canonical(found) == canonical(one.render())

    def effects_on(self, own: OwnStatement, subject: Subject) -> Effects:
        """What its external statements do for `subject`. For thousands, `ExternalStatements` is prepared once."""
        return ExternalStatements(self, own).effects_on(subject)

    def dangling_principals(self) -> list[tuple[Place, str]]:
        """Principals that were deleted, which IAM shows as a unique id; with one of them it refuses every write.

        Error: `MalformedPolicyDocument: Invalid principal in policy`.
        """
        return [
            (place, value)
            for place, statement in self.placed
            for value in principals(statement, "AWS")
            if _UNIQUE_ID.fullmatch(value)
        ]


def is_placeholder(statement: Statement, own: OwnStatement) -> bool:
    """Whether it is the statement of ours that trusts no subject."""
    return statement.get("Sid") == own.sid and canonical(statement) == canonical(own.render_placeholder())


def canonical_policy(document: dict[str, Any]) -> Hashable:
    """A form in which two documents are equal exactly when IAM gives them the same meaning."""
    lone = {"Statement": [document["Statement"]]} if isinstance(document.get("Statement"), dict) else {}
    return canonical({"Version": _OLDEST_VERSION, **document, **lone})


def canonical(value: Any) -> Hashable:
    """A form without the order of keys and elements, and with lists of one scalar unwrapped.

    A list around an object or a list stays: we write no such thing, so in a statement of ours it is an edit.
    Condition keys, which have a colon, compare without case, as IAM does. All else compares with case.
    """
    if isinstance(value, dict):
        folded = frozenset((key.lower() if ":" in key else key, canonical(one)) for key, one in value.items())
        return ("object", folded)
    if isinstance(value, list):
        members = frozenset(canonical(inner) for inner in value)
        is_lone = len(members) == 1 and not any(isinstance(inner, dict | list) for inner in value)
        return next(iter(members)) if is_lone else members
    return str(value).lower() if isinstance(value, bool) else str(value)


def _not_kept(what: str, reason: str) -> InvalidPolicyError:
    return InvalidPolicyError(f"{what} {reason}: correct it, nothing is written before")


def _why_not_kept(value: object) -> str | None:
    """Why `value`, read from JSON, cannot be written back as it was stored; None where it can.

    A reason completes a sentence. Reading may have lost something: it replaces bytes that are not UTF-8, and it
    rounds a number with many digits to a float.
    """
    left = [(value, 0)]
    while left:
        one, depth = left.pop()
        if depth > _DEEPEST:
            return f"is nested more than {_DEEPEST} levels deep"
        if isinstance(one, dict):
            left += [(inner, depth + 1) for pair in one.items() for inner in pair]
        elif isinstance(one, list):
            left += [(inner, depth + 1) for inner in one]
        elif reason := _why_lost(one):
            return reason
    return None


def _why_lost(scalar: object) -> str | None:
    if isinstance(scalar, str):
        if _REPLACEMENT in scalar:
            return "holds U+FFFD, which stands for characters that could not be read"
        return "holds half of a surrogate pair" if any("\ud800" <= char <= "\udfff" for char in scalar) else None
    if isinstance(scalar, float):
        is_exact = isfinite(scalar) and len(Decimal(repr(scalar)).as_tuple().digits) <= _EXACT_DIGITS
        return None if is_exact else "holds a number that cannot be kept exactly"
    return None
