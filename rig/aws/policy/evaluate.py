"""The decision: a matching Deny wins, then a matching Allow, else no.

Source: IAM user guide, reference_policies_evaluation-logic. Used for trust policies (who may assume a role) and
for identity policies (what a caller may do).
"""

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from rig.aws.policy.conditions import holds
from rig.aws.policy.document import Policy, Statement, parse
from rig.aws.policy.patterns import Context, matches

WEB_IDENTITY = "sts:AssumeRoleWithWebIdentity"


class Decision(enum.Enum):
    """What the policies say; the absence of an Allow and the presence of a Deny read differently in errors."""

    ALLOWED = "allowed"
    NOT_ALLOWED = "no statement allows it"
    DENIED = "a statement denies it"


@dataclass(frozen=True, slots=True)
class Query:
    """A request, as policies see it.

    `principals` maps a principal's kind to what the requester may be called there ({"Federated": {provider}});
    None for identity policies, which name no principal. `context` maps lower-case condition keys to values.
    """

    action: str
    resource: str | None = None
    principals: Mapping[str, frozenset[str]] | None = None
    context: Context = field(default_factory=dict)


def decide(policies: Iterable[Policy], query: Query) -> Decision:
    """Evaluate all policies together."""
    decision = Decision.NOT_ALLOWED
    for policy in policies:
        for statement in policy.statements:
            if not _matches(statement, query, variables=policy.expands_variables):
                continue
            if not statement.allows:
                return Decision.DENIED
            decision = Decision.ALLOWED
    return decision


def trusts(document: str, *, provider_arn: str, context: Context, action: str = WEB_IDENTITY) -> bool:
    """Whether a trust policy lets a token of that OIDC provider assume the role.

    Raises `ValueError` when the document is no policy.
    """
    query = Query(action, principals={"Federated": frozenset([provider_arn])}, context=context)
    return decide([parse(document)], query) is Decision.ALLOWED


def trusts_service(document: str, service: str, actions: Iterable[str], context: Context) -> bool:
    """Whether a trust policy lets an AWS service do all of these actions.

    Raises `ValueError` when the document is no policy.
    """
    principals = {"Service": frozenset([service])}
    queries = (Query(action, principals=principals, context=context) for action in actions)
    return all(decide([parse(document)], query) is Decision.ALLOWED for query in queries)


def names_service(document: str, service: str, actions: Iterable[str]) -> bool:
    """Whether a trust policy allows an AWS service these actions at all, whatever its conditions say."""
    principals = {"Service": frozenset([service])}
    return all(
        any(
            statement.allows
            and _principal_matches(statement, Query(action, principals=principals))
            and _action_matches(statement, action)
            for statement in parse(document).statements
        )
        for action in actions
    )


def _matches(statement: Statement, query: Query, *, variables: bool) -> bool:
    return (
        _principal_matches(statement, query)
        and _action_matches(statement, query.action)
        and _resource_matches(statement, query, variables=variables)
        and all(holds(condition, query.context, variables=variables) for condition in statement.conditions)
    )


def _principal_matches(statement: Statement, query: Query) -> bool:
    if query.principals is None:
        return True
    named = statement.principals or {}
    if "*" in named.get("AWS", ()):
        return True
    return any(
        not names.isdisjoint(named.get(kind, ())) or "*" in named.get(kind, ())
        for kind, names in query.principals.items()
    )


def _action_matches(statement: Statement, action: str) -> bool:
    def named(patterns: tuple[str, ...]) -> bool:
        return any(matches(pattern.lower(), action.lower(), wildcards=True) for pattern in patterns)

    if statement.not_actions is not None:
        return not named(statement.not_actions)
    return named(statement.actions or ())


def _resource_matches(statement: Statement, query: Query, *, variables: bool) -> bool:
    resource = query.resource
    if resource is None:
        return True
    context = query.context if variables else None

    def named(patterns: tuple[str, ...]) -> bool:
        return any(matches(pattern, resource, wildcards=True, variables=context) for pattern in patterns)

    if statement.not_resources is not None:
        return not named(statement.not_resources)
    return named(statement.resources or ())
