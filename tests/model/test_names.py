"""Names that people and clusters hand in; the tables are in cases/names.yaml."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from webhook.model.errors import InvalidNameError
from webhook.model.names import IssuerUrl, RoleArn, Subject, is_namespace_name, is_service_account_name

TABLE: dict[str, Any] = yaml.safe_load((Path(__file__).parent / "cases" / "names.yaml").read_text("utf-8"))


@pytest.mark.parametrize("case", TABLE["role_arns"]["right"], ids=lambda case: case["arn"])
def test_a_role_arn_of_any_partition_and_path_is_taken_apart(case: dict[str, str]) -> None:
    arn = RoleArn(case["arn"])
    assert str(arn) == case["arn"]
    assert (arn.partition, arn.account, arn.name) == (case["partition"], case["account"], case["name"])


@pytest.mark.parametrize("text", TABLE["role_arns"]["wrong"], ids=repr)
def test_what_is_no_role_arn_is_refused_and_a_right_one_shown(text: str) -> None:
    with pytest.raises(InvalidNameError, match="arn:aws:iam::123456789012:role/mxp-backup") as refusal:
        RoleArn(text)
    assert repr(text) in str(refusal.value)


@pytest.mark.parametrize("text", TABLE["issuers"]["right"])
def test_an_issuer_is_kept_to_the_letter(text: str) -> None:
    issuer = IssuerUrl(text)
    assert str(issuer) == text
    assert f"https://{issuer.key}" == text
    assert issuer.provider_arn("aws-cn", "123456789012") == (
        f"arn:aws-cn:iam::123456789012:oidc-provider/{issuer.key}"
    )


@pytest.mark.parametrize("text", TABLE["issuers"]["wrong"], ids=repr)
def test_an_issuer_with_a_slip_of_the_pen_is_refused_and_where_to_copy_it_from_is_said(text: str) -> None:
    with pytest.raises(InvalidNameError, match="aws eks describe-cluster") as refusal:
        IssuerUrl(text)
    assert repr(text) in str(refusal.value)


@pytest.mark.parametrize("case", TABLE["subjects"]["right"], ids=lambda case: case["claim"])
def test_a_sub_claim_is_taken_apart(case: dict[str, str]) -> None:
    subject = Subject.parse(case["claim"])
    assert subject == Subject(case["namespace"], case["service_account"])
    assert str(subject) == case["claim"]


@pytest.mark.parametrize("claim", TABLE["subjects"]["wrong"], ids=repr)
def test_what_names_no_single_service_account_is_no_subject(claim: str) -> None:
    assert Subject.parse(claim) is None


@given(st.text() | st.from_regex(r"system:serviceaccount:.*:.*"))
def test_whatever_a_policy_says_parses_to_itself_or_to_nothing(claim: str) -> None:
    subject = Subject.parse(claim)
    assert subject is None or str(subject) == claim


@pytest.mark.parametrize(
    ("name", "namespace", "service_account"),
    [
        ("a" * 63, True, True),
        ("a" * 64, False, True),
        ("a" * 253, False, True),
        ("a" * 254, False, False),
        ("a.b", False, True),
        ("a-", False, False),
        ("", False, False),
        ("a\n", False, False),
    ],
    ids=lambda value: str(value)[:8],
)
def test_names_are_as_long_as_kubernetes_lets_them_be(name: str, namespace: bool, service_account: bool) -> None:  # noqa: FBT001
    assert is_namespace_name(name) is namespace
    assert is_service_account_name(name) is service_account
