"""A whole release: two architectures, pushed to a registry, and installed from it by digest on the real node."""

import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from rig.kubernetes.registration import OWN_NAMESPACE
from rig.node.buildah import Buildah
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
from tests.node.reader import shell_on
from tests.release.repositories import release_of, repository_in

pytestmark = [pytest.mark.node, pytest.mark.proof, pytest.mark.timeout(1800)]

PAGE = DOCS / "run" / "release.md"
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
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(file.read_text()) is None
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
