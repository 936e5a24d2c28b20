"""What a role's policies and its permissions boundary allow, as IAM itself evaluates them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from webhook.aws.calls import text
from webhook.model.aws_errors import AwsError, FailureKind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from webhook.aws.calls import AwsCalls
    from webhook.aws.clients import AwsClients
    from webhook.model.names import RoleArn

_MOST_PAGES = 50
_PAGE = 1000
"""Results, the most that IAM gives at once (SimulatePrincipalPolicy, MaxItems)."""


@dataclass(frozen=True, slots=True)
class Simulated:
    """What is not allowed: `denied` is whether a statement denies it, `by_boundary` whether the boundary does."""

    action: str
    resource: str
    denied: bool
    by_boundary: bool


async def not_allowed(
    calls: AwsCalls, role: RoleArn, actions: Sequence[str], resources: Sequence[str], region: str
) -> list[Simulated]:
    """What a role may not do with each resource, by requests to a region (iam:SimulatePrincipalPolicy).

    Policies of buckets, keys, VPC endpoints and organizations are not evaluated. Raises AwsError, also for pages
    that have no end.
    """
    in_region = {
        "ContextKeyName": "aws:RequestedRegion", "ContextKeyType": "string", "ContextKeyValues": [region],
    }  # fmt: skip

    def ask(clients: AwsClients) -> list[Simulated]:
        found: list[Simulated] = []
        more: dict[str, Any] = {}
        for _ in range(_MOST_PAGES):
            page: Any = clients.iam.simulate_principal_policy(
                PolicySourceArn=role.value,
                ActionNames=list(actions),
                ResourceArns=list(resources),
                ContextEntries=[in_region],  # type: ignore[list-item]  # the stubs' own type of the same
                MaxItems=_PAGE,
                **more,
            )
            found += [_simulated(one) for one in page["EvaluationResults"] if one["EvalDecision"] != "allowed"]
            if not page.get("IsTruncated"):
                return found
            more = {"Marker": text(page["Marker"])}
        why = f"more than {_MOST_PAGES} pages of {_PAGE}: not AWS's answer"
        raise AwsError(FailureKind.UNEXPECTED, f"SimulatePrincipalPolicy: {why}")

    return await calls.call("SimulatePrincipalPolicy", ask)


def _simulated(one: Any) -> Simulated:
    boundary = one.get("PermissionsBoundaryDecisionDetail", {})
    return Simulated(
        text(one["EvalActionName"]),
        text(one["EvalResourceName"]),
        denied=one["EvalDecision"] == "explicitDeny",
        by_boundary=boundary.get("AllowedByPermissionsBoundary") is False,
    )
