"""Trying a token: what STS says to it, through an unmodified and unsigned boto3 client."""

from dataclasses import dataclass

from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError

from rig.aws.callers import Credentials
from rig.aws.standin import AwsStandIn

UNSIGNED_ONCE = Config(signature_version=UNSIGNED)


@dataclass(frozen=True)
class Assumed:
    """An answer of AssumeRoleWithWebIdentity: the session's ARN and its credentials, or AWS's error."""

    code: str
    message: str = ""
    arn: str = ""
    credentials: Credentials | None = None

    @property
    def ok(self) -> bool:
        """Whether there are credentials."""
        return self.code == "OK"


def assume(aws: AwsStandIn, role_arn: str, token: str, session: str = "mxp-controller") -> Assumed:
    """Return what STS answers to a token for a role."""
    sts = aws.client("sts", aws.root, UNSIGNED_ONCE)
    try:
        answer = sts.assume_role_with_web_identity(
            RoleArn=role_arn, RoleSessionName=session, WebIdentityToken=token
        )
    except ClientError as error:
        return Assumed(error.response["Error"]["Code"], error.response["Error"]["Message"])
    keys = answer["Credentials"]
    credentials = Credentials(keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"])
    return Assumed("OK", arn=answer["AssumedRoleUser"]["Arn"], credentials=credentials)
