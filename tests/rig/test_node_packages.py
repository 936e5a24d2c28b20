"""What a machine is told that cannot run a real node."""

import pytest

from rig.node.packages import PackagesError, demand, install, why_not

ABSENT = {"containerd": "/nowhere/containerd", "runc": "/nowhere/runc"}


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Debian machine of root's without the packages."""
    monkeypatch.setattr("rig.node.packages.PACKAGES", ABSENT)
    monkeypatch.setattr("platform.system", lambda: "Linux")
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")


def test_the_missing_packages_are_named_with_the_command_that_installs_them() -> None:
    assert why_not() == "a real node needs the packages containerd, runc: run `make node-packages`"
    with pytest.raises(PackagesError, match="containerd, runc"):
        demand()


def test_without_root_nothing_is_installed_and_the_reason_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert why_not() == "a real node needs root"
    with pytest.raises(PackagesError, match="installing containerd, runc needs root: sudo make node-packages"):
        install()


def test_without_apt_nothing_is_installed_and_the_reason_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda _: None)
    with pytest.raises(PackagesError, match="has no apt-get"):
        install()


def test_another_system_than_linux_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.system", lambda: "Darwin")
    assert why_not() == "a real node needs Linux"
