"""STS through unmodified boto3: who gets credentials for a token, and AWS's words for who does not."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import TYPE_CHECKING, Any

import jwt
import pytest

from rig.aws import ACCOUNT, AwsStandIn, Credentials, ManualClock, TokenIssuer
from rig.aws.expect import refused

if TYPE_CHECKING:
    from mypy_boto3_iam import IAMClient
    from mypy_boto3_sts import STSClient

SUBJECT = "system:serviceaccount:mxp-1-system:mxp-controller"
NOT_AUTHORIZED = "Not authorized to perform sts:AssumeRoleWithWebIdentity"
NO_KEY = (
    "Couldn't retrieve verification key from your identity provider,  "
    "please reference AssumeRoleWithWebIdentity documentation for requirements"
)


def assume(sts: "STSClient", role: str, token: str, **more: Any) -> Credentials:
    answer = sts.assume_role_with_web_identity(
        RoleArn=role, RoleSessionName="session-1", WebIdentityToken=token, **more
    )
    found = answer["Credentials"]
    return Credentials(found["AccessKeyId"], found["SecretAccessKey"], found["SessionToken"])


def test_a_trusted_subject_gets_credentials_that_work(
    aws: AwsStandIn, sts: "STSClient", issuer: TokenIssuer, role: str
) -> None:
    credentials = assume(sts, role, issuer.token(SUBJECT))

    identity = aws.client("sts", credentials).get_caller_identity()
    assert identity["Arn"] == f"arn:aws:sts::{ACCOUNT}:assumed-role/backup/session-1"
    assert identity["Account"] == ACCOUNT
    assert identity["UserId"].startswith("AROA")
    assert identity["UserId"].endswith(":session-1")


def test_the_answer_names_the_subject_and_the_provider(sts: "STSClient", issuer: TokenIssuer, role: str) -> None:
    answer = sts.assume_role_with_web_identity(
        RoleArn=role, RoleSessionName="session-1", WebIdentityToken=issuer.token(SUBJECT)
    )

    assert answer["SubjectFromWebIdentityToken"] == SUBJECT
    assert answer["Provider"] == issuer.provider_arn(ACCOUNT)
    assert answer["Audience"] == "sts.amazonaws.com"
    assert answer["AssumedRoleUser"]["Arn"] == f"arn:aws:sts::{ACCOUNT}:assumed-role/backup/session-1"


def test_the_call_needs_no_signature(aws: AwsStandIn, sts: "STSClient", issuer: TokenIssuer, role: str) -> None:
    assume(sts, role, issuer.token(SUBJECT))

    assert [record.caller for record in aws.log if record.action == "AssumeRoleWithWebIdentity"] == ["anonymous"]


def test_a_subject_that_is_not_trusted(sts: "STSClient", issuer: TokenIssuer, role: str) -> None:
    with refused("AccessDenied", 403, NOT_AUTHORIZED):
        assume(sts, role, issuer.token("system:serviceaccount:mxp-2-system:mxp-controller"))


def test_a_subject_is_trusted_as_soon_as_the_policy_says_so(
    iam: "IAMClient", sts: "STSClient", issuer: TokenIssuer, role: str
) -> None:
    with refused("AccessDenied", 403):
        assume(sts, role, issuer.token("late"))

    iam.update_assume_role_policy(RoleName="backup", PolicyDocument=issuer.trust(SUBJECT, "late", account=ACCOUNT))

    assume(sts, role, issuer.token("late"))


def test_a_role_that_is_not_there_answers_like_one_that_does_not_trust(
    sts: "STSClient", issuer: TokenIssuer, role: str
) -> None:
    with refused("AccessDenied", 403, NOT_AUTHORIZED):
        assume(sts, role.replace("backup", "nobody"), issuer.token(SUBJECT))


def test_the_path_of_a_role_is_part_of_its_name_here(sts: "STSClient", issuer: TokenIssuer, role: str) -> None:
    with refused("AccessDenied", 403, NOT_AUTHORIZED):
        assume(sts, role.replace("role/", "role/other/"), issuer.token(SUBJECT))


def test_an_annotation_that_is_no_role_arn(sts: "STSClient", issuer: TokenIssuer) -> None:
    with refused("ValidationError", 400, "Request ARN is invalid"):
        assume(sts, "arn:aws:iam::123456789012:user/alice", issuer.token(SUBJECT))


def test_an_issuer_without_a_provider_in_the_account(
    aws: AwsStandIn, sts: "STSClient", keys: TokenIssuer, role: str
) -> None:
    aws.add_issuer(keys.url, keys.jwks)

    with refused("InvalidIdentityToken", 400, f"No OpenIDConnect provider found in your account for {keys.url}"):
        assume(sts, role, keys.token(SUBJECT))


def test_the_provider_must_be_in_the_account_of_the_role(sts: "STSClient", issuer: TokenIssuer, role: str) -> None:
    with refused("InvalidIdentityToken", 400):
        assume(sts, role.replace(ACCOUNT, "999999999999"), issuer.token(SUBJECT))


def test_an_audience_the_provider_does_not_know(sts: "STSClient", issuer: TokenIssuer, role: str) -> None:
    with refused("InvalidIdentityToken", 400, "Incorrect token audience"):
        assume(sts, role, issuer.token(SUBJECT, audience="kubernetes"))


def test_an_audience_the_provider_knows_and_the_policy_does_not(
    iam: "IAMClient", sts: "STSClient", issuer: TokenIssuer, role: str
) -> None:
    iam.add_client_id_to_open_id_connect_provider(
        OpenIDConnectProviderArn=issuer.provider_arn(ACCOUNT), ClientID="other"
    )

    with refused("AccessDenied", 403, NOT_AUTHORIZED):
        assume(sts, role, issuer.token(SUBJECT, audience="other"))


def test_two_audiences_need_an_authorized_party(sts: "STSClient", issuer: TokenIssuer, role: str) -> None:
    both = ["sts.amazonaws.com", "other"]

    with refused("InvalidIdentityToken", 400):
        assume(sts, role, issuer.token(SUBJECT, audience=both))
    assume(sts, role, issuer.token(SUBJECT, audience=both, azp="sts.amazonaws.com"))


def test_an_expired_token(clock: ManualClock, sts: "STSClient", issuer: TokenIssuer, role: str) -> None:
    token = issuer.token(SUBJECT, lifetime=600)
    assume(sts, role, token)
    clock.advance(700)

    with refused("ExpiredTokenException", 400):
        assume(sts, role, token)


def test_a_token_signed_by_another_issuer(sts: "STSClient", issuer: TokenIssuer, role: str) -> None:
    forger = TokenIssuer(issuer.url)

    with refused("InvalidIdentityToken", 400):
        assume(sts, role, forger.token(SUBJECT))


def test_a_token_without_a_signature(sts: "STSClient", issuer: TokenIssuer, role: str) -> None:
    claims = jwt.decode(issuer.token(SUBJECT), options={"verify_signature": False})
    bare = jwt.encode(claims, "", algorithm="none", headers={"kid": "first"})

    with refused("InvalidIdentityToken", 400):
        assume(sts, role, bare)


def test_a_token_with_another_subject_pasted_in(sts: "STSClient", issuer: TokenIssuer, role: str) -> None:
    header, _, signature = issuer.token("system:serviceaccount:a:b").split(".")
    claims = issuer.token(SUBJECT).split(".")[1]

    with refused("InvalidIdentityToken", 400):
        assume(sts, role, f"{header}.{claims}.{signature}")


@pytest.mark.usefixtures("issuer")
def test_what_is_no_token_at_all(sts: "STSClient", role: str) -> None:
    with refused(
        "InvalidIdentityToken",
        400,
        "The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)",
    ):
        assume(sts, role, "not-a-token")


@pytest.mark.parametrize("claim", ["sub", "aud", "exp", "iat"])
def test_a_token_that_lacks_a_claim(sts: "STSClient", issuer: TokenIssuer, role: str, claim: str) -> None:
    claims = jwt.decode(issuer.token(SUBJECT), options={"verify_signature": False})
    del claims[claim]
    token = jwt.encode(claims, "any-key-that-is-long-enough-for-hmac", headers={"kid": "first"})

    with refused("InvalidIdentityToken", 400, f"Missing a required claim: {claim}."):
        assume(sts, role, token)


def test_a_session_lasts_as_long_as_asked_for(
    aws: AwsStandIn, clock: ManualClock, sts: "STSClient", issuer: TokenIssuer, role: str
) -> None:
    session = aws.client("sts", assume(sts, role, issuer.token(SUBJECT), DurationSeconds=900))
    clock.advance(890)
    session.get_caller_identity()
    clock.advance(20)

    with refused("ExpiredToken", 403, "The security token included in the request is expired"):
        session.get_caller_identity()


@pytest.mark.parametrize("seconds", [3601, 43201])
def test_a_session_lasts_no_longer_than_the_role_allows(
    sts: "STSClient", issuer: TokenIssuer, role: str, seconds: int
) -> None:
    with refused("ValidationError", 400):
        assume(sts, role, issuer.token(SUBJECT), DurationSeconds=seconds)


# Where the keys come from


def test_an_issuer_whose_keys_are_out_of_reach(
    aws: AwsStandIn, sts: "STSClient", issuer: TokenIssuer, role: str
) -> None:
    aws.remove_issuer(issuer.url)

    with refused("InvalidIdentityToken", 400, NO_KEY):
        assume(sts, role, issuer.token(SUBJECT))


def test_a_source_of_keys_that_fails(aws: AwsStandIn, sts: "STSClient", issuer: TokenIssuer, role: str) -> None:
    def fail() -> dict[str, Any]:
        raise OSError("no route to host")

    aws.add_issuer(issuer.url, fail)

    with refused("InvalidIdentityToken", 400, NO_KEY):
        assume(sts, role, issuer.token(SUBJECT))


def test_rotated_keys_are_fetched_again(aws: AwsStandIn, sts: "STSClient", issuer: TokenIssuer, role: str) -> None:
    published = [issuer.jwks]
    aws.add_issuer(issuer.url, lambda: {"keys": [key for jwks in published for key in jwks["keys"]]})
    assume(sts, role, issuer.token(SUBJECT))
    second = TokenIssuer(issuer.url, key_id="second")
    with refused("InvalidIdentityToken", 400, NO_KEY):
        assume(sts, role, second.token(SUBJECT))

    published.append(second.jwks)

    assume(sts, role, second.token(SUBJECT))
    assume(sts, role, issuer.token(SUBJECT))


@pytest.fixture
def jwks_url(keys: TokenIssuer) -> Iterator[str]:
    """The keys behind a plain http address, as an API server's /openid/v1/jwks is through a proxy."""

    class Keys(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(keys.jwks).encode())

        def log_message(self, *_: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Keys) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/openid/v1/jwks"
        server.shutdown()
        thread.join()


def test_keys_may_come_from_an_address(
    aws: AwsStandIn, sts: "STSClient", issuer: TokenIssuer, role: str, jwks_url: str
) -> None:
    aws.add_issuer(issuer.url, jwks_url)

    assume(sts, role, issuer.token(SUBJECT))
