"""`verify` names each service of AWS that it, or the webhook, cannot reach, and still reads the cluster."""

from __future__ import annotations

import json
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from rig.aws import AwsStandIn
from rig.kubernetes.objects import CONTROL_PLANE_LABEL
from tests.cli.commands import run
from tests.cli.verify.test_findings import BINDING, EKS, WELL, _shared
from tests.iam.policies import ISSUER as CLUSTER_ISSUER
from tests.support.sites import ISSUER, subject
from tests.support.stub_api_server import StubApiServer
from tests.support.unreachable import NO_NAME, black_hole, proxy, refusing, untrusted
from webhook.cli.verify.diagnosis import diagnose
from webhook.iam.trust_policy import TrustPolicy
from webhook.model.bindings import Mode
from webhook.planning.snapshot import AccountSnapshot, Installation
from webhook.podidentity.association import FoundAssociations

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PLANE = subject(1)
ROLE = "arn:aws:iam::123456789012:role/mxp-backup"
Rows = dict[str, tuple[str, str]]


class Stage:
    """A control plane in a cluster, and a person's file with a binding for it."""

    def __init__(self, folder: Path, api: StubApiServer, aws: AwsStandIn) -> None:
        self._folder = folder
        self._environment = {
            **aws.environment(base={"PATH": "/usr/bin:/bin"}),
            "KUBECONFIG": str(api.kubeconfig(folder, "opaque")),
        }

    def verify(self, mode: str, changed: dict[str, str], *removed: str) -> tuple[int, Rows, Rows]:
        """The exit code, and each finding by its check: those of AWS and the webhook, and the control plane's."""
        binding = {
            "name": "backup",
            "serviceAccount": PLANE.service_account,
            "namespaces": {"pattern": "mxp-*-system"},
            "mode": mode,
            "roles": [ROLE],
        }
        file = self._folder / "configuration.yaml"
        file.write_text(
            yaml.safe_dump(
                {"namespace": "mxp-identity", "cluster": {"name": "spaces-prod"}, "bindings": [binding]}
            )
        )
        env = {key: one for key, one in self._environment.items() if key not in removed} | changed
        ran = run("verify", "--config", str(file), "-o", "json", env=env)
        assert ran.out, ran.err
        document = json.loads(ran.out)
        (plane,) = document["controlPlanes"]
        return ran.code, _rows(document["webhook"]), _rows(plane["findings"])


def _rows(findings: list[dict[str, Any]]) -> Rows:
    return {one["check"]: (one["level"], one["message"]) for one in findings}


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with StubApiServer(issuer=ISSUER.value) as api, AwsStandIn() as aws:
        api.add(PLANE.namespace, PLANE.service_account, {CONTROL_PLANE_LABEL: "one"})
        api.come()
        yield Stage(tmp_path_factory.mktemp("stage"), api, aws)


def test_each_service_that_is_not_reached_has_a_row_and_the_cluster_is_looked_at_all_the_same(
    stage: Stage, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        at = {
            "STS": (stack.enter_context(black_hole()), "timed out; a VPC endpoint, NAT or HTTPS_PROXY is needed"),
            "IAM": (stack.enter_context(untrusted(tmp_path)), "not trusted (", "aws.caBundle"),
            "EKS": (stack.enter_context(refusing()), "connection refused; see AWS_ENDPOINT_URL"),
        }
        changed = {f"AWS_ENDPOINT_URL_{service}": url for service, (url, *_) in at.items()}
        code, common, plane = stage.verify("pod-identity", changed)
    assert code == 4
    for service, (url, *words) in at.items():
        level, message = common[service.lower()]
        assert (level, message.partition(": ")[0]) == (
            "unknown",
            f"this command cannot reach {service} at {url.partition('//')[2]}",
        )
        assert all(word in message for word in words), message
    assert plane["namespace"] == ("ok", "binding backup selects it")
    assert plane["association"] == ("unknown", "could not be read: STS cannot be reached")
    assert plane["role"] == ("unknown", f"{ROLE} could not be read: STS cannot be reached")


ALONE: dict[str, tuple[dict[str, str], str, dict[str, tuple[str, str]]]] = {
    "IAM": (
        {"AWS_ENDPOINT_URL_IAM": NO_NAME},
        "this command cannot reach IAM at aws.invalid: name not found (",
        {"oidc-provider": ("unknown", "IAM cannot be reached"), "role": ("unknown", "IAM cannot be reached")},
    ),
    "STS": (
        {"AWS_ENDPOINT_URL_STS": NO_NAME},
        "this command cannot reach STS at aws.invalid: name not found (",
        {"oidc-provider": ("unknown", "STS cannot be reached"), "role": ("unknown", "STS cannot be reached")},
    ),
}


@pytest.mark.parametrize("service", ALONE)
def test_one_that_is_not_reached_is_named_and_no_other(stage: Stage, service: str) -> None:
    changed, words, wanted = ALONE[service]
    code, common, plane = stage.verify("irsa", changed)
    assert code == 4
    assert [check for check in common if check in {"iam", "sts", "eks"}] == [service.lower()]
    assert common[service.lower()][1].startswith(words)
    for check, (level, reason) in wanted.items():
        assert plane[check][0] == level
        assert plane[check][1].endswith(reason)


def test_a_proxy_that_denies_aws_is_named(stage: Stage) -> None:
    with proxy(403) as url:
        changed = {"HTTPS_PROXY": url, "NO_PROXY": "127.0.0.1", "AWS_REGION": "us-west-2"}
        _, common, _ = stage.verify("irsa", changed, "AWS_ENDPOINT_URL")
    through = f"through the proxy {url.partition('//')[2]}: it answers 403 Said; allow the name in the proxy"
    assert common["iam"][1].startswith(f"this command cannot reach IAM at iam.amazonaws.com {through}")
    assert common["sts"][1].startswith(f"this command cannot reach STS at sts.us-west-2.amazonaws.com {through}")


def test_aws_that_is_reached_has_no_row(stage: Stage) -> None:
    _, common, _ = stage.verify("irsa", {})
    assert {"iam", "sts", "eks"}.isdisjoint(common)


TIMED_OUT = "no trust yet: GetRole: cannot reach IAM at iam.amazonaws.com: timed out; a VPC endpoint is needed"
NOT_TRUSTED = "no trust yet: GetRole: cannot reach IAM at iam.amazonaws.com: TLS certificate is not trusted"
EXTERNAL = {"Sid": "Other", "Effect": "Allow", "Principal": {"AWS": "123456789012"}, "Action": "sts:AssumeRole"}


@pytest.mark.parametrize(("reported", "template"), [(TIMED_OUT, False), (NOT_TRUSTED, True)])
def test_what_the_webhook_reported_is_the_reason_of_missing_trust(reported: str, *, template: bool) -> None:
    verdict = diagnose(replace(WELL, pending=reported), _shared(EXTERNAL))
    (found,) = [one for one in verdict.findings if one.check == "trust"]
    assert "because the webhook cannot reach IAM at iam.amazonaws.com: " in found.message
    assert found.fix is None
    assert bool(found.template and "--set aws.caBundle.name=NAME" in found.template) is template


def test_what_the_webhook_reported_is_the_reason_of_a_missing_association() -> None:
    binding = replace(BINDING, mode=Mode.POD_IDENTITY)
    policy = TrustPolicy({"Version": "2012-10-17", "Statement": [EXTERNAL]})
    account = AccountSnapshot({binding.roles[0]: policy}, quota=2048, associations=FoundAssociations({}, 0))
    installation = Installation("mxp-identity", CLUSTER_ISSUER, (binding,), eks=EKS)
    shared = _shared(binding=binding, account=account, installation=installation)
    reported = "no association yet: DescribeCluster: cannot reach EKS at eks.us-west-2.amazonaws.com: timed out; x"
    verdict = diagnose(replace(WELL, pending=reported), shared)
    (found,) = [one for one in verdict.findings if one.check == "association"]
    assert "because the webhook cannot reach EKS at eks.us-west-2.amazonaws.com" in found.message
