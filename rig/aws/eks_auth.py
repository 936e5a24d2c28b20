"""EKS Auth's one call, AssumeRoleForPodIdentity: a pod's token for credentials of its association's role.

Order of the checks: the cluster, the token's form and expiry, its issuer, audience and signature, the
association, the role's trust policy. The trust policy must allow EKS both to assume the role and to tag the
session, with the six session tags as the request's tags. Their tags stay with the session. The cluster is the
request's source (terraform-aws-modules/terraform-aws-eks#3743; no page of AWS says so).
"""

import datetime as dt
from collections.abc import Mapping
from typing import Any

from rig.aws.associations import Association, EksCluster
from rig.aws.calls import ApiCall
from rig.aws.eks import SERVICE, TRUSTED_ACTIONS
from rig.aws.errors import AwsError
from rig.aws.faults import Stale
from rig.aws.policy import trusts_service
from rig.aws.state import State
from rig.aws.switchboard import Met
from rig.aws.tokens import audience_of, claims_of
from rig.aws.trust import Version
from rig.aws.violations import Violation

AUDIENCE = "pods.eks.amazonaws.com"
SESSION_SECONDS = 6 * 3600.0

_LONGEST_SESSION_NAME = 64


class EksAuth:
    """One call."""

    def __init__(self, state: State, call: ApiCall, met: Met) -> None:
        self._state, self._call = state, call
        stale = met.first(Stale)
        self._stale, self._ago = stale, stale.seconds if stale else 0.0

    def result(self) -> dict[str, Any]:
        """Return the content of the answer. Raises `AwsError`."""
        params = self._call.params
        cluster = self._state.associations.clusters.get(params["clusterName"])
        if cluster is None:
            raise AwsError(
                "ResourceNotFoundException", f"No cluster found for name: {params['clusterName']}.", 404
            )
        claims = self._claims(params["token"], cluster)
        pod = _pod(claims)
        association = self._state.associations.of(
            cluster.name, pod["namespace"], pod["serviceaccount"]["name"], self._ago
        )
        if association is None:
            subject = f"{pod['namespace']}/{pod['serviceaccount']['name']}"
            raise AwsError("ResourceNotFoundException", f"No association found for {subject}", 404)
        version = self._trusting(association, cluster, pod)
        return self._answer(association, version, claims, cluster)

    def _claims(self, token: str, cluster: EksCluster) -> dict[str, Any]:
        try:
            claims = claims_of(token, self._state.clock())
            audience = audience_of(claims)
            self._state.issuers.verified(token)
        except AwsError as error:
            code = error.code if error.code == "ExpiredTokenException" else "InvalidTokenException"
            raise AwsError(code, error.message) from error
        if claims["iss"] != cluster.issuer:
            raise AwsError("InvalidTokenException", "The token was issued by another cluster")
        if audience != AUDIENCE:
            raise AwsError("InvalidTokenException", f"The token's audience is not {AUDIENCE}")
        return claims

    def _trusting(self, association: Association, cluster: EksCluster, pod: Mapping[str, Any]) -> Version:
        """Return the association's role, whose trust policy must let EKS in for this pod."""
        version = self._state.trust.version(association.role_arn.rpartition("/")[2], self._stale)
        by_association = Violation.SOURCE_ARN in self._state.violations
        source = association.arn if by_association else cluster.arn
        context = {
            "aws:sourcearn": (source,),
            "aws:sourceaccount": (self._state.account,),
            **({} if association.disable_session_tags else _tags(cluster, pod)),
        }
        if (
            version is None
            or version.role is None
            or version.role.arn != association.role_arn
            or not trusts_service(version.stored, SERVICE, TRUSTED_ACTIONS, context)
        ):
            raise AwsError(
                "AccessDeniedException",
                "Unauthorized Exception! EKS does not have permissions to assume the associated role.",
            )
        return version

    def _answer(
        self, association: Association, version: Version, claims: Mapping[str, Any], cluster: EksCluster
    ) -> dict[str, Any]:
        if version.role is None:
            raise ValueError("a role that does not exist trusts nobody")
        pod = _pod(claims)
        name = f"eks-{association.cluster}-{pod['pod']['name']}"[:_LONGEST_SESSION_NAME]
        has_none = association.disable_session_tags or Violation.PRINCIPAL_TAG in self._state.violations
        tags = {} if has_none else session_tags(cluster, pod)
        session = self._state.callers.open_session(version.role, name, SESSION_SECONDS, tags)
        return {
            "subject": {"namespace": association.namespace, "serviceAccount": association.service_account},
            "audience": audience_of(claims),
            "podIdentityAssociation": {"associationArn": association.arn, "associationId": association.id},
            "assumedRoleUser": {"arn": session.caller.arn, "assumeRoleId": session.caller.user_id},
            "credentials": {
                "accessKeyId": session.credentials.access_key_id,
                "secretAccessKey": session.credentials.secret_access_key,
                "sessionToken": session.credentials.session_token,
                "expiration": dt.datetime.fromtimestamp(session.expires, dt.UTC),
            },
        }


def _pod(claims: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the token says of its pod; a token that is bound to none is not a pod's."""
    found: dict[str, Any] = claims.get("kubernetes.io", {})
    if not {"namespace", "pod", "serviceaccount"} <= found.keys():
        raise AwsError("InvalidTokenException", "The token is not bound to a pod")
    return found


def session_tags(cluster: EksCluster, pod: Mapping[str, Any]) -> dict[str, str]:
    """Return the six tags that EKS gives to a session (EKS user guide, Pod Identity session tags)."""
    return {
        "eks-cluster-arn": cluster.arn,
        "eks-cluster-name": cluster.name,
        "kubernetes-namespace": pod["namespace"],
        "kubernetes-service-account": pod["serviceaccount"]["name"],
        "kubernetes-pod-name": pod["pod"]["name"],
        "kubernetes-pod-uid": pod["pod"]["uid"],
    }


def _tags(cluster: EksCluster, pod: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    tags = session_tags(cluster, pod)
    context = {f"aws:requesttag/{name}": (value,) for name, value in tags.items()}
    return {**context, "aws:tagkeys": tuple(tags), "sts:transitivetagkeys": tuple(tags)}
