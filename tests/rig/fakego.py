"""A Go that builds in no time, so that what is tested is the looking up, building and keeping of binaries."""

import sys
from collections.abc import Sequence
from pathlib import Path

from rig.tools.catalogue import Tool

GO = """#!{python}
import os, pathlib, sys, time
arguments = sys.argv[1:]
if arguments[:2] == ["env", "GOVERSION"]:
    print(os.environ.get("FAKE_GO_VERSION", "go1.26.3"))
    raise SystemExit
folder = pathlib.Path(__file__).parent
with (folder / "builds").open("a") as builds:
    print(os.getpid(), file=builds)
if "FAKE_GO_FAILS" in os.environ:
    raise SystemExit("main.go:3: undefined: nothing")
module_cache = pathlib.Path(os.environ["GOMODCACHE"])
module_cache.mkdir(parents=True, exist_ok=True)
(module_cache / "downloaded").write_text("much")
out = pathlib.Path(arguments[arguments.index("-o") + 1])
out.write_text("#!/bin/sh\\necho half")
time.sleep(float(os.environ.get("FAKE_GO_SECONDS", "0")))
out.write_text("#!/bin/sh\\necho tiny\\n")
out.chmod(0o755)
"""


class FakeGo:
    """A folder for the search path with a `go` in it, and a module to build."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "go-bin"
        self.folder.mkdir()
        go = self.folder / "go"
        go.write_text(GO.replace("{python}", sys.executable))
        go.chmod(0o755)
        self.module = folder / "module"
        self.module.mkdir()
        (self.module / "go.mod").write_text("module tiny\n\ngo 1.26.0\n\nrequire example.com/x v1.2.3\n")
        (self.module / "go.sum").write_text("example.com/x v1.2.3 h1:abc=\n")
        (self.module / "main.go").write_text("package main\n\nfunc main() {}\n")

    @property
    def tool(self) -> Tool:
        return Tool("tiny", self.module)

    @property
    def builds(self) -> list[int]:
        """The process ids of the builds so far."""
        log = self.folder / "builds"
        return [int(line) for line in log.read_text().split()] if log.exists() else []


class Told:
    """A progress that remembers what it was told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def begin(self, tools: Sequence[Tool]) -> None:
        self.lines.append(f"begin {' '.join(tool.name for tool in tools)}")

    def waiting(self, holder: str) -> None:
        self.lines.append(f"waiting for {holder}")

    def note(self, text: str) -> None:
        self.lines.append(text)

    def building(self, name: str) -> None:
        self.lines.append(f"building {name}")

    def tick(self) -> None:
        pass

    def built(self, name: str, seconds: float) -> None:  # noqa: ARG002
        self.lines.append(f"built {name}")
