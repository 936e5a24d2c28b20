"""A reader's shell on a real node: kubectl, helm and docker run where its API server and its containerd are."""

import json
import os
import shlex
import sys
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from rig.node import settings
from rig.node.images import Image
from rig.node.node import Node
from rig.tools import binary
from rig.tools.store import cache_folder
from tests.guides.shell import Shell
from tests.guides.stage import REPOSITORY
from tests.node import docker_run

OF_THE_MACHINE = ("SSL_CERT_FILE", "SSL_CERT_DIR", "PIP_INDEX_URL", "UV_DEFAULT_INDEX", "HTTPS_PROXY", "NO_PROXY")
"""Variables by which a package index is reached here, where they are set."""

TOOL = """#!/usr/bin/env bash
# The real program, run where the node's API server is; an installation gets one more file of values, the rig's.
case "$1" in install | upgrade) set -- "$@" --values {values} {flags} ;; esac
exec {enter} bash -c 'cd "$0" && exec "$@"' "$PWD" {tool} "$@"
"""


def shell_on(
    folder: Path,
    node: Node,
    values: Mapping[str, Any],
    tools: Mapping[str, str] | None = None,
    flags: str = "",
) -> Shell:
    """A reader's shell in `folder`, with this repository's files.

    `tools` are further programs by name; `values` and `flags` are what an installation gets beside the page's.
    """
    for item in REPOSITORY.iterdir():
        if item.name not in {".git", "dist"}:
            (folder / item.name).symlink_to(item)
    (folder / "rig-values.yaml").write_text(yaml.safe_dump(dict(values)))
    enter = shlex.join(map(str, node.place.command([])))
    programs = {
        name: TOOL.format(enter=enter, tool=binary(name), values=folder / "rig-values.yaml", flags=flags)
        for name in ("kubectl", "helm")
    }
    (folder / "bin").mkdir()
    for name, text in {**programs, **(tools or {})}.items():
        (folder / "bin" / name).write_text(text)
        (folder / "bin" / name).chmod(0o755)
    own = [str(folder / "bin"), str(folder / ".local" / "bin"), str(Path(sys.executable).parent)]
    environment = {
        **{name: os.environ[name] for name in OF_THE_MACHINE if name in os.environ},
        "HOME": str(folder),
        "KUBECONFIG": str(node.kubeconfig),
        "PATH": os.pathsep.join([*own, os.environ["PATH"]]),
        "XDG_CACHE_HOME": str(cache_folder().parent),
    }
    return Shell(folder, environment)


def docker(folder: Path, node: Node, image: Image, environment: Mapping[str, str]) -> str:
    """A program that does what `docker run` does with an image of the node; `environment` is the rig's."""
    found = {
        "ctr": [*map(str, node.place.command(["ctr"])), "--address", settings.SOCKET, "--namespace", "k8s.io"],
        "environment": [f"{name}={value}" for name, value in environment.items()],
        "entry point": _entry_point(image.archive),
    }
    (folder / "docker.json").write_text(json.dumps(found))
    return f'#!/bin/sh\nexec {sys.executable} {docker_run.__file__} {folder / "docker.json"} "$@"\n'


def _entry_point(archive: Path) -> list[str]:
    """What an image runs, by its archive: containerd's own command leaves it out where there are arguments."""
    with tarfile.open(archive) as files:

        def read(name: str) -> Any:
            content = files.extractfile(name)
            assert content
            return json.loads(content.read())

        def blob(found: Mapping[str, str]) -> Any:
            return read(f"blobs/{found['digest'].replace(':', '/')}")

        manifest = blob(read("index.json")["manifests"][0])
        return list(blob(manifest["config"])["config"]["Entrypoint"])
