"""AWS behind a certificate of a CA that is not public, such as a proxy that inspects TLS has."""

from __future__ import annotations

import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from rig.pki import Authority
from tests.aws.conftest import Program

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

QUOTA = 4096
SUMMARY = (
    '<GetAccountSummaryResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><GetAccountSummaryResult>'
    f"<SummaryMap><entry><key>AssumeRolePolicySizeQuota</key><value>{QUOTA}</value></entry></SummaryMap>"
    "</GetAccountSummaryResult><ResponseMetadata><RequestId>1</RequestId></ResponseMetadata>"
    "</GetAccountSummaryResponse>"
).encode()


class _Iam(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/xml")
        self.send_header("Content-Length", str(len(SUMMARY)))
        self.end_headers()
        self.wfile.write(SUMMARY)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """IAM behind TLS, and the file with the CA that has signed its certificate."""
    authority = Authority("corporate")
    certificate, key = authority.issue("iam").write(tmp_path, "iam")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Iam)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    for name, value in {
        "AWS_ENDPOINT_URL": f"https://127.0.0.1:{server.server_port}",
        "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_CONFIG_FILE": "/dev/null",
    }.items():
        monkeypatch.setenv(name, value)
    file = tmp_path / "ca.crt"
    file.write_text(authority.certificate)
    yield file
    server.shutdown()
    server.server_close()
    thread.join()


def test_aws_is_verified_by_the_bundle_of_the_chart(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_CA_BUNDLE", str(bundle))
    program = Program()
    assert program.run(program.quota.characters) == QUOTA


@pytest.mark.usefixtures("bundle")
def test_without_it_a_certificate_of_another_ca_is_refused() -> None:
    program = Program()
    assert "TLS certificate is not trusted" in str(program.refused(program.quota.characters))
