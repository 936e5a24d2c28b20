"""An address that SDKs talk to, and everything a client of it needs."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload
from urllib.parse import urlsplit

from botocore.config import Config

from rig.aws import clients
from rig.aws.callers import Credentials

if TYPE_CHECKING:
    from mypy_boto3_eks import EKSClient
    from mypy_boto3_eks_auth import EKSAuthClient
    from mypy_boto3_iam import IAMClient
    from mypy_boto3_sts import STSClient


class Endpoint:
    """A stand-in's address. `account`, `region` and `root` are what clients have to know of it.

    `root` is an access key that may do everything, for setting up.
    """

    url: str
    account: str
    region: str
    root: Credentials

    @overload
    def client(
        self, service: Literal["iam"], credentials: Credentials, config: Config | None = None
    ) -> "IAMClient": ...

    @overload
    def client(
        self, service: Literal["sts"], credentials: Credentials, config: Config | None = None
    ) -> "STSClient": ...

    @overload
    def client(
        self, service: Literal["eks"], credentials: Credentials, config: Config | None = None
    ) -> "EKSClient": ...

    @overload
    def client(
        self, service: Literal["eks-auth"], credentials: Credentials, config: Config | None = None
    ) -> "EKSAuthClient": ...

    @overload
    def client(
        self,
        service: Literal["ec2", "kms", "s3"],
        credentials: Credentials,
        config: Config | None = None,
        region: str = "",
    ) -> Any: ...

    def client(
        self, service: str, credentials: Credentials, config: Config | None = None, region: str = ""
    ) -> Any:
        """Return an unmodified boto3 client; by default it never tries twice and gives up after 5 seconds."""
        return clients.client(service, self.url, region or self.region, credentials, config)

    @overload
    def admin_client(self, service: Literal["iam"]) -> "IAMClient": ...

    @overload
    def admin_client(self, service: Literal["sts"]) -> "STSClient": ...

    @overload
    def admin_client(self, service: Literal["eks"]) -> "EKSClient": ...

    @overload
    def admin_client(self, service: Literal["eks-auth"]) -> "EKSAuthClient": ...

    @overload
    def admin_client(self, service: Literal["s3"]) -> Any: ...

    def admin_client(self, service: Literal["eks", "eks-auth", "iam", "s3", "sts"]) -> Any:
        """Return a client with the root key. Switches hold for it as for everybody."""
        return self.client(service, self.root)

    def environment(
        self,
        *,
        credentials: Credentials | None = None,
        role_arn: str | None = None,
        token_file: Path | None = None,
        base: Mapping[str, str] | None = None,
    ) -> dict[str, str]:
        """Return the whole environment for a child process that is to talk to this stand-in.

        `base` (default: this process's environment) loses its AWS_* variables. Credentials are those given, or a
        role with a token file, or the root key.
        """
        env = clients.environment(
            self.url, self.region, urlsplit(self.url).hostname or "", os.environ if base is None else base
        )
        if role_arn and token_file:
            return {**env, "AWS_ROLE_ARN": role_arn, "AWS_WEB_IDENTITY_TOKEN_FILE": str(token_file)}
        return {**env, **clients.key_variables(credentials or self.root)}
