"""Random trust in EKS: our reading of statements about a service and the oracle's must not differ."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from rig.aws.eks import SERVICE, TRUSTED_ACTIONS
from rig.aws.policy import check_trust_policy, trusts_service
from rig.oracle import TrustOracle

TAGS = ("kubernetes-namespace", "kubernetes-service-account", "eks-cluster-arn")
VALUES = ["mxp-a-system", "mxp-b-system", "mxp-controller", "MXP-a-system", "a"]
PATTERNS = [*VALUES, "mxp-*-system", "mxp-?-system", "*", "mxp*", ""]

OPERATORS = st.builds(
    lambda base, suffix: base + suffix,
    st.sampled_from(["StringEquals", "StringNotEquals", "StringEqualsIgnoreCase", "StringLike", "StringNotLike"]),
    st.sampled_from(["", "", "IfExists"]),
)
KEYS = st.sampled_from([f"aws:RequestTag/{tag}" for tag in (*TAGS, "Kubernetes-Namespace", "team")])
WRITTEN = st.one_of(st.sampled_from(PATTERNS), st.lists(st.sampled_from(PATTERNS), min_size=1, max_size=3))
STATEMENTS = st.fixed_dictionaries(
    {
        "Effect": st.sampled_from(["Allow", "Allow", "Allow", "Deny"]),
        "Principal": st.sampled_from(
            [
                {"Service": SERVICE},
                {"Service": SERVICE},
                {"Service": [SERVICE, "ec2.amazonaws.com"]},
                {"Service": "ec2.amazonaws.com"},
                {"AWS": "arn:aws:iam::123456789012:root"},
                {"AWS": "*"},
            ]
        ),
        "Action": st.sampled_from(
            [["sts:AssumeRole", "sts:TagSession"], "sts:*", "sts:AssumeRole", "sts:TagSession", "sts:assume*"]
        ),
    },
    optional={
        "Condition": st.dictionaries(OPERATORS, st.dictionaries(KEYS, WRITTEN, min_size=1, max_size=2), max_size=2)
    },
)
DOCUMENTS = st.fixed_dictionaries(
    {"Statement": st.one_of(STATEMENTS, st.lists(STATEMENTS, min_size=1, max_size=3))},
    optional={"Version": st.sampled_from(["2012-10-17", "2008-10-17"])},
)
CONTEXTS = st.fixed_dictionaries({f"aws:RequestTag/{tag}": st.sampled_from(VALUES) for tag in TAGS})


@pytest.fixture(scope="module")
def oracle() -> Iterator[TrustOracle]:
    with TrustOracle() as found:
        yield found


def names_a_key_twice(document: dict[str, Any]) -> bool:
    """Whether a block has one key in two spellings: which of them counts is not documented."""
    statements = document["Statement"] if isinstance(document["Statement"], list) else [document["Statement"]]
    blocks = [block for item in statements for block in item.get("Condition", {}).values()]
    return any(len({key.lower() for key in block}) < len(block) for block in blocks)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(document=DOCUMENTS, context=CONTEXTS)
def test_two_readings_of_trust_in_eks_agree(
    oracle: TrustOracle, document: dict[str, Any], context: dict[str, str]
) -> None:
    assume(not names_a_key_twice(document))
    text = json.dumps(document)
    check_trust_policy(text)

    theirs = oracle.judge_service(
        text,
        service=SERVICE,
        actions=TRUSTED_ACTIONS,
        context={key: [value] for key, value in context.items()},
    )

    ours = trusts_service(
        text, SERVICE, TRUSTED_ACTIONS, {key.lower(): (value,) for key, value in context.items()}
    )
    assert ours == theirs.allowed, theirs.reason
