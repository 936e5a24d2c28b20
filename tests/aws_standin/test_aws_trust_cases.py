"""The table of trust policies: our reading, through the stand-in's API, and the independent oracle's."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from botocore.exceptions import ClientError

from rig.aws import ACCOUNT, AwsStandIn, TokenIssuer
from rig.oracle import InvalidTrustPolicyError, TrustOracle

if TYPE_CHECKING:
    from mypy_boto3_iam import IAMClient
    from mypy_boto3_sts import STSClient

TABLE = yaml.safe_load(Path(__file__).with_name("trust_cases.yaml").read_text())
CASES: list[dict[str, Any]] = TABLE["cases"]
EACH_CASE = pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
ISSUER = "https://oidc.example.com/id/A"


class Judge:
    """A stand-in with one role, whose trust policy is replaced for each case."""

    def __init__(self, aws: AwsStandIn) -> None:
        self.iam: IAMClient = aws.admin_client("iam")
        self.sts: STSClient = aws.admin_client("sts")
        self.issuer = TokenIssuer(ISSUER)
        aws.add_issuer(ISSUER, self.issuer.jwks)
        self.iam.create_open_id_connect_provider(Url=ISSUER, ClientIDList=["sts.amazonaws.com"])
        document = self.issuer.trust("nobody", account=ACCOUNT)
        self.arn = self.iam.create_role(RoleName="r", AssumeRolePolicyDocument=document)["Role"]["Arn"]

    def says(self, document: str, token: dict[str, str]) -> str:
        try:
            self.iam.update_assume_role_policy(RoleName="r", PolicyDocument=document)
        except ClientError as error:
            return error.response["Error"]["Code"].replace("MalformedPolicyDocument", "malformed")
        signed = self.issuer.token(token["sub"], audience=token["aud"])
        try:
            self.sts.assume_role_with_web_identity(
                RoleArn=self.arn, RoleSessionName="case", WebIdentityToken=signed
            )
        except ClientError as error:
            return error.response["Error"]["Code"].replace("AccessDenied", "refused")
        return "trusted"


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    with AwsStandIn() as aws:
        yield Judge(aws)


@pytest.fixture(scope="module")
def oracle() -> Iterator[TrustOracle]:
    with TrustOracle() as found:
        yield found


def document_of(case: dict[str, Any]) -> str:
    if "document" in case:
        return str(case["document"])
    version = case.get("version", "2012-10-17")
    return json.dumps({**({"Version": version} if version else {}), "Statement": case["statements"]})


def token_of(case: dict[str, Any]) -> dict[str, str]:
    return {**TABLE["token"], **case.get("token", {})}


@EACH_CASE
def test_the_stand_in_judges_as_expected(judge: Judge, case: dict[str, Any]) -> None:
    assert judge.says(document_of(case), token_of(case)) == case["expected"]


@EACH_CASE
def test_the_independent_oracle_agrees(oracle: TrustOracle, case: dict[str, Any]) -> None:
    token = token_of(case)
    try:
        allowed = oracle.allows(
            document_of(case),
            provider_arn=f"arn:aws:iam::{ACCOUNT}:oidc-provider/oidc.example.com/id/A",
            issuer=ISSUER,
            subject=token["sub"],
            audience=token["aud"],
        )
        says = "trusted" if allowed else "refused"
    except InvalidTrustPolicyError:
        says = "malformed"

    assert says == case.get("oracle", {"says": case["expected"]})["says"]


def test_where_the_oracle_differs_the_table_says_why() -> None:
    differing = [case for case in CASES if "oracle" in case]

    assert all(case["oracle"]["because"] and case["oracle"]["says"] != case["expected"] for case in differing)


def test_the_table_covers_both_answers_and_every_name_once() -> None:
    names = [case["name"] for case in CASES]

    assert len(set(names)) == len(names) >= 60
    assert {case["expected"] for case in CASES} == {"trusted", "refused", "malformed"}
