"""A whole release: two architectures, pushed to a registry, and installed from it by digest on the real node."""

import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from rig.kubernetes.registration import OWN_NAMESPACE
from rig.node.buildah import Buildah
from rig.node.client import aws_variables, control_plane
from rig.node.images import Image
from rig.node.installation import Installation
from rig.node.node import Node
from rig.registry import Registry
from rig.release.image import ReleasedImage
from rig.release.make import ARCHITECTURES, Made
from rig.space import Space
from rig.tools.store import cache_folder
from tests.guides.stage import DOCS
from tests.guides.walk import Walk
from tests.node.credentials import PATIENCE_S, assert_credentials, has_agent, has_token, pod_of
from tests.node.reader import shell_on
from tests.release.repositories import release_of, repository_in
from tests.release.sboms import assert_is_sbom

pytestmark = [pytest.mark.node, pytest.mark.proof, pytest.mark.timeout(1800)]

PAGE = DOCS / "run" / "release.md"
HOLDS = {"irsa": has_token, "pod-identity": has_agent}
DEPLOYMENTS = f"/apis/apps/v1/namespaces/{OWN_NAMESPACE}/deployments"


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return repository_in(tmp_path_factory.mktemp("repository"))


@pytest.fixture(scope="module")
def made(node: Node, repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Made:
    assert node.place.enter
    return release_of(repository, tmp_path_factory.mktemp("release") / "dist", *ARCHITECTURES)


def listed(made: Made, image: ReleasedImage) -> dict[str, Any]:
    (file,) = (each for each in made.files if each.name.endswith(f"-image-{image.architecture}.cdx.json"))
    assert_is_sbom(file)
    return dict(json.loads(file.read_text()))


def test_a_list_has_what_is_in_its_image_and_nothing_else(made: Made, repository: Path) -> None:
    commit = subprocess.check_output(["git", "-C", str(repository), "rev-parse", "HEAD"], text=True).strip()
    buildah = Buildah(cache_folder() / "images" / "buildah")
    for image in made.images:
        parts = [part["purl"] for part in listed(made, image)["components"]]
        with buildah.mounted(f"localhost/mxp-release/{image.architecture}:{commit}", image.architecture) as root:
            installed = {path.name for path in root.glob("opt/venv/lib/python3*/site-packages/*.dist-info")}
            documented = {path.name for path in (root / "usr/share/doc").iterdir()}
        python = {purl.split("/")[1].replace("-", "_").replace("@", "-") for purl in parts if "pypi" in purl}
        assert {name.removesuffix(".dist-info").replace(".", "_").lower() for name in installed} == {
            name.replace(".", "_").lower() for name in python
        }
        debian = {purl.split("/")[2].split("@")[0] for purl in parts if "pkg:deb" in purl}
        assert documented - debian <= {"libpam", "perl"}, "folders of libpam0g and perl-base"
        assert {"libc6", "python3", "ca-certificates"} <= debian


def test_docker_loads_the_archive_that_oci_tools_read(made: Made, tmp_path: Path) -> None:
    buildah = Buildah(tmp_path)
    for image in made.images:
        platform = f"--platform=linux/{image.architecture}"
        loaded = {buildah.run("pull", platform, f"{kind}-archive:{image.archive}") for kind in ("docker", "oci")}
        assert len(loaded) == 1


def test_what_was_not_run_is_marked(made: Made) -> None:
    (statement,) = (json.loads(file.read_text()) for file in made.files if file.name.endswith(".intoto.json"))
    images = statement["predicate"]["buildDefinition"]["internalParameters"]["images"]
    assert images["amd64"]["run"].startswith("run on the machine that built it: version ")
    assert images["arm64"]["run"].startswith(("not run: ", "run by qemu-aarch64-static: version "))


def test_the_page_pushes_both_and_installs_them_by_digest(
    made: Made, node: Node, space: Space, tmp_path: Path
) -> None:
    assert PAGE.name == "release.md"
    registry = Registry.start(node.workspace, node.place)
    installation = Installation(space, node, Image("", made.images[0].archive))
    if node.api.get(DEPLOYMENTS)["items"]:
        installation.helm.uninstall()
    (tmp_path / "dist").symlink_to(made.wheel.parent)
    values = installation.values()
    own = {key: values.pop(key) for key in ("bindings", "serviceAccount")}
    del values["image"]
    tools = {"python": f'#!/bin/sh\nexec {in_place(node)} {sys.executable} "$@"\n'}
    with shell_on(tmp_path, node, values, tools, "--plain-http") as shell, Walk(PAGE, shell) as reader:
        shell.run(f"export REGISTRY={registry.host}")
        (pushed,) = reader.section("Publish")
        image, chart = pushed.out.splitlines()
        shell.run(f"export IMAGE={image} CHART={chart}")
        reader.section("Sign")
        named = {"registry": registry.host, "digest": image.partition("@")[2]}
        (tmp_path / "values.yaml").write_text(yaml.safe_dump({**own, "image": named}))
        install, status = reader.section("Install what was published")
    assert "STATUS: deployed" in install.out
    assert "successfully rolled out" in status.out
    pods = installation.pods()
    assert [pod["spec"]["containers"][0]["image"] for pod in pods] == [image, image]
    assert {pod["status"]["containerStatuses"][0]["imageID"] for pod in pods} == {image}
    index = json.loads(fetched(node, image))
    assert {each["platform"]["architecture"]: each["digest"] for each in index["manifests"]} == {
        each.architecture: each.digest for each in made.images
    }
    installation.helm.uninstall()


@pytest.fixture
def home(made: Made, tmp_path: Path) -> Path:
    """A person's home with the release in `dist`, and nothing else."""
    (tmp_path / "dist").symlink_to(made.wheel.parent)
    return tmp_path


@pytest.mark.parametrize("mode", list(HOLDS))
def test_with_an_empty_home_a_person_gets_from_the_release_to_a_pod_with_credentials(
    home: Path, on_eks: Space, node: Node, image: Image, mode: str
) -> None:
    """Command of the wheel, image and chart of the registry, values of `setup`, and a name of one's own."""
    registry, name = Registry.start(node.workspace, node.place), f"mine-{mode}"
    at_home = '"$HOME/.local/bin/mxp-identity"'
    tools = {
        "mxp-identity": f'#!/bin/sh\nexec {in_place(node)} {at_home} "$@"\n',
        "push": f'#!/bin/sh\nexec {in_place(node)} {sys.executable} -m rig.release.push "$@"\n',
    }
    variables = aws_variables(on_eks)
    with shell_on(home, node, {"extraEnv": variables}, tools, "--plain-http") as shell:

        def done(command: str) -> str:
            ran = shell.run(command, timeout=PATIENCE_S)
            assert ran.code == 0, f"{command}\n{ran.out}{ran.err}"
            return ran.out

        root = on_eks.aws.root
        done(f"export AWS_ACCESS_KEY_ID={root.access_key_id} AWS_SECRET_ACCESS_KEY={root.secret_access_key}")
        done(f"export AWS_REGION={on_eks.aws.region}")
        for each in variables:
            done(f"export {each['name']}={each['value']}")
        pushed, chart = done(f"push dist oci://{registry.host}").split()
        done("pipx install --quiet dist/mxp_identity_webhook-*.whl")
        release = f"--release {name} --release-namespace {name} --own-role {name}-webhook --role {name}-backup"
        said = done(
            f"mxp-identity setup --mode {mode} --bucket my-backups --region {on_eks.aws.region} {release}"
            f" --pattern '{name}-*' --image {pushed} --values values.yaml --approve"
        )
        install, verify = said.partition("next:\n")[2].splitlines()
        try:
            done(install.replace("charts/mxp-identity-webhook", chart))
            done(f"kubectl --namespace {name} rollout status deployment --timeout=90s")
            on_eks.cluster.create(control_plane(on_eks, image, name, f"{name}-1"))
            assert_credentials(node, pod_of(node, f"{name}-1", HOLDS[mode]), f"{name}-backup")
            assert "with findings: 0" in done(verify)
        finally:
            shell.run(f"kubectl delete namespace {name}-1 --wait --timeout=60s")
            shell.run(f"helm uninstall {name} --namespace {name} --wait")


def in_place(node: Node) -> str:
    enter = shlex.join(map(str, node.place.command([])))
    return f"""{enter} sh -c 'cd "$0" && exec "$@"' "$PWD\""""


def fetched(node: Node, image: str) -> str:
    """What the registry has at a digest: the index of the images."""
    host, _, rest = image.partition("/")
    name, _, digest = rest.partition("@")
    code = "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1]).read().decode())"
    done = node.run([sys.executable, "-c", code, f"http://{host}/v2/{name}/manifests/{digest}"])
    assert done.returncode == 0, done.stderr
    return done.stdout
