"""Pages whose commands need real pods, walked on the real node: docs/run/install.md and docs/understand/rig.md."""

from pathlib import Path

import pytest
import yaml

from rig.kubernetes.registration import OWN_NAMESPACE
from rig.node.images import Image
from rig.node.installation import Installation
from rig.node.node import Node
from rig.space import Space
from tests.guides.stage import DOCS
from tests.guides.walk import Walk
from tests.node.reader import shell_on

pytestmark = [pytest.mark.node, pytest.mark.timeout(420)]


def test_the_installation_page_installs_a_release_that_passes_its_own_test(
    space: Space, node: Node, image: Image, tmp_path: Path
) -> None:
    installation = Installation(space, node, image)
    if node.api.get(f"/apis/apps/v1/namespaces/{OWN_NAMESPACE}/deployments")["items"]:
        installation.helm.uninstall()
    written = {"bindings", "image", "serviceAccount"}  # what the page has the reader write; the rest is the rig's
    values = installation.values()
    (tmp_path / "values.yaml").write_text(yaml.safe_dump({key: values.pop(key) for key in written}))
    with shell_on(tmp_path, node, values) as shell, Walk(DOCS / "run" / "install.md", shell) as reader:
        install, status, test = reader.section("2. The chart")
    assert "STATUS: deployed" in install.out
    assert "successfully rolled out" in status.out
    assert "Succeeded" in test.out


def test_the_rigs_page_makes_the_image(node: Node, tmp_path: Path, image: Image) -> None:
    with shell_on(tmp_path, node, {}) as shell, Walk(DOCS / "understand" / "rig.md", shell) as reader:
        (made,) = reader.section("The image", as_shown=False)  # the name is a hash, and sizes differ by machine
    assert image.name in made.out
