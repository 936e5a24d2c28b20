"""EKS's API as far as Pod Identity needs it: associations, the cluster that they belong to, and its add-ons.

The list of associations has neither roles nor tags, as in AWS's model. A `Stale` switch makes reads late; on
CreatePodIdentityAssociation it makes what was deleted lately still be in use. An association that an add-on owns
can be changed here: AWS does not say that it refuses, and a program must leave it alone by itself.
"""

import datetime as dt
import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from rig.aws.associations import Association, EksCluster
from rig.aws.calls import ApiCall
from rig.aws.errors import AwsError
from rig.aws.faults import Stale
from rig.aws.policy import names_service
from rig.aws.state import State
from rig.aws.switchboard import Met
from rig.aws.violations import LATE_FOR_PODS_S, Violation

SERVICE = "pods.eks.amazonaws.com"
TRUSTED_ACTIONS = ("sts:AssumeRole", "sts:TagSession")

_ROLE_ARN = re.compile(r"arn:aws[a-z-]*:iam::(?P<account>\d{12}):role/(?:[^:]*/)?(?P<name>[\w+=,.@-]{1,64})")
_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
_MOST_RESULTS = 100


class Eks:
    """One EKS call."""

    def __init__(self, state: State, call: ApiCall, met: Met) -> None:
        self._state, self._call = state, call
        self._store, self._clock = state.associations, state.clock
        stale = met.first(Stale)
        self._ago = stale.seconds if stale else 0.0

    def result(self) -> dict[str, Any]:
        """Apply the call and return the content of its answer. Raises `AwsError`."""
        params = self._call.params
        match self._call.action:
            case "DescribeCluster":
                return {"cluster": _cluster(self._cluster(params["name"]))}
            case "ListClusters":
                return _page("clusters", sorted(self._store.clusters), params)
            case "CreateAddon":
                return {"addon": self._create_addon(params)}
            case "DescribeAddon":
                return {"addon": self._addon(params)}
            case "CreatePodIdentityAssociation":
                return {"association": _whole(self._create(params))}
            case "DescribePodIdentityAssociation":
                return {"association": _whole(self._described(params))}
            case "ListPodIdentityAssociations":
                return self._list(params)
            case "UpdatePodIdentityAssociation":
                return {"association": _whole(self._update(params))}
            case "DeletePodIdentityAssociation":
                association = self._found(params)
                self._store.remove(association)
                return {"association": _whole(association)}
            case _:
                return self._tag(params)

    def _cluster(self, name: str) -> EksCluster:
        if name not in self._store.clusters:
            raise _not_found(f"No cluster found for name: {name}.")
        return self._store.clusters[name]

    def _create_addon(self, params: Mapping[str, Any]) -> dict[str, Any]:
        cluster, name = self._cluster(params["clusterName"]), params["addonName"]
        if name in cluster.addons:
            raise AwsError("ResourceInUseException", f"Addon already exists: {name}", 409)
        self._store.clusters[cluster.name] = msgspec.structs.replace(
            cluster, addons={**cluster.addons, name: "ACTIVE"}
        )
        return self._addon(params)

    def _addon(self, params: Mapping[str, Any]) -> dict[str, Any]:
        cluster, name = self._cluster(params["clusterName"]), params["addonName"]
        if name not in cluster.addons:
            raise _not_found(f"No addon: {name} found in cluster: {cluster.name}")
        return {"addonName": name, "clusterName": cluster.name, "status": cluster.addons[name]}

    def _found(self, params: Mapping[str, Any], ago: float = 0.0) -> Association:
        cluster = self._cluster(params["clusterName"])
        found = self._store.find(cluster.name, params["associationId"], ago)
        if found is None:
            raise _not_found(f"No association found with associationId {params['associationId']}")
        return found

    def _described(self, params: Mapping[str, Any]) -> Association:
        try:
            return self._found(params, self._ago)
        except AwsError as error:
            if Violation.NO_SUCH_ASSOCIATION in self._state.violations:
                raise AwsError("NotFoundException", error.message, error.status) from error
            raise

    def _create(self, params: Mapping[str, Any]) -> Association:
        cluster = self._cluster(params["clusterName"])
        namespace, account = params["namespace"], params["serviceAccount"]
        for name, value in (("namespace", namespace), ("serviceAccount", account)):
            if not _NAME.fullmatch(value):
                raise _invalid(f"{name} {value!r} is not a Kubernetes name")
        self._check_role(params["roleArn"])
        _check_policy(params)
        existing = self._store.of(cluster.name, namespace, account)
        if existing and existing.token and existing.token == params.get("clientRequestToken"):
            return existing  # the same request, sent again
        if used := existing or self._store.of(cluster.name, namespace, account, self._ago):
            named = "" if Violation.IN_USE in self._state.violations else f": {used.id}"
            raise AwsError("ResourceInUseException", f"Association already exists{named}", 409)
        if len(self._store.seen(cluster.name)) >= self._store.quota:
            raise AwsError(
                "ResourceLimitExceededException",
                f"Pod identity association limit of {self._store.quota} exceeded for cluster {cluster.name}",
            )
        new = self._store.new_id()
        association = Association(
            cluster=cluster.name,
            id=new,
            arn=self._state.association_arn(cluster.name, new),
            namespace=namespace,
            service_account=account,
            role_arn=params["roleArn"],
            tags=params.get("tags", {}),
            created=self._clock(),
            modified=self._clock(),
            disable_session_tags=params.get("disableSessionTags", False),
            target_role_arn=params.get("targetRoleArn"),
            policy=params.get("policy"),
            token=params.get("clientRequestToken", ""),
        )
        self._store.keep(association)
        return association

    def _update(self, params: Mapping[str, Any]) -> Association:
        found = self._found(params)
        if "roleArn" in params:
            self._check_role(params["roleArn"])
        _check_policy(params)
        changed = {
            "role_arn": params.get("roleArn", found.role_arn),
            "disable_session_tags": params.get("disableSessionTags", found.disable_session_tags),
            "target_role_arn": self._changed(
                params, "targetRoleArn", found.target_role_arn, Violation.EMPTY_TARGET
            ),
            "policy": self._changed(params, "policy", found.policy, Violation.EMPTY_POLICY),
            "modified": self._clock(),
        }
        self._store.keep(msgspec.structs.replace(found, **changed))
        return self._found(params)

    def _changed(self, params: Mapping[str, Any], name: str, before: str | None, kept_by: Violation) -> str | None:
        """Return what an update makes of a member: what is not named stays, an empty string unsets it.

        AWS says so of neither; that an empty target role unsets it is what ACK sends (eks-controller, sdk.go).
        """
        wanted: str | None = params.get(name, before)
        return wanted or (before if kept_by in self._state.violations else None)

    def _tag(self, params: Mapping[str, Any]) -> dict[str, Any]:
        for cluster in self._store.clusters:
            for one in self._store.seen(cluster):
                if one.arn == params["resourceArn"]:
                    removed = params.get("tagKeys", ())
                    kept = {key: value for key, value in one.tags.items() if key not in removed}
                    self._store.keep(msgspec.structs.replace(one, tags=kept | params.get("tags", {})))
                    return {}
        raise AwsError("NotFoundException", f"{params['resourceArn']} was not found", 404)

    def _list(self, params: Mapping[str, Any]) -> dict[str, Any]:
        cluster = self._cluster(params["clusterName"])
        is_late = Violation.ASSOCIATION_READ_AGE in self._state.violations
        found = [
            _summary(one)
            for one in self._store.seen(cluster.name, LATE_FOR_PODS_S if is_late else self._ago)
            if one.namespace == params.get("namespace", one.namespace)
            and one.service_account == params.get("serviceAccount", one.service_account)
        ]
        return _page("associations", found, params)

    def _check_role(self, arn: str) -> None:
        """EKS takes no role that does not exist, is another account's, or does not name its service."""
        found = _ROLE_ARN.fullmatch(arn)
        if found is None:
            raise _invalid(f"Role ARN {arn} is invalid")
        if found["account"] != self._state.account:
            raise _invalid("Cross-account pass role is not allowed.")
        stale = Stale(seconds=self._ago) if self._ago else None
        version = self._state.trust.version(found["name"], stale)
        if version is None or version.role is None or version.role.arn != arn:
            raise _invalid("Role provided in the request does not exist.")
        is_lax = Violation.ROLE_NOT_ACCEPTED in self._state.violations
        if not is_lax and not names_service(version.stored, SERVICE, TRUSTED_ACTIONS):
            raise _invalid("Trust policy of the role provided in the request is invalid")


def _check_policy(params: Mapping[str, Any]) -> None:
    if params.get("policy") and not params.get("disableSessionTags"):
        raise AwsError("InvalidRequestException", "A session policy needs session tags to be disabled")


def _not_found(message: str) -> AwsError:
    return AwsError("ResourceNotFoundException", message, 404)


def _invalid(message: str) -> AwsError:
    return AwsError("InvalidParameterException", message)


def _summary(one: Association) -> dict[str, Any]:
    found = {
        "clusterName": one.cluster,
        "namespace": one.namespace,
        "serviceAccount": one.service_account,
        "associationArn": one.arn,
        "associationId": one.id,
        "ownerArn": one.owner_arn,
    }
    return {key: value for key, value in found.items() if value is not None}


def _whole(one: Association) -> dict[str, Any]:
    found = {
        **_summary(one),
        "roleArn": one.role_arn,
        "tags": dict(one.tags) or None,
        "createdAt": _time(one.created),
        "modifiedAt": _time(one.modified),
        "disableSessionTags": one.disable_session_tags,
        "targetRoleArn": one.target_role_arn,
        "policy": one.policy,
    }
    return {key: value for key, value in found.items() if value is not None}


def _page(key: str, found: Sequence[Any], params: Mapping[str, Any]) -> dict[str, Any]:
    """The page of a list that is asked for. Raises `AwsError`."""
    size = int(params.get("maxResults", _MOST_RESULTS))
    if not 1 <= size <= _MOST_RESULTS:
        raise _invalid(f"maxResults must be from 1 to {_MOST_RESULTS}")
    try:
        first = int(params.get("nextToken", "0"), 16)
    except ValueError as error:
        raise _invalid("nextToken is not one that was handed out") from error
    more = {"nextToken": f"{first + size:x}"} if first + size < len(found) else {}
    return {key: found[first : first + size], **more}


def _cluster(cluster: EksCluster) -> dict[str, Any]:
    return {
        "name": cluster.name,
        "arn": cluster.arn,
        "createdAt": _time(cluster.created),
        "status": "ACTIVE",
        "identity": {"oidc": {"issuer": cluster.issuer}},
        "computeConfig": {"enabled": cluster.auto_mode},
    }


def _time(seconds: float) -> dt.datetime:
    return dt.datetime.fromtimestamp(seconds, dt.UTC)
