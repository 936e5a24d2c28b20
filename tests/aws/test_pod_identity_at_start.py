"""Mode pod-identity at start: no program for a wrong cluster, and one that waits where EKS does not say."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from rig.aws import AwsStandIn, Refuse
from tests.aws.conftest import Program, use
from tests.support.pods import CLUSTER, PODS
from tests.support.sites import ELSEWHERE, ISSUER, binding, role
from webhook.aws.calls import AwsCalls
from webhook.model.aws_errors import AwsError
from webhook.model.bindings import Mode
from webhook.model.errors import ConfigurationError
from webhook.server.issuer import ClusterIssuer
from webhook.server.pod_identity import PodIdentity, pod_identity
from webhook.server.startup import cluster_check

if TYPE_CHECKING:
    from collections.abc import Iterator

    from webhook.model.bindings import Binding

ROLE = role()
PODS_BINDING = binding(ROLE, mode=Mode.POD_IDENTITY)


@pytest.fixture(scope="module")
def aws() -> Iterator[AwsStandIn]:
    with AwsStandIn() as server:
        server.add_cluster(CLUSTER.name, ISSUER.value)
        server.add_cluster("elsewhere", ELSEWHERE.value)
        yield server


@pytest.fixture
def program(aws: AwsStandIn, monkeypatch: pytest.MonkeyPatch) -> Iterator[Program]:
    use(monkeypatch, aws.environment())
    running = Program()
    yield running
    running.calls.close()


def parts_of(
    program: Program, name: str | None = CLUSTER.name, bindings: tuple[Binding, ...] = (PODS_BINDING,)
) -> PodIdentity | None:
    return asyncio.run(
        pod_identity(
            bindings,
            name=name,
            installation="mxp-identity",
            calls=program.calls,
            caller=program.caller,
            issuer=lambda: ISSUER,
        )
    )


async def check(parts: PodIdentity | None) -> bool:
    """Ask once, as `serve` does until it is answered."""
    assert parts is not None
    issuer = ClusterIssuer()
    issuer.learn(ISSUER)
    return await cluster_check(parts.cluster, issuer).ask()


def test_the_parts_are_of_the_cluster_that_eks_has_confirmed(program: Program, aws: AwsStandIn) -> None:
    parts = parts_of(program)
    assert asyncio.run(check(parts))
    assert parts is not None
    assert parts.owner.cluster == CLUSTER
    assert parts.statements(ROLE) == (PODS,)
    assert parts.statements(role("other")) == ()
    assert aws.count("DescribeCluster") > 0


@pytest.mark.parametrize(
    ("name", "words"), [("elsewhere", "names another cluster"), ("nowhere", "No cluster found for name: nowhere")]
)
def test_a_wrong_name_is_a_wrong_configuration(program: Program, name: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words) as refused:
        asyncio.run(check(parts_of(program, name)))
    assert str(refused.value).startswith("cluster.name: ")


def test_where_eks_does_not_say_nothing_is_made(program: Program, aws: AwsStandIn) -> None:
    parts = parts_of(program)
    assert parts is not None

    async def work() -> None:
        with pytest.raises(AwsError):
            await check(parts)
        with pytest.raises(AwsError):
            await parts.api.list()

    with aws.fault(Refuse(code="ServerException")):
        asyncio.run(work())


def test_without_a_binding_in_this_mode_eks_is_not_asked(program: Program, aws: AwsStandIn) -> None:
    aws.forget_calls()
    assert parts_of(program, bindings=(binding(ROLE),)) is None
    assert aws.log == []


@pytest.mark.parametrize("variable", ["AWS_REGION", "AWS_DEFAULT_REGION"])
def test_the_region_is_what_either_variable_says(
    aws: AwsStandIn, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    use(monkeypatch, aws.environment())
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name)
    monkeypatch.setenv(variable, "eu-central-1")
    assert asyncio.run(_regions(AwsCalls())) == ("eu-central-1", "eu-central-1")


@pytest.mark.parametrize(
    ("partition", "region"),
    [
        ("aws", "us-east-1"),
        ("aws-cn", "cn-north-1"),
        ("aws-us-gov", "us-gov-west-1"),
        ("aws-iso", "us-iso-east-1"),
        ("aws-iso-b", "us-isob-east-1"),
        ("aws-of-tomorrow", "us-east-1"),
    ],
)
def test_without_a_region_it_follows_the_partition_of_the_roles(
    aws: AwsStandIn, monkeypatch: pytest.MonkeyPatch, partition: str, region: str
) -> None:
    use(monkeypatch, aws.environment())
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name)
    assert asyncio.run(_regions(AwsCalls(partition=partition))) == (region, region)


async def _regions(calls: AwsCalls) -> tuple[str, str]:
    """The region that is called, by what the calls and the clients say."""
    try:
        return await calls.region(), await calls.call("Any", lambda clients: clients.sts.meta.region_name)
    finally:
        calls.close()
