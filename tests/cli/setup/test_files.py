"""The files that `setup` writes: the values of two charts, and a SharedBackupConfig for Spaces."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from rig.aws.standin import AwsStandIn
from rig.chart import render
from rig.space import EKS_CLUSTER
from tests.cli.setup.accounts import BY_PODS, IMAGE, ISSUER, ROLES, account_of, said, setup, told
from webhook.cli.setup.release import Image, service_account_of
from webhook.model.errors import InvalidNameError

KEY = "arn:aws:kms:us-west-2:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
ROLE_ANNOTATION = "eks.amazonaws.com/role-arn"
REGISTRY, TAG = IMAGE.split("/")[0], IMAGE.rpartition(":")[2]


@pytest.fixture(scope="module")
def kept() -> Iterator[AwsStandIn]:
    """One account for all that only plans."""
    with AwsStandIn() as running:
        running.add_cluster(EKS_CLUSTER, ISSUER)
        yield running


class _Files:
    """The files, in a folder of the test's own."""

    def __init__(self, folder: Path) -> None:
        self.chart, self.spaces, self.backups = (
            folder / f"{name}.yaml" for name in ("chart", "spaces", "backups")
        )

    @property
    def options(self) -> tuple[str, ...]:
        files = {"--values": self.chart, "--spaces-values": self.spaces, "--backup-config": self.backups}
        named = [word for option, path in files.items() for word in (option, str(path))]
        return (*named, "--image", IMAGE)

    def read(self) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        chart, spaces, backups = (
            yaml.safe_load(path.read_text()) for path in (self.chart, self.spaces, self.backups)
        )
        return chart, spaces, backups


@pytest.fixture
def files(tmp_path: Path) -> _Files:
    return _Files(tmp_path)


def _arn(name: str) -> str:
    return f"arn:aws:iam::123456789012:role/{name}"


def test_a_tag_that_looks_like_a_number_reaches_the_chart_as_it_is(kept: AwsStandIn, files: _Files) -> None:
    for tag in ("12345e7", "0o14", "1_000"):
        image = f"{IMAGE.rpartition(':')[0]}:{tag}"
        assert setup(kept, "--values", str(files.chart), "--image", image).code == 3
        assert f"  tag: '{tag}'\n" in files.chart.read_text()
        files.chart.unlink()


RELEASES: dict[str, tuple[str, tuple[str, ...], str, str]] = {
    "the usual": ("irsa", (), "mxp-identity-webhook", "mxp-identity"),
    "another": ("pod-identity", ("--release", "mxp", "--release-namespace", "identity"), "mxp", "identity"),
    "with the chart's name in it": (
        "irsa",
        ("--release", "mxp-identity-webhook-2"),
        "mxp-identity-webhook-2",
        "mxp-identity",
    ),
    "cut": ("pod-identity", ("--release", "a" * 40), "a" * 40, "mxp-identity"),
    "cut at a hyphen": ("irsa", ("--release", "a" * 51), "a" * 51, "mxp-identity"),
    "with another ServiceAccount": (
        "pod-identity",
        ("--service-account", "own"),
        "mxp-identity-webhook",
        "mxp-identity",
    ),
}
"""Mode, options, name and namespace of a release."""


@pytest.mark.parametrize("name", RELEASES)
def test_a_release_starts_with_its_values_as_the_service_account_that_its_role_trusts(
    kept: AwsStandIn, files: _Files, name: str
) -> None:
    mode, more, release, namespace = RELEASES[name]
    planned = setup(kept, "--mode", mode, *more, *files.options, "-o", "json")
    assert planned.code == 3, planned.err
    chart, _, _ = files.read()
    rendered = render(chart, release, namespace)
    (account,) = [
        item
        for item in rendered
        if item["kind"] == "ServiceAccount" and "pod-gate" not in item["metadata"]["name"]
    ]
    (deployment,) = [item for item in rendered if item["kind"] == "Deployment"]
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert container["image"] == IMAGE

    steps = {step["what"]: step["parameters"] for step in planned.document["steps"]}
    trust = steps["the webhook's own role mxp-identity-webhook"]["AssumeRolePolicyDocument"]
    own = account["metadata"]["name"]
    if mode == "irsa":
        assert account["metadata"]["annotations"][ROLE_ANNOTATION] == _arn(ROLES[1])
        assert f'"system:serviceaccount:{namespace}:{own}"' in trust
    else:
        assert ROLE_ANNOTATION not in account["metadata"].get("annotations", {})
        assert f'"aws:RequestTag/kubernetes-service-account":"{own}"' in trust
        assert f'"aws:RequestTag/kubernetes-namespace":"{namespace}"' in trust
        (association,) = [step for what, step in steps.items() if what.startswith("association")]
        assert (association["namespace"], association["serviceAccount"]) == (namespace, own)
        gates = [item for item in rendered if item["kind"] == "ValidatingAdmissionPolicyBinding"]
        assert gates, "the pod gate is on"
        regions = [one["value"] for one in container["env"] if one["name"] == "AWS_REGION"]
        assert regions == ["us-west-2"], "EKS sets it with a role in an annotation only"


def test_the_values_bind_control_planes_by_label_and_pattern(kept: AwsStandIn, files: _Files) -> None:
    assert setup(kept, *BY_PODS, "--pattern", "cp-*", *files.options).code == 3
    chart, spaces, _ = files.read()
    (binding,) = chart["bindings"]
    exists = {"key": "internal.spaces.upbound.io/controlplane-name", "operator": "Exists"}
    assert binding["namespaces"] == {"selector": {"matchExpressions": [exists]}, "pattern": "cp-*"}
    assert (binding["mode"], binding["roles"]) == ("pod-identity", [_arn("mxp-backup")])
    assert chart["cluster"] == {"name": EKS_CLUSTER}
    assert spaces == {}, "an annotation beside an association would be used until that is propagated"


def test_with_several_roles_only_the_webhook_knows_which(kept: AwsStandIn, files: _Files) -> None:
    assert setup(kept, "--role", "one", "--role", "two", *files.options).code == 3
    chart, spaces, _ = files.read()
    assert chart["bindings"][0]["roles"] == [_arn("one"), _arn("two")]
    assert spaces == {}


def test_presets_bring_bindings_of_other_workloads_with_roles_that_only_the_webhook_edits(
    aws: AwsStandIn, files: _Files
) -> None:
    presets = ("--preset", "billing", "--preset", "shared-secrets=eso", "--preset", "space-backups=mxp-backup")
    more = (*files.options, *presets, "--spaces-release", "upbound")
    done = setup(aws, *more, "--approve")
    assert "role mxp-billing for billing" in told(done.out)
    assert "role eso for shared-secrets" in told(done.out)
    assert len(told(done.out)) == 7, "a role that is there for backups is not made twice"
    assert "nothing is missing" in setup(aws, *more).out

    roles = account_of(aws)["roles"]
    policy = roles[ROLES[1]]["Policies"]["trust-policies"]
    assert policy["Statement"][0]["Resource"] == [_arn(name) for name in ("mxp-backup", "mxp-billing", "eso")]
    assert roles["mxp-billing"]["Policies"] == {}

    assert "&" not in files.chart.read_text(), "no aliases: the file is for people"
    chart, spaces, _ = files.read()
    assert render(chart, "mxp-identity-webhook", "mxp-identity"), "the chart takes them"
    bound = {item["serviceAccount"]: item for item in chart["bindings"]}
    assert list(bound) == ["mxp-controller", "vector", "external-secrets-controller", "upbound-controller"]
    assert bound["upbound-controller"]["namespaces"] == {"pattern": "upbound-system"}

    def annotated(role: str) -> dict[str, str]:
        return {ROLE_ANNOTATION: _arn(role)}

    assert spaces == {
        "billing": {"enabled": True, "storage": {"provider": "aws", "secretRef": {"name": ""}}},
        "controlPlanes": {
            "mxpController": {"serviceAccount": {"annotations": annotated("mxp-backup")}},
            "vector": {"serviceAccount": {"customAnnotations": annotated("mxp-billing")}},
            "sharedSecrets": {"serviceAccount": {"customAnnotations": annotated("eso")}},
        },
        "controller": {"serviceAccount": {"annotations": annotated("mxp-backup")}},
    }


def test_a_shared_backup_config_names_bucket_region_prefix_and_the_pods_own_identity(
    kept: AwsStandIn, files: _Files
) -> None:
    assert setup(kept, "--prefix", "prod/space-1", "--group", "team-a", *files.options).code == 3
    _, _, backups = files.read()
    assert backups["spec"].pop("objectStorage") == {
        "provider": "AWS",
        "bucket": "my-backups",
        "prefix": "prod/space-1",
        "config": {"endpoint": "s3.us-west-2.amazonaws.com", "region": "us-west-2"},
        "credentials": {"source": "InjectedIdentity"},
    }
    assert backups == {
        "apiVersion": "spaces.upbound.io/v1alpha1",
        "kind": "SharedBackupConfig",
        "metadata": {"name": "my-backups", "namespace": "team-a"},
        "spec": {},
    }


def test_a_key_brings_the_rights_to_encrypt_and_decrypt_with_it_and_with_no_other(aws: AwsStandIn) -> None:
    assert setup(aws, "--approve").code == 0
    assert told(setup(aws, "--kms-key", KEY, "--approve").out) == ["policy backup-bucket of mxp-backup"]
    statements = account_of(aws)["roles"]["mxp-backup"]["Policies"]["backup-bucket"]["Statement"]
    kms = {"Effect": "Allow", "Action": ["kms:GenerateDataKey", "kms:Decrypt"], "Resource": KEY}
    assert statements[2:] == [kms]
    refused = setup(aws, "--approve")
    assert refused.code == 2, "without the option the rights would be lost"
    assert f"Allow kms:Decrypt on {KEY}" in refused.err


def test_a_plan_overwrites_no_file_that_holds_something_else(kept: AwsStandIn, files: _Files) -> None:
    files.spaces.write_text("mine: true\n")
    refused = setup(kept, *files.options)
    assert (refused.code, told(refused.out)) == (2, [])
    assert "is there and holds something else" in said(refused.err)
    assert files.spaces.read_text() == "mine: true\n"
    assert not files.chart.exists(), "all of them or none"

    files.spaces.unlink()
    first, again = (setup(kept, *files.options) for _ in range(2))
    assert (first.code, again.code) == (3, 3), "what it wrote itself is overwritten"
    wrote = [line for line in again.out.splitlines() if line.startswith("wrote ")]
    assert wrote == [f"wrote {path}" for path in (files.chart, files.spaces, files.backups)]
    following = again.out.partition("next:\n")[2]
    for said_next in ("the same with --approve", f"--values {files.chart}", f"kubectl apply -f {files.backups}"):
        assert said_next in following


@pytest.mark.parametrize(
    ("given", "image"),
    [
        (IMAGE, Image(REGISTRY, "mxp-identity-webhook", TAG, "")),
        ("localhost:5000/a/b:1", Image("localhost:5000", "a/b", "1", "")),
        (f"r.io/b@sha256:{'0' * 64}", Image("r.io", "b", "", f"sha256:{'0' * 64}")),
        (f"r.io/b:1@sha256:{'0' * 64}", Image("r.io", "b", "1", f"sha256:{'0' * 64}")),
    ],
)
def test_an_image_is_read_as_the_chart_has_it(given: str, image: Image) -> None:
    assert Image.parse(given) == image


@pytest.mark.parametrize("name", ["", "-mxp", "Mxp", "a" * 54])
def test_a_name_that_helm_would_not_take_is_refused(name: str) -> None:
    with pytest.raises(InvalidNameError, match="Helm release"):
        service_account_of(name)
