"""What becomes of the log neither holds nor fails a review."""

from __future__ import annotations

import json
import os
import signal
import ssl
import subprocess
import time
from typing import TYPE_CHECKING, Any, Self

import httpx
import yaml

from rig.kubernetes.metrics import Metrics
from rig.pki import Authority
from rig.ports import free_port
from rig.waiting import eventually
from rig.webhook import command
from tests.server.place import SUBJECT, Place
from tests.support.reviews import Reply, review

if TYPE_CHECKING:
    from pathlib import Path

REVIEWS = 600
"""Each is a line or two; a pipe has room for a hundred or two."""

LONGEST_REVIEW_S = 1.0


class Logging:
    """`serve` with a pipe for its standard output and error. `reader` is the other end."""

    def __init__(self, place: Place, folder: Path, **configuration: Any) -> None:
        self._authority = Authority("a")
        certificate, key = self._authority.issue("log").write(folder, "serving")
        self._port, self._plain = free_port(), free_port()
        server = {"host": "127.0.0.1", "port": self._port, "metricsPort": self._plain, "drainTime": "1s"}
        files = {"source": "files", "certFile": str(certificate), "keyFile": str(key)}
        self.certificate = certificate
        file = folder / "configuration.yaml"
        content = {**place.configuration(), "certificates": files, "server": server, **configuration}
        file.write_text(yaml.safe_dump(content))
        self.reader, writer = os.pipe()
        self.process = subprocess.Popen(
            command(file), env={**os.environ, **place.environment()}, stdout=writer, stderr=writer
        )
        os.close(writer)
        self.client = httpx.Client(
            verify=ssl.create_default_context(cadata=self._authority.certificate), trust_env=False, timeout=5
        )
        eventually(self.serves, "it serves", timeout=30)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()
        self.process.kill()
        self.process.wait()

    def serves(self) -> bool:
        """Whether its port of metrics is open."""
        try:
            return httpx.get(f"http://127.0.0.1:{self._plain}/healthz", trust_env=False).status_code == 200
        except httpx.TransportError:
            return False

    def review(self) -> float:
        """How long a review took that was answered and allowed, with a line in the log."""
        began = time.monotonic()
        answer = self.client.post(f"https://127.0.0.1:{self._port}/mutate?timeout=1s", json=review(SUBJECT))
        assert Reply(answer.status_code, answer.text).allowed
        return time.monotonic() - began

    def counted(self, name: str, **labels: str) -> float:
        """A metric's value."""
        page = httpx.get(f"http://127.0.0.1:{self._plain}/metrics", trust_env=False, timeout=5).text
        return Metrics(page).total(f"mxp_identity_{name}", **labels)

    def end(self) -> int:
        """End it by SIGTERM."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)


def test_a_log_that_is_not_read_delays_no_review_and_no_end(place: Place, tmp_path: Path) -> None:
    with Logging(place, tmp_path) as one:
        took = max(one.review() for _ in range(REVIEWS))
        assert one.end() == 0
    os.close(one.reader)
    assert took < LONGEST_REVIEW_S


def test_a_log_whose_reader_is_gone_fails_no_review(place: Place, tmp_path: Path) -> None:
    with Logging(place, tmp_path) as one:
        os.close(one.reader)
        took = max(one.review() for _ in range(20))
        eventually(
            lambda: one.counted("log_lines_dropped_total", reason="failed") > 0,
            "lines are counted as dropped",
            timeout=5,
        )
        assert one.serves()
        assert one.end() == 0
    assert took < LONGEST_REVIEW_S


def test_the_last_line_is_written_before_the_end(place: Place, tmp_path: Path) -> None:
    with Logging(place, tmp_path) as one:
        assert one.end() == 0
        lines = _whole_lines(one.reader)
    assert lines[-1]["event"] == "stopped"
    assert [line["timestamp"] for line in lines] == sorted(line["timestamp"] for line in lines)
    assert {tuple(line)[:3] for line in lines} == {("timestamp", "level", "event")}


def test_lines_below_the_level_are_not_written(place: Place, tmp_path: Path) -> None:
    with Logging(place, tmp_path, logLevel="warning") as one:
        one.review()
        one.certificate.write_text("no certificate")
        eventually(
            lambda: one.counted("certificate_reloads_total", outcome="refused") > 0, "it is refused", timeout=10
        )
        assert one.end() == 0
        lines = _whole_lines(one.reader)
    assert "certificate_refused" in {line["event"] for line in lines}
    assert "info" not in {line["level"] for line in lines}


def test_a_certificate_that_becomes_a_fifo_holds_no_review(place: Place, tmp_path: Path) -> None:
    with Logging(place, tmp_path) as one:
        one.certificate.unlink()
        os.mkfifo(one.certificate)
        eventually(
            lambda: one.counted("certificate_reloads_total", outcome="refused") > 0, "it is refused", timeout=10
        )
        took = one.review()
        assert one.end() == 0
        events = [line for line in _whole_lines(one.reader) if line["event"] == "certificate_refused"]
    assert took < LONGEST_REVIEW_S
    assert [event["reason"] for event in events] == [f"{one.certificate.name} is not a regular file"]


def _whole_lines(reader: int) -> list[dict[str, Any]]:
    with os.fdopen(reader, "rb") as file:
        return [json.loads(line) for line in file]
