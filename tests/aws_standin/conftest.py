from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from rig.aws import ACCOUNT, AwsStandIn, ManualClock, TokenIssuer

if TYPE_CHECKING:
    from mypy_boto3_iam import IAMClient
    from mypy_boto3_sts import STSClient

SUBJECT = "system:serviceaccount:mxp-1-system:mxp-controller"


@pytest.fixture(scope="session")
def keys() -> TokenIssuer:
    """An issuer; making its keys takes long enough to do it once."""
    return TokenIssuer("https://oidc.eks.us-west-2.amazonaws.com/id/0123456789ABCDEF0123456789ABCDEF")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def aws(clock: ManualClock) -> Iterator[AwsStandIn]:
    with AwsStandIn(clock=clock) as stand_in:
        yield stand_in


@pytest.fixture
def iam(aws: AwsStandIn) -> "IAMClient":
    return aws.admin_client("iam")


@pytest.fixture
def sts(aws: AwsStandIn) -> "STSClient":
    return aws.admin_client("sts")


@pytest.fixture
def issuer(aws: AwsStandIn, iam: "IAMClient", keys: TokenIssuer) -> TokenIssuer:
    """The issuer, known to the stand-in, with its OIDC provider in the account."""
    aws.add_issuer(keys.url, keys.jwks)
    iam.create_open_id_connect_provider(Url=keys.url, ClientIDList=["sts.amazonaws.com"])
    return keys


@pytest.fixture
def role(iam: "IAMClient", keys: TokenIssuer) -> str:
    """A role that trusts one subject; its ARN."""
    document = keys.trust(SUBJECT, account=ACCOUNT)
    return iam.create_role(RoleName="backup", AssumeRolePolicyDocument=document)["Role"]["Arn"]
