"""Lines of the log are written in order and to the last; nothing about them delays or fails the program."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

import pytest

from tests.support.samples import sample
from webhook.telemetry.logs import LogStream

if TYPE_CHECKING:
    from collections.abc import Iterator

LINE = b"x" * 999 + b"\n"


def _dropped(reason: str) -> float:
    return sample("mxp_identity_log_lines_dropped_total", {"reason": reason}) or 0.0


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for end in ends:
        try:
            os.close(end)
        except OSError:
            continue


def _read_all(descriptor: int) -> bytes:
    found = b""
    while piece := os.read(descriptor, 65536):
        found += piece
    return found


def test_lines_of_many_threads_are_written_whole_in_the_order_of_each_and_to_the_last(
    pipe: tuple[int, int],
) -> None:
    reader, writer = pipe
    found: list[bytes] = []
    reading = threading.Thread(target=lambda: found.append(_read_all(reader)))
    reading.start()
    stream = LogStream(writer)

    def log(name: str) -> None:
        for number in range(1000):
            stream.write(f"{name} {number}\n".encode())

    threads = [threading.Thread(target=log, args=(name,)) for name in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stream.close()
    os.close(writer)
    reading.join()
    lines = found[0].decode().splitlines()
    for name in "abc":
        assert [line for line in lines if line.startswith(name)] == [f"{name} {number}" for number in range(1000)]


def test_while_the_log_is_not_read_lines_beyond_the_room_are_dropped_and_counted_and_the_rest_comes(
    pipe: tuple[int, int],
) -> None:
    reader, writer = pipe
    before, stream = _dropped("full"), LogStream(writer, 100_000)
    for _ in range(1000):  # a pipe itself has 64 KiB
        stream.write(LINE)
    dropped = _dropped("full") - before
    assert 800 <= dropped <= 900
    stream.close(0.01)  # the end does not wait for long
    assert _dropped("full") - before == dropped
    found: list[bytes] = []
    reading = threading.Thread(target=lambda: found.append(_read_all(reader)))
    reading.start()
    stream.close()
    os.close(writer)
    reading.join()
    assert found[0] == LINE * int(1000 - dropped)


def test_where_the_reader_is_gone_lines_are_dropped_and_counted(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    os.close(reader)
    before, stream = _dropped("failed"), LogStream(writer)
    for _ in range(10):
        stream.write(LINE)
    stream.close()
    assert _dropped("failed") - before == 10


def test_without_standard_error_lines_are_dropped_and_counted() -> None:
    before, stream = _dropped("failed"), LogStream(None)
    stream.write(LINE)
    stream.close()
    stream.write(LINE)
    assert _dropped("failed") - before == 1
