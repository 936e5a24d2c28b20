"""Behind the decisions both ways out are closed: what writes in AWS or in the cluster is not sent."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from rig.aws import AwsStandIn
from tests.aws.conftest import use
from tests.support.misbehaving_api_server import api_server, says
from webhook.aws.calls import AwsCalls
from webhook.config.load import parse_configuration
from webhook.model.aws_errors import AwsError
from webhook.model.errors import ClusterError
from webhook.server.parts import parts_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from webhook.aws.clients import AwsClients

ROLE = "arn:aws:iam::123456789012:role/mxp-backup"
DOCUMENT = '{"Version": "2012-10-17", "Statement": []}'
WRITES: dict[str, Callable[[AwsClients], Any]] = {
    "UpdateAssumeRolePolicy": lambda aws: aws.iam.update_assume_role_policy(
        RoleName="mxp-backup", PolicyDocument=DOCUMENT
    ),
    "CreatePodIdentityAssociation": lambda aws: aws.eks.create_pod_identity_association(
        clusterName="spaces-prod", namespace="a", serviceAccount="b", roleArn=ROLE
    ),
    "UpdatePodIdentityAssociation": lambda aws: aws.eks.update_pod_identity_association(
        clusterName="spaces-prod", associationId="a-0123456789"
    ),
    "DeletePodIdentityAssociation": lambda aws: aws.eks.delete_pod_identity_association(
        clusterName="spaces-prod", associationId="a-0123456789"
    ),
    "TagRole": lambda aws: aws.iam.tag_role(RoleName="mxp-backup", Tags=[]),
}
CONFIGURATION = """
observe: {observe}
namespace: mxp-identity
bindings:
  - {{name: a, serviceAccount: b, namespaces: {{pattern: mxp-*}}, mode: irsa, roles: ["{role}"]}}
"""
CERTIFICATE = [
    ("PUT", "/api/v1/namespaces/mxp-identity/secrets/mxp-identity-webhook-tls"),
    ("PATCH", "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/mxp-identity-webhook"),
]
OTHERS = [
    ("PATCH", "/api/v1/namespaces/mxp-a-system/serviceaccounts/mxp-controller"),
    ("POST", "/api/v1/namespaces/mxp-a-system/events"),
    ("PATCH", "/apis/apps/v1/namespaces/mxp-a-system/deployments/mxp-controller"),
    ("PUT", "/api/v1/namespaces/mxp-identity/secrets/another"),
    ("DELETE", "/api/v1/namespaces/mxp-a-system"),
]


@pytest.fixture(scope="module")
def aws() -> Any:
    with AwsStandIn() as server:
        yield server


@pytest.mark.parametrize("operation", WRITES)
def test_no_write_reaches_aws(aws: AwsStandIn, monkeypatch: pytest.MonkeyPatch, operation: str) -> None:
    use(monkeypatch, aws.environment())
    aws.forget_calls()
    calls = AwsCalls(read_only=True)
    with pytest.raises(AwsError, match=f"{operation}: not sent: the program only observes"):
        asyncio.run(calls.call(operation, WRITES[operation]))
    calls.close()
    assert not aws.log


def test_reads_reach_aws(aws: AwsStandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, aws.environment())
    calls = AwsCalls(read_only=True)
    caller = asyncio.run(calls.call("GetCallerIdentity", lambda clients: clients.sts.get_caller_identity()))
    calls.close()
    assert caller["Account"] == aws.account


@pytest.mark.parametrize(("method", "path"), [*CERTIFICATE, *OTHERS])
@pytest.mark.parametrize("observe", [True, False])
def test_only_the_programs_own_certificate_is_written_in_the_cluster(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    method: str,
    path: str,
    observe: bool,  # noqa: FBT001
) -> None:
    with api_server(tmp_path, monkeypatch, says({})) as server:
        refused = asyncio.run(_write(method, path, observe=observe))
        assert bool(server.requests) is not refused
    assert refused is (observe and (method, path) in OTHERS)


async def _write(method: str, path: str, *, observe: bool) -> bool:
    """Try it with the connection of a program; answers whether it was refused."""
    text = CONFIGURATION.format(observe=str(observe).lower(), role=ROLE)
    parts = await parts_of(parse_configuration(text, "test"))
    try:
        await parts.connection.in_thread(lambda: parts.connection.request(method, path, body={}))
    except ClusterError as error:
        return "only observes" in str(error)
    finally:
        parts.connection.close()
        parts.calls.close()
    return False


def test_a_program_that_observes_is_given_calls_that_only_read(
    aws: AwsStandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, aws.environment())
    with api_server(tmp_path, monkeypatch, says({})):
        assert "not sent" in asyncio.run(_write_in_aws())


async def _write_in_aws() -> str:
    parts = await parts_of(parse_configuration(CONFIGURATION.format(observe="true", role=ROLE), "test"))
    try:
        await parts.calls.call("UpdateAssumeRolePolicy", WRITES["UpdateAssumeRolePolicy"])
    except AwsError as error:
        return str(error)
    finally:
        parts.connection.close()
        parts.calls.close()
    return ""
