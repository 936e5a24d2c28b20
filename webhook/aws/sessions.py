"""Credentials for a token: of STS for a role that trusts it, and of EKS for a pod's association.

`conformance` and `verify` use them to call AWS with a role's rights, and keep them no longer than their run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from webhook.aws.calls import text
from webhook.aws.clients import SessionKeys

if TYPE_CHECKING:
    from webhook.aws.calls import AwsCalls
    from webhook.aws.clients import AwsClients
    from webhook.model.names import ClusterArn, RoleArn

_LONGEST_SECRET = 16384
"""Characters of a session token; STS states no limit, and its tokens have about 1,000."""


async def by_token(calls: AwsCalls, role: RoleArn, token: str, name: str) -> SessionKeys:
    """The credentials that STS gives for `token` in a session of that name. Raises AwsError."""

    def assume(clients: AwsClients) -> SessionKeys:
        found = clients.sts_without_credentials.assume_role_with_web_identity(
            RoleArn=role.value, RoleSessionName=name, WebIdentityToken=token
        )["Credentials"]
        return _keys(found["AccessKeyId"], found["SecretAccessKey"], found["SessionToken"])

    return await calls.call("AssumeRoleWithWebIdentity", assume)


async def by_association(calls: AwsCalls, cluster: ClusterArn, token: str) -> SessionKeys:
    """The credentials that EKS gives for a pod's `token` (eks-auth:AssumeRoleForPodIdentity). Raises AwsError."""

    def assume(clients: AwsClients) -> SessionKeys:
        found = clients.eks_auth.assume_role_for_pod_identity(clusterName=cluster.name, token=token)["credentials"]
        return _keys(found["accessKeyId"], found["secretAccessKey"], found["sessionToken"])

    return await calls.call("AssumeRoleForPodIdentity", assume)


def _keys(access_key: object, secret_key: object, token: object) -> SessionKeys:
    return SessionKeys(text(access_key), text(secret_key), text(token, _LONGEST_SECRET))
