"""`verify` names statements and providers meant for a control plane that allow nothing, with the repair."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from rig.aws import AwsStandIn
from rig.kubernetes.objects import CONTROL_PLANE_LABEL
from tests.cli.commands import run
from tests.support.sites import ISSUER, subject
from tests.support.stub_api_server import StubApiServer
from webhook.model.names import IssuerUrl

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY = ISSUER.key
TWIN = KEY.replace("oidc.eks.us-west-2.amazonaws.com", "oidc-eks.us-west-2.api.aws")
PROVIDER, TWIN_PROVIDER = (f"arn:aws:iam::123456789012:oidc-provider/{key}" for key in (KEY, TWIN))
AUD = "sts.amazonaws.com"
SUB = "{subject}"
PATTERN = "system:serviceaccount:mxp-*-system:mxp-controller"

# The principal, the condition, and what is wrong with them; a subject is filled in.
CASES: dict[str, tuple[str, dict[str, Any], list[str]]] = {
    "the dual-stack provider": (
        TWIN_PROVIDER,
        {"StringEquals": {f"{TWIN}:aud": AUD, f"{TWIN}:sub": SUB}},
        [
            f"its principal {TWIN_PROVIDER} is another address of the same issuer",
            f"correct is {PROVIDER}",
            f"its condition key {TWIN}:sub is of no token: it has another address of the issuer",
            f"correct is {KEY}:sub",
        ],
    ),
    "the dual-stack provider and a pattern": (
        TWIN_PROVIDER,
        {"StringEquals": {f"{TWIN}:aud": AUD}, "StringLike": {f"{TWIN}:sub": PATTERN}},
        [f"its principal {TWIN_PROVIDER} is another address of the same issuer"],
    ),
    "keys of the dual-stack address alone": (
        PROVIDER,
        {"StringEquals": {f"{TWIN}:aud": AUD, f"{TWIN}:sub": SUB}},
        [f"its condition key {TWIN}:aud is of no token", f"correct is {KEY}:aud", f"correct is {KEY}:sub"],
    ),
    "keys with https": (
        PROVIDER,
        {"StringEquals": {f"https://{KEY}:aud": AUD, f"https://{KEY}:sub": SUB}},
        [f"its condition key https://{KEY}:sub is of no token: it begins with https://; correct is {KEY}:sub"],
    ),
    "keys with an ARN": (
        PROVIDER,
        {"StringEquals": {f"{KEY}:aud": AUD, f"{PROVIDER}:sub": SUB}},
        [f"its condition key {PROVIDER}:sub is of no token: it begins with an ARN; correct is {KEY}:sub"],
    ),
    "a pattern under StringEquals": (
        PROVIDER,
        {"StringEquals": {f"{KEY}:aud": AUD, f"{KEY}:sub": PATTERN}},
        [f"its StringEquals reads {PATTERN} without wildcards; StringLike has them"],
    ),
    "a pattern under ForAnyValue:StringEquals": (
        PROVIDER,
        {"StringEquals": {f"{KEY}:aud": AUD}, "ForAnyValue:StringEquals": {f"{KEY}:sub": ["other", PATTERN]}},
        [f"its ForAnyValue:StringEquals reads {PATTERN} without wildcards; StringLike has them"],
    ),
    "another audience": (
        PROVIDER,
        {
            "StringEquals": {f"{KEY}:aud": "other"},
            "StringLike": {f"{KEY}:sub": PATTERN},
            "StringNotLike": {f"{KEY}:sub": "system:serviceaccount:kube-*"},
        },
        [f"(Sid ByHand) names it, but it wants the audience other, and tokens are for {AUD}"],
    ),
}
ACTIONS = {"another audience": "sts:assumeRoleWith*"}
"""Where it is not written as AWS writes it; IAM ignores case, and takes patterns."""
PLANES = {name: subject(number) for number, name in enumerate(CASES, 1)}


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, dict[str, dict[str, Any]]]]:
    """What one run of `verify` finds: for each case the findings by their checks."""
    folder = tmp_path_factory.mktemp("verify")
    bindings = []
    with StubApiServer(issuer=ISSUER.value) as api, AwsStandIn() as aws:
        iam = aws.admin_client("iam")
        iam.create_open_id_connect_provider(Url=f"https://{TWIN}", ClientIDList=[AUD])
        for number, (name, plane) in enumerate(PLANES.items()):
            principal, condition, _ = CASES[name]
            statement = {
                "Sid": "ByHand",
                "Effect": "Allow",
                "Principal": {"Federated": principal},
                "Action": ACTIONS.get(name, "sts:AssumeRoleWithWebIdentity"),
                "Condition": json.loads(json.dumps(condition).replace(SUB, str(plane))),
            }
            document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
            iam.create_role(RoleName=f"backup-{number}", AssumeRolePolicyDocument=document)
            api.add(plane.namespace, plane.service_account, {CONTROL_PLANE_LABEL: "one"})
            bindings.append(
                {
                    "name": f"backup-{number}",
                    "serviceAccount": plane.service_account,
                    "namespaces": {"pattern": plane.namespace},
                    "mode": "irsa",
                    "roles": [f"arn:aws:iam::{aws.account}:role/backup-{number}"],
                }
            )
        api.come()
        file = folder / "configuration.yaml"
        file.write_text(yaml.safe_dump({"namespace": "mxp-identity", "bindings": bindings}))
        env = {
            **aws.environment(base={"PATH": "/usr/bin:/bin"}),
            "KUBECONFIG": str(api.kubeconfig(folder, "opaque")),
        }
        ran = run("verify", "--config", str(file), "-o", "json", env=env)
        assert ran.code == 4, ran.err
        planes = {one["namespace"]: one["findings"] for one in ran.document["controlPlanes"]}
        yield {name: {one["check"]: one for one in planes[plane.namespace]} for name, plane in PLANES.items()}


@pytest.mark.parametrize("name", CASES)
def test_a_statement_that_was_meant_for_it_is_named_with_what_is_right(
    found: dict[str, dict[str, dict[str, Any]]], name: str
) -> None:
    trust = found[name]["trust"]
    assert trust["level"] == "broken"
    assert "statement 1 (Sid ByHand) names it, but " in trust["message"]
    for words in CASES[name][2]:
        assert words in trust["message"]
    assert trust["fix"].startswith("mxp-identity apply ")


def test_nothing_is_said_to_be_wrong_that_is_right(found: dict[str, dict[str, dict[str, Any]]]) -> None:
    assert found["another audience"]["trust"]["message"].endswith(CASES["another audience"][2][0])


def test_the_provider_of_the_dual_stack_address_is_named_beside_the_one_that_is_missing(
    found: dict[str, dict[str, dict[str, Any]]],
) -> None:
    provider = found["keys with https"]["oidc-provider"]
    assert provider["level"] == "broken"
    assert f"there is no OIDC provider {PROVIDER}: " in provider["message"]
    assert f"; {TWIN_PROVIDER} is for another address of the issuer, which no token names" in provider["message"]
    assert f"create-open-id-connect-provider --url {ISSUER}" in provider["fix"]


@pytest.mark.parametrize(
    ("issuer", "twin"),
    [
        (
            "https://oidc.eks.cn-north-1.amazonaws.com.cn/id/{0}",
            "oidc-eks.cn-north-1.api.amazonwebservices.com.cn/id/{0}",
        ),
        ("https://oidc.eks.us-gov-west-1.amazonaws.com/id/{0}", "oidc-eks.us-gov-west-1.api.aws/id/{0}"),
        ("https://oidc.example.com/id/{0}", None),
    ],
)
def test_the_other_address_of_an_issuer_is_known_where_eks_has_one(issuer: str, twin: str | None) -> None:
    digits = "A1" * 16
    assert IssuerUrl(issuer.format(digits)).twin == (twin and twin.format(digits))
