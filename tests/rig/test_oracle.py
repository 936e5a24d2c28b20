from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from rig.oracle import InvalidTrustPolicyError, OracleStoppedError, TrustOracle

pytestmark = pytest.mark.rig

ISSUER = "https://oidc.eks.us-west-2.amazonaws.com/id/AAAA"
HOST = ISSUER.removeprefix("https://")
PROVIDER = f"arn:aws:iam::123456789012:oidc-provider/{HOST}"
BACKUP = {
    "Effect": "Allow",
    "Principal": {"Federated": PROVIDER},
    "Action": "sts:AssumeRoleWithWebIdentity",
    "Condition": {"StringEquals": {f"{HOST}:aud": "sts.amazonaws.com", f"{HOST}:sub": ["one", "two"]}},
}
POD_IDENTITY = {
    "Effect": "Allow",
    "Principal": {"Service": "pods.eks.amazonaws.com"},
    "Action": ["sts:AssumeRole", "sts:TagSession"],
}


def policy(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def token(subject: str = "one", audience: str = "sts.amazonaws.com", issuer: str = ISSUER) -> dict[str, str]:
    return {"provider_arn": PROVIDER, "issuer": issuer, "subject": subject, "audience": audience}


@pytest.fixture(scope="module")
def oracle() -> Any:
    with TrustOracle() as running:
        yield running


@pytest.mark.parametrize(
    ("presented", "allowed"),
    [
        (token(), True),
        (token("two", issuer=HOST), True),
        (token("three"), False),
        (token(audience="other"), False),
        (token(issuer="https://elsewhere.example"), False),
    ],
)
def test_a_named_subject_is_allowed_and_no_other(
    oracle: TrustOracle,
    presented: dict[str, str],
    allowed: bool,  # noqa: FBT001 - a column of the table above
) -> None:
    assert oracle.allows(policy(BACKUP), **presented) is allowed


def test_a_deny_wins_and_the_reason_says_so(oracle: TrustOracle) -> None:
    judgement = oracle.judge(policy(BACKUP, BACKUP | {"Effect": "Deny"}), **token())

    assert not judgement.allowed
    assert judgement.reason == "a Deny statement matches"


def test_statements_for_services_are_no_obstacle(oracle: TrustOracle) -> None:
    both = BACKUP | {"Principal": {"Federated": PROVIDER, "Service": ["ec2.amazonaws.com"]}}

    assert oracle.allows(policy(POD_IDENTITY, BACKUP), **token())
    assert oracle.allows(policy(both), **token())
    assert not oracle.allows(policy(POD_IDENTITY), **token())


@pytest.mark.parametrize(
    "document", ["", "[]", "{}", policy(), policy(BACKUP | {"Effect": "Maybe"}), policy({"Effect": "Allow"})]
)
def test_what_is_no_trust_policy_is_an_error(oracle: TrustOracle, document: Any) -> None:
    with pytest.raises(InvalidTrustPolicyError):
        oracle.allows(document, **token())


def test_many_threads_get_their_own_answers(oracle: TrustOracle) -> None:
    subjects = ["one", "three"] * 200

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda subject: oracle.allows(policy(BACKUP), **token(subject)), subjects))

    assert answers == [True, False] * 200


def test_a_closed_oracle_says_so() -> None:
    with TrustOracle() as closed:
        pass

    with pytest.raises(OracleStoppedError):
        closed.allows(policy(BACKUP), **token())
