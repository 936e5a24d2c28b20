"""Pages whose commands need real pods, walked on the real node: docs/run/install.md and docs/understand/rig.md."""

import os
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from rig.kubernetes.registration import OWN_NAMESPACE
from rig.node.images import Image
from rig.node.installation import Installation
from rig.node.node import Node
from rig.space import Space
from rig.tools import binary
from rig.tools.store import cache_folder
from tests.guides.shell import Shell
from tests.guides.stage import DOCS, REPOSITORY
from tests.guides.walk import Walk

pytestmark = [pytest.mark.node, pytest.mark.timeout(420)]

TOOL = """#!/usr/bin/env bash
# The real program, run where the node's API server is; an installation gets one more file of values, the rig's.
[ "$1" = install ] && set -- "$@" --values {values}
exec {enter} bash -c 'cd "$0" && exec "$@"' "$PWD" {tool} "$@"
"""


def test_the_installation_page_installs_a_release_that_passes_its_own_test(
    space: Space, node: Node, image: Image, tmp_path: Path
) -> None:
    installation = Installation(space, node, image)
    if node.api.get(f"/apis/apps/v1/namespaces/{OWN_NAMESPACE}/deployments")["items"]:
        installation.helm.uninstall()
    written = {"bindings", "image", "serviceAccount"}  # what the page has the reader write; the rest is the rig's
    values = installation.values()
    (tmp_path / "values.yaml").write_text(yaml.safe_dump({key: values.pop(key) for key in written}))
    with _shell(tmp_path, node, values) as shell, Walk(DOCS / "run" / "install.md", shell) as reader:
        install, status, test = reader.section("2. The chart")
    assert "STATUS: deployed" in install.out
    assert "successfully rolled out" in status.out
    assert "Succeeded" in test.out


def test_the_rigs_page_makes_the_image(node: Node, tmp_path: Path, image: Image) -> None:
    with _shell(tmp_path, node, {}) as shell, Walk(DOCS / "understand" / "rig.md", shell) as reader:
        (made,) = reader.section("The image", as_shown=False)  # the name is a hash, and sizes differ by machine
    assert image.name in made.out


def _shell(folder: Path, node: Node, values: Mapping[str, Any]) -> Shell:
    """A reader's shell; kubectl and helm run where the node's API server is."""
    for item in REPOSITORY.iterdir():
        if item.name != ".git":
            (folder / item.name).symlink_to(item)
    (folder / "rig-values.yaml").write_text(yaml.safe_dump(dict(values)))
    tools = folder / "bin"
    tools.mkdir()
    for name in ("kubectl", "helm"):
        tool = tools / name
        enter = shlex.join(map(str, node.place.command([])))
        tool.write_text(TOOL.format(enter=enter, tool=binary(name), values=folder / "rig-values.yaml"))
        tool.chmod(0o755)
    path = [str(tools), str(Path(sys.executable).parent), *os.environ["PATH"].split(os.pathsep)]
    environment = {
        "HOME": str(folder),
        "KUBECONFIG": str(node.kubeconfig),
        "PATH": os.pathsep.join(path),
        "XDG_CACHE_HOME": str(cache_folder().parent),
    }
    return Shell(folder, environment)
