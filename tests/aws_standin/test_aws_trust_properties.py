"""Random documents and tokens: our reading and the oracle's must not differ."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from rig.aws.normal_form import reordered
from rig.aws.policy import check_trust_policy, trusts
from rig.oracle import TrustOracle

ISSUER = "oidc.example.com/id/A"
PROVIDER = f"arn:aws:iam::123456789012:oidc-provider/{ISSUER}"

# A small alphabet, so that values meet often.
SUBJECTS = ["system:serviceaccount:a:c", "system:serviceaccount:b:c", "system:serviceaccount:ab:c", "A", "a", ""]
PATTERNS = [*SUBJECTS, "*", "system:*:c", "system:serviceaccount:?:c", "system:serviceaccount:a*", "?", "a?*"]
AUDIENCES = ["sts.amazonaws.com", "STS.amazonaws.com", "other"]

OPERATORS = st.builds(
    lambda prefix, base, suffix: prefix + base + suffix,
    st.sampled_from(["", "", "", "ForAnyValue:", "ForAllValues:"]),
    st.sampled_from(
        [
            "StringEquals",
            "StringNotEquals",
            "StringEqualsIgnoreCase",
            "StringNotEqualsIgnoreCase",
            "StringLike",
            "StringNotLike",
        ]
    ),
    st.sampled_from(["", "", "IfExists"]),
)
KEYS = st.sampled_from(
    [f"{ISSUER}:sub", f"{ISSUER}:SUB", f"{ISSUER}:aud", f"{ISSUER}:team", "oidc.example.com:sub"]
)
VALUES = st.one_of(
    st.sampled_from(PATTERNS + AUDIENCES), st.lists(st.sampled_from(PATTERNS + AUDIENCES), max_size=3)
)
STATEMENTS = st.fixed_dictionaries(
    {
        "Effect": st.sampled_from(["Allow", "Allow", "Deny"]),
        "Principal": st.sampled_from(
            [
                {"Federated": PROVIDER},
                {"Federated": PROVIDER},
                {"Federated": [PROVIDER, PROVIDER + "B"]},
                {"Federated": PROVIDER + "B"},
                {"AWS": "arn:aws:iam::123456789012:root"},
            ]
        ),
        "Action": st.sampled_from(
            ["sts:AssumeRoleWithWebIdentity", "sts:*", ["sts:AssumeRole", "sts:TagSession"], "sts:Assume*"]
        ),
    },
    optional={
        "Condition": st.dictionaries(OPERATORS, st.dictionaries(KEYS, VALUES, min_size=1, max_size=2), max_size=2)
    },
)
DOCUMENTS = st.fixed_dictionaries(
    {"Statement": st.one_of(STATEMENTS, st.lists(STATEMENTS, min_size=1, max_size=3))},
    optional={"Version": st.sampled_from(["2012-10-17", "2008-10-17"])},
)
MANY = settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def oracle() -> Iterator[TrustOracle]:
    with TrustOracle() as found:
        yield found


def ours(document: str, subject: str, audience: str) -> bool:
    context = {f"{ISSUER}:sub".lower(): subject, f"{ISSUER}:aud".lower(): audience}
    return trusts(
        document, provider_arn=PROVIDER, context={key: (value,) for key, value in context.items() if value}
    )


def is_beyond_the_oracle(document: dict[str, Any]) -> bool:
    """Whether ForAnyValue looks at an absent key: the table has these cases, and why the oracle is wrong."""
    statements = document["Statement"] if isinstance(document["Statement"], list) else [document["Statement"]]
    return any(
        operator.startswith("ForAnyValue:") and ("Not" in operator or operator.endswith("IfExists"))
        for statement in statements
        for operator, block in statement.get("Condition", {}).items()
        if not {key.lower() for key in block} <= {f"{ISSUER}:sub".lower(), f"{ISSUER}:aud".lower()}
    )


@MANY
@given(document=DOCUMENTS, subject=st.sampled_from(SUBJECTS[:-1]), audience=st.sampled_from(AUDIENCES))
def test_two_readings_of_a_document_agree(
    oracle: TrustOracle, document: dict[str, Any], subject: str, audience: str
) -> None:
    assume(not is_beyond_the_oracle(document))
    text = json.dumps(document)
    check_trust_policy(text)

    theirs = oracle.judge(text, provider_arn=PROVIDER, issuer=ISSUER, subject=subject, audience=audience)

    assert ours(text, subject, audience) == theirs.allowed, theirs.reason


@MANY
@given(document=DOCUMENTS, subject=st.sampled_from(SUBJECTS[:-1]), seed=st.integers(0, 5))
def test_reordering_a_document_does_not_change_what_it_means(
    document: dict[str, Any], subject: str, seed: int
) -> None:
    text = json.dumps(document)
    other = reordered(text, seed)

    check_trust_policy(other)
    assert all(ours(other, subject, audience) == ours(text, subject, audience) for audience in AUDIENCES)
    assert other == reordered(text, seed)
