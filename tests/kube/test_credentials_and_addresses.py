"""Credentials that are missing for a moment cost the calls of that moment; an address that is none is one line."""

from __future__ import annotations

import asyncio
import json
import ssl
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from urllib3.util import ssl_

from rig.pki import Authority
from tests.support.misbehaving_api_server import api_server, kubeconfig, says
from tests.support.samples import sample
from tests.support.socks_proxy import socks_proxy
from webhook.kube import access
from webhook.kube.api import KubernetesApi
from webhook.kube.connection import Connection
from webhook.model.errors import ClusterError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.support.misbehaving_api_server import MisbehavingApiServer

SECRET = "eyJhbGciOi.secret"
ISSUER = "https://oidc.example.com/id/1"
NO_TOKEN: dict[str, Callable[[Path], object]] = {
    "missing": lambda _: None,
    "empty": lambda file: file.write_bytes(b""),
    "blank": lambda file: file.write_bytes(b" \n"),
    "of two lines": lambda file: file.write_bytes(f"{SECRET}\n{SECRET}".encode()),
    "of bytes": lambda file: file.write_bytes(bytes(range(128, 256))),
    "a folder": lambda file: file.mkdir(),
}


def _issuer(connection: Connection) -> str:
    return asyncio.run(KubernetesApi(connection, []).issuer())


def _said(connection: Connection) -> str:
    """The error of a call, which shows no credentials."""
    with pytest.raises(ClusterError) as raised:
        _issuer(connection)
    said = str(raised.value)
    assert SECRET not in said
    assert said.isprintable()
    return said


@pytest.fixture(autouse=True)
def _nothing_unexpected() -> Iterator[None]:
    before = _unexpected()
    yield
    assert _unexpected() == before


def _unexpected() -> float:
    return sample("mxp_identity_unexpected_errors_total", {"loop": "kubernetes"}) or 0


def _heals(connection: Connection, server: MisbehavingApiServer, token: Path) -> None:
    if token.is_dir():
        token.rmdir()
    for text in ("one", "two\n"):
        token.write_text(text)
        assert _issuer(connection) == ISSUER
        assert f"authorization: bearer {text.strip()}\r\n" in server.heads[-1].lower()


@pytest.mark.parametrize("case", NO_TOKEN)
def test_a_token_file_of_a_kubeconfig_is_read_at_each_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    token = tmp_path / "token"
    NO_TOKEN[case](token)
    user = {"tokenFile": "token"}  # as seen from the kubeconfig
    with api_server(tmp_path, monkeypatch, says({"issuer": ISSUER}), user=user) as server:
        connection = Connection()
        assert str(token) in _said(connection)
        assert not server.requests
        _heals(connection, server, token)
        connection.close()


def _pod(monkeypatch: pytest.MonkeyPatch, folder: Path, port: int) -> tuple[Path, Path]:
    """As in a pod: the address in variables; the files of token and authority."""
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(port))
    token, authority = folder / "token", folder / "ca.crt"
    monkeypatch.setattr(access, "SERVICE_TOKEN_FILENAME", str(token))
    monkeypatch.setattr(access, "SERVICE_CERT_FILENAME", str(authority))
    return token, authority


def _tls(folder: Path, authority: Authority) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue("api").write(folder, "api"))
    return context


@pytest.mark.parametrize("case", NO_TOKEN)
def test_in_a_pod_the_token_may_come_late_and_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    authority = Authority()
    tls = _tls(tmp_path, authority)
    with api_server(tmp_path, monkeypatch, says({"issuer": ISSUER}), tls=tls) as server:
        token, ca = _pod(monkeypatch, tmp_path, server.port)
        ca.write_text(authority.certificate)
        NO_TOKEN[case](token)
        connection = Connection()
        assert str(token) in _said(connection)
        assert not server.requests
        _heals(connection, server, token)
        connection.close()


WRONG_AUTHORITY: dict[str, Callable[[Path], object]] = {
    "another's": lambda file: file.write_text(Authority().certificate),
    "missing": lambda _: None,
    "empty": lambda file: file.write_bytes(b""),
    "garbage": lambda file: file.write_bytes(b"-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n"),
}


@pytest.mark.parametrize("case", WRONG_AUTHORITY)
def test_in_a_pod_the_authority_may_come_late_and_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    authority = Authority()
    tls = _tls(tmp_path, authority)
    with api_server(tmp_path, monkeypatch, says({"issuer": ISSUER}), tls=tls) as server:
        token, ca = _pod(monkeypatch, tmp_path, server.port)
        token.write_text("one")
        WRONG_AUTHORITY[case](ca)
        connection = Connection()
        _said(connection)
        assert not server.requests
        ca.write_text(authority.certificate)
        assert _issuer(connection) == ISSUER
        connection.close()


@pytest.fixture
def strict(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have urllib3 verify as on Python 3.13, whatever this one is."""
    monkeypatch.setattr(ssl_, "sys", SimpleNamespace(version_info=(3, 13)))


@pytest.mark.usefixtures("strict")
@pytest.mark.parametrize(("host", "is_well"), [("127.0.0.1", True), ("127.0.0.2", False)])
def test_an_authority_without_key_identifiers_is_trusted_for_its_names_as_clusters_of_eks_have_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: str, *, is_well: bool
) -> None:
    authority = Authority(identified=False)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(*authority.issue("api", [host]).write(tmp_path, "api"))
    with api_server(tmp_path, monkeypatch, says({"issuer": ISSUER}), tls=tls) as server:
        token, ca = _pod(monkeypatch, tmp_path, server.port)
        token.write_text("one")
        ca.write_text(authority.certificate)
        connection = Connection()
        if is_well:
            assert _issuer(connection) == ISSUER
        else:
            assert "certificate" in _said(connection)
            assert not server.requests
        connection.close()


def test_a_server_without_tls_where_there_should_be_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with api_server(tmp_path, monkeypatch, says({"issuer": ISSUER})) as server:
        token, ca = _pod(monkeypatch, tmp_path, server.port)
        token.write_text("one")
        ca.write_text(Authority().certificate)
        connection = Connection()
        _said(connection)
        connection.close()


def test_a_token_that_no_header_can_have_is_not_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    user = {"token": f"{SECRET}\nX-Header: no"}
    with api_server(tmp_path, monkeypatch, says({"issuer": ISSUER}), user=user):
        connection = Connection()
        assert "characters that no token has" in _said(connection)
        connection.close()


NO_ADDRESS: dict[str, dict[str, Any]] = {
    "no scheme": {"server": "api.example.com:443"},
    "another scheme": {"server": "ftp://api.example.com"},
    "no host": {"server": "https://"},
    "half an address of IPv6": {"server": "https://[::1"},
    "a port that is none": {"server": "https://api.example.com:many"},
    "a port that is too high": {"server": "https://api.example.com:99999"},
    "nothing": {"server": ""},
    "a proxy without a scheme": {"proxy-url": "proxy.example.com:1080"},
    "a proxy with another scheme": {"proxy-url": "quic://proxy.example.com"},
    "a proxy without a host": {"proxy-url": "socks5://"},
    "a proxy that is a number": {"proxy-url": 1080},
    "a proxy that is a list": {"proxy-url": ["http://proxy.example.com"]},
}


@pytest.mark.parametrize("case", NO_ADDRESS)
def test_an_address_that_is_none_is_one_line_that_names_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    file = tmp_path / "kubeconfig"
    cluster = {"server": "https://api.example.com", **NO_ADDRESS[case]}
    file.write_text(json.dumps(kubeconfig(cluster, {"token": "t"})))
    monkeypatch.setenv("KUBECONFIG", str(file))
    with pytest.raises(ClusterError) as raised:
        Connection()
    assert str(file) in str(raised.value)
    assert str(raised.value).isprintable()


def test_a_socks_proxy_connects_and_looks_up_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        api_server(tmp_path, monkeypatch, says({"issuer": ISSUER})) as server,
        socks_proxy() as (proxy, asked),
    ):
        cluster = {"server": f"http://api.invalid:{server.port}", "proxy-url": f"socks5://{proxy}"}
        (tmp_path / "kubeconfig").write_text(json.dumps(kubeconfig(cluster, {"token": "t"})))
        connection = Connection()
        assert _issuer(connection) == ISSUER
        assert asked == ["api.invalid"]
        connection.close()


def test_a_proxy_that_is_away_is_an_error_of_the_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for scheme in ("http", "socks5"):
        cluster = {"server": "https://api.invalid", "proxy-url": f"{scheme}://127.0.0.1:1"}
        (tmp_path / "kubeconfig").write_text(json.dumps(kubeconfig(cluster, {"token": "t"})))
        monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
        connection = Connection()
        assert "refused" in _said(connection)
        connection.close()


def test_a_proxy_of_the_environment_that_is_none_matters_only_where_it_is_to_be_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "proxy.example.com:3128")
    with api_server(tmp_path, monkeypatch, says({"issuer": ISSUER})):
        with pytest.raises(ClusterError, match=r"the proxy in .* is not like"):
            Connection()
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        connection = Connection()
        assert _issuer(connection) == ISSUER
        connection.close()
