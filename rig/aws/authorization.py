"""May this caller make this call? What a call needs is here; which policies decide about it is in `layers`."""

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from moto.iam.models import Role, User

from rig.aws import rest, s3_requests
from rig.aws.callers import Caller
from rig.aws.calls import ApiCall
from rig.aws.errors import AwsError, not_authorized
from rig.aws.layers import Layers
from rig.aws.policy import Context, Query
from rig.aws.state import State
from rig.aws.violations import Violation

_PASSING = {"CreatePodIdentityAssociation", "UpdatePodIdentityAssociation"}
_FREE_FOR_ALL = {"sts:GetCallerIdentity"}  # "No permissions are required" (API reference)


@dataclass(frozen=True, slots=True)
class Target:
    """What a call is about: the ARN that policies name, and the name that errors give it."""

    arn: str
    shown: str
    tags: Mapping[str, str]


class Authorization:
    """The rights of one account's callers."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._iam = state.iam
        self._clock = state.clock
        self._layers = Layers(state)

    def require(self, caller: Caller, call: ApiCall) -> None:
        """Raise AccessDenied (403) unless the caller's policies allow the call."""
        if caller.kind == "root" or call.name in _FREE_FOR_ALL:
            return
        for action, target, context in self._needed(call):
            query = Query(action, target.arn, context={**self._context(caller, call, target), **context})
            if refused := self._layers.refusal(caller, query):
                refusal = not_authorized(
                    caller.arn, action, target.shown, denied=refused.denied, kind=refused.kind
                )
                if Violation.ACCESS_DENIED in self._state.violations:
                    raise AwsError("UnauthorizedOperation", refusal.message, 403)
                raise refusal

    def target(self, call: ApiCall) -> Target:
        """Return what a call is about; `*` where the action takes no resource."""
        params, account = call.params, f"arn:{self._iam.partition}:iam::{self._iam.account_id}"
        if call.service in rest.SERVICES:
            return self._eks(call.action, params)
        if call.service == s3_requests.SERVICE:
            arn = f"arn:{self._iam.partition}:s3:::{'/'.join(filter(None, (params['Bucket'], params['Key'])))}"
            return Target(arn, f'"{arn}"', {})
        if "KeyId" in params:
            return Target(params["KeyId"], params["KeyId"], {})
        if "RoleName" in params:
            return self._role(params["RoleName"], account, str(params.get("Path", "/")))
        if "UserName" in params:
            user = self._iam.users.get(params["UserName"])
            arn = user.arn if user else f"{account}:user/{params['UserName']}"
            return Target(arn, f"user {params['UserName']}", _tags(self._user_tags(user)))
        for name in ("OpenIDConnectProviderArn", "PolicyArn"):
            if name in params:
                return Target(params[name], params[name], {})
        if call.action == "CreateOpenIDConnectProvider":
            arn = f"{account}:oidc-provider/{params.get('Url', '').removeprefix('https://')}"
            return Target(arn, arn, {})
        if call.action in {"ListRoles", "ListUsers"}:
            arn = f"{account}:{call.action.removeprefix('List').lower()[:-1]}/"
            return Target(arn, arn, {})
        return Target("*", "*", {})

    def _needed(self, call: ApiCall) -> Iterator[tuple[str, Target, Context]]:
        """What a call needs: its own action, and for an association tags and the right to pass on the role."""
        tags = call.params.get("tags") if call.service == rest.EKS else None
        context = {f"aws:requesttag/{key}".lower(): (str(value),) for key, value in (tags or {}).items()}
        if call.service == s3_requests.SERVICE:
            yield from self._of_objects(call)
            return
        yield call.name, self.target(call), context
        if call.action not in _PASSING:
            return
        cluster = str(call.params.get("clusterName"))
        if tags:
            arn = self._state.association_arn(cluster, self._state.associations.new_id())
            yield "eks:TagResource", Target(arn, arn, {}), context
        if role := call.params.get("roleArn"):
            passed = {"iam:passedtoservice": ("pods.eks.amazonaws.com",)}
            if Violation.ASSOCIATED_RESOURCE not in self._state.violations:
                passed["iam:associatedresourcearn"] = (self._state.cluster_arn(cluster),)
            yield "iam:PassRole", Target(str(role), str(role), {}), passed

    def _of_objects(self, call: ApiCall) -> Iterator[tuple[str, Target, Context]]:
        """Of an object in a bucket with a key also that key; of one that is not there the right to list."""
        right, target, params = s3_requests.right_of(call.action), self.target(call), call.params
        yield right, target, {"s3:prefix": (params["Prefix"],)} if params["Prefix"] else {}
        bucket = self._state.buckets.get(params["Bucket"])
        if bucket is None or call.action not in {"PutObject", "GetObject", "HeadObject"}:
            return
        if call.action != "PutObject" and params["Key"] not in bucket.objects:
            arn = target.arn.removesuffix(f"/{params['Key']}")
            yield "s3:ListBucket", Target(arn, f'"{arn}"', {}), {}
        elif bucket.key:
            action = "kms:GenerateDataKey" if call.action == "PutObject" else "kms:Decrypt"
            yield action, Target(bucket.key, bucket.key, {}), {}

    def _eks(self, action: str, params: Mapping[str, Any]) -> Target:
        """A cluster, or one of its associations or add-ons, which are no part of the cluster's ARN."""
        if action == "ListClusters":
            return Target("*", "*", {})
        cluster, association_id = str(params.get("clusterName", params.get("name"))), params.get("associationId")
        if "resourceArn" in params:
            return Target(params["resourceArn"], params["resourceArn"], {})
        if action == "DescribeAddon":
            arn = f"{self._state.cluster_arn(cluster).replace(':cluster/', ':addon/')}/{params['addonName']}/0"
            return Target(arn, arn, {})
        if association_id is None:
            arn = self._state.cluster_arn(cluster)
            return Target(arn, arn, {})
        arn = self._state.association_arn(cluster, str(association_id))
        found = self._state.associations.find(cluster, str(association_id))
        return Target(arn, arn, found.tags if found else {})

    def _role(self, name: str, account: str, path: str) -> Target:
        role = self._find_role(name)
        arn = role.arn if role else f"{account}:role{path}{name}"
        return Target(arn, f"role {name}", _tags(role.tags if role else []))

    def _find_role(self, name: str) -> Role | None:
        return next((role for role in self._iam.roles.values() if role.name == name), None)

    def _user_tags(self, user: User | None) -> list[dict[str, str]]:
        return self._iam.tagger.list_tags_for_resource(user.arn)["Tags"] if user else []

    def _context(self, caller: Caller, call: ApiCall, target: Target) -> dict[str, tuple[str, ...]]:
        now = self._clock()
        context = {
            "aws:principalarn": caller.principal_arn,
            "aws:principalaccount": str(self._iam.account_id),
            "aws:principaltype": "User" if caller.kind == "user" else "AssumedRole",
            "aws:userid": caller.user_id,
            "aws:sourceip": call.request.peer,
            "aws:securetransport": "false",
            "aws:currenttime": dt.datetime.fromtimestamp(now, dt.UTC).isoformat(),
            "aws:epochtime": str(int(now)),
            "aws:requestedregion": s3_requests.region_of(call.request),
            "aws:useragent": call.request.headers.get("user-agent", ""),
        }
        if caller.kind == "user":
            context["aws:username"] = caller.name
        for key, value in caller.tags.items():
            context[f"aws:principaltag/{key}".lower()] = value
        for key, value in target.tags.items():
            context[f"aws:resourcetag/{key}".lower()] = value
            context[f"iam:resourcetag/{key}".lower()] = value
        return {key: (value,) for key, value in context.items() if value}


def _tags(tags: list[dict[str, Any]]) -> dict[str, str]:
    return {str(tag["Key"]): str(tag["Value"]) for tag in tags}
