"""Pushing to a registry on loopback, and what a cluster installs from it."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from rig.chart import Helm, HelmError
from rig.kubernetes.shared import borrowed
from rig.processes import Workspace
from rig.registry import Registry
from rig.release.make import Made
from rig.release.push import name_and_version, push
from rig.release.source import REPOSITORY
from rig.release.sums import SUMS, DamagedError
from webhook import VERSION

NAME, NAMESPACE = "mxp-identity-webhook", "mxp-identity"
DIGEST = "sha256:" + "0" * 64
BINDING: dict[str, Any] = {
    "name": "backup",
    "serviceAccount": "mxp-controller",
    "namespaces": {"pattern": "mxp-*-system"},
    "mode": "irsa",
    "roles": ["arn:aws:iam::123456789012:role/mxp-backup"],
}


@pytest.mark.rig
def test_the_pushed_chart_is_installed_by_its_digest_and_names_the_image_by_its_own(made: Made) -> None:
    with borrowed(controllers=False, nodes=0, eks_webhook=False) as cluster, Workspace() as workspace:
        registry = Registry.start(workspace)
        (chart,) = push(made.chart.parent, f"oci://{registry.host}")
        helm = Helm(NAME, NAMESPACE, cluster.kubeconfig, chart=chart)
        values = {"bindings": [BINDING], "image": {"registry": registry.host, "digest": DIGEST}}
        assert "STATUS: deployed" in helm.install(values, "--plain-http")
        deployment = cluster.api.get(f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/{NAME}")
        assert deployment["metadata"]["labels"]["helm.sh/chart"] == f"{NAME}-{VERSION}"
        (container,) = deployment["spec"]["template"]["spec"]["containers"]
        assert container["image"] == f"{registry.host}/{NAME}@{DIGEST}"

        manifest = httpx.get(f"http://{registry.host}/v2/charts/{NAME}/manifests/{VERSION}").json()
        assert manifest["annotations"]["org.opencontainers.image.licenses"] == "not chosen"
        another = chart.replace(chart[-64:], "0" * 64)
        with pytest.raises(HelmError, match="not found"):
            Helm("another", NAMESPACE, cluster.kubeconfig, chart=another).install(values, "--plain-http")


def test_what_is_not_as_its_sums_say_is_not_pushed(made: Made, tmp_path: Path) -> None:
    for file in made.files:
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / made.chart.name).write_bytes(b"another chart")
    with pytest.raises(DamagedError, match=rf"{made.chart.name} is not as {SUMS} says"):
        push(tmp_path, "oci://127.0.0.1:9")
    (tmp_path / made.chart.name).unlink()
    with pytest.raises(DamagedError, match=rf"{made.chart.name} is missing: run `make release`"):
        push(tmp_path, "oci://127.0.0.1:9")


@pytest.mark.parametrize(
    ("sums", "says"),
    [
        (b"", "names 0 charts, not one"),
        (b"a b c\n", "is not as `sha256sum` writes it"),
        (b"\xff", "is not as `sha256sum` writes it"),
        (b"0 .\n", "cannot be read: Is a directory"),
    ],
)
def test_a_folder_that_is_no_release_is_named(tmp_path: Path, sums: bytes, says: str) -> None:
    (tmp_path / SUMS).write_bytes(sums)
    with pytest.raises(DamagedError, match=says):
        push(tmp_path, "oci://127.0.0.1:9")


@pytest.mark.parametrize("version", ["0.1.0", "0.2.0-rc.1", "1.0.0-alpha-2"])
def test_the_image_has_the_charts_whole_version(version: str) -> None:
    assert name_and_version(Path(f"dist/{NAME}-{version}.tgz")) == (NAME, version)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["nowhere", "oci://127.0.0.1:9"], 1, "nowhere/SHA256SUMS is missing: run `make release`"),
        (["dist", "127.0.0.1:9"], 2, "oci://REGISTRY"),
    ],
)
def test_the_command_says_what_is_missing(arguments: list[str], code: int, said: str) -> None:
    command = [sys.executable, "-m", "rig.release.push", *arguments]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == code
    assert said in done.stderr
