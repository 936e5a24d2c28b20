"""The policies that decide about a call, by their kind, and the first of them that refuses it.

Order and words: an explicit Deny of any kind wins; then each kind that limits has to allow; then identity or
resource has to (IAM user guide, reference_policies_evaluation-logic; the words are those of "Troubleshoot access
denied error messages"). Groups, session policies and the policies of organizations are not here.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from moto.iam.models import Role, User

from rig.aws.callers import Caller
from rig.aws.policy import Decision, Policy, Query, decide, parse
from rig.aws.state import State

IDENTITY, BOUNDARY = "identity-based policy", "permissions boundary"
RESOURCE, ENDPOINT = "resource-based policy", "VPC endpoint policy"


@dataclass(frozen=True, slots=True)
class Refusal:
    """The kind of policy that refuses a call, and whether a Deny does."""

    kind: str
    denied: bool


class Layers:
    """The policies of one account."""

    def __init__(self, state: State) -> None:
        self._state = state

    def refusal(self, caller: Caller, query: Query) -> Refusal | None:
        """Why a call is refused; None where it is allowed."""
        decisions = self._decisions(caller, query)
        for kind, decision in decisions.items():
            if decision is Decision.DENIED:
                return Refusal(kind, denied=True)
        for kind in (ENDPOINT, BOUNDARY):
            if decisions.get(kind) is Decision.NOT_ALLOWED:
                return Refusal(kind, denied=False)
        if query.action.startswith("kms:"):
            return self._of_a_key(caller, query, decisions)
        if Decision.ALLOWED in {decisions[IDENTITY], decisions.get(RESOURCE)}:
            return None
        return Refusal(IDENTITY, denied=False)

    def identity(self, owner: User | Role | None) -> Iterator[Policy]:
        """The inline and managed policies of a user or role."""
        if owner is None:
            return
        for document in owner.policies.values():
            yield parse(document)
        for managed in owner.managed_policies.values():
            yield from (parse(version.document) for version in managed.versions if version.is_default)

    def boundary(self, role: Role | None) -> list[Policy] | None:
        """The permissions boundary of a role; None where it has none."""
        arn = role.permissions_boundary_arn if role else None
        if not arn:
            return None
        managed = self._state.iam.get_policy(arn)
        return [parse(version.document) for version in managed.versions if version.is_default]

    def owner(self, caller: Caller) -> User | Role | None:
        """The user or role that calls."""
        if caller.kind == "user":
            return self._state.iam.users.get(caller.name)
        return next((role for role in self._state.iam.roles.values() if role.name == caller.name), None)

    def _decisions(self, caller: Caller, query: Query) -> dict[str, Decision]:
        owner = self.owner(caller)
        found = {IDENTITY: decide(self.identity(owner), query)}
        if (limits := self.boundary(owner) if isinstance(owner, Role) else None) is not None:
            found[BOUNDARY] = decide(limits, query)
        for kind, document in self._around(caller, query).items():
            found[kind] = decide([parse(document)], replace(query, principals=self._names(caller)))
        return found

    def _around(self, caller: Caller, query: Query) -> Mapping[str, str]:
        """The policies of the resource, and of the endpoint that a role's calls to S3 go through."""
        found, resource = {}, query.resource or ""
        bucket = self._state.buckets.get(resource.partition(":s3:::")[2].partition("/")[0])
        if bucket is not None and bucket.policy:
            found[RESOURCE] = bucket.policy
        if (key := self._state.keys.get(resource)) is not None:
            found[RESOURCE] = key.policy
        if query.action.startswith("s3:") and caller.kind == "role":
            for endpoint in self._state.endpoints.values():
                found[ENDPOINT] = endpoint.policy
        return found

    def _of_a_key(self, caller: Caller, query: Query, decisions: Mapping[str, Decision]) -> Refusal | None:
        """A key's policy decides; it may leave the decision to IAM by naming the account (KMS developer guide)."""
        key = self._state.keys.get(query.resource or "")
        if key is None or key.is_granted(caller.principal_arn, query.action):
            return None
        names = self._names(caller)
        if decide([parse(key.policy)], replace(query, principals=names)) is Decision.ALLOWED:
            return None
        root = {"AWS": frozenset({f"arn:{self._state.partition}:iam::{self._state.account}:root"})}
        if decide([parse(key.policy)], replace(query, principals=root)) is not Decision.ALLOWED:
            return Refusal(RESOURCE, denied=False)
        return None if decisions[IDENTITY] is Decision.ALLOWED else Refusal(IDENTITY, denied=False)

    def _names(self, caller: Caller) -> Mapping[str, frozenset[str]]:
        return {"AWS": frozenset({caller.principal_arn, caller.arn})}
