"""Credentials of a plugin that expire while the program runs."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from tests.support.credential_plugins import EXPIRED, FAR_AWAY, counted, giving, kubeconfig
from webhook.kube.connection import Connection
from webhook.model.errors import ClusterError

if TYPE_CHECKING:
    from pathlib import Path

AT_ONCE = 16
FAILING = "echo 'the SSO session has expired' >&2; exit 3"


def _ask(folder: Path, monkeypatch: pytest.MonkeyPatch, later: str) -> list[str]:
    """How many requests at once fail, once the first credentials have expired and the plugin does `later`.

    No server listens where they go to.
    """
    program = f"[ $n = 1 ] && {giving(EXPIRED)} || {{ {later}; }}"
    path = kubeconfig(folder / "kubeconfig", counted(folder / "asked", program))
    monkeypatch.setenv("KUBECONFIG", str(path))
    connection = Connection()

    def ask(_: int) -> str:
        with pytest.raises(ClusterError) as failed:
            connection.request("GET", "/version")
        return str(failed.value)

    with ThreadPoolExecutor(AT_ONCE) as threads:
        return list(threads.map(ask, range(AT_ONCE)))


def test_they_are_renewed_once_for_all_requests_that_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = _ask(tmp_path, monkeypatch, giving(FAR_AWAY))
    assert all("connection refused" in one for one in said)
    assert (tmp_path / "asked").read_text() == 2 * "\n"


def test_each_request_says_that_they_were_not_renewed_and_nothing_is_logged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    said = _ask(tmp_path, monkeypatch, FAILING)
    (words,) = set(said)
    assert words.startswith("the kubeconfig's exec plugin gives no credentials: ")
    assert words.count("the SSO session has expired") == 1
    assert not caplog.records
