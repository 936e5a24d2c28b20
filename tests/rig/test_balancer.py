import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from rig.balancer import Balancer
from rig.ports import free_port
from rig.waiting import eventually

TIMEOUT_S = 5


class Backend:
    """Answers every message with its own port and the message's length."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as lines:
            for line in lines:
                connection.sendall(f"{self.port} {len(line)}\n".encode())

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@pytest.fixture
def backends() -> Iterator[tuple[Backend, Backend]]:
    pair = Backend(), Backend()
    yield pair
    for backend in pair:
        backend.close()


@contextmanager
def connected(balancer: Balancer) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", balancer.port), TIMEOUT_S) as connection:
        yield connection


def ask(connection: socket.socket, message: bytes = b"hello\n") -> tuple[int, int]:
    connection.sendall(message)
    port, length = connection.makefile("rb").readline().split()
    return int(port), int(length)


def test_new_connections_go_to_the_backends_in_turn(backends: tuple[Backend, Backend]) -> None:
    ports = [backend.port for backend in backends]
    with Balancer(*ports) as balancer:
        asked = []
        for _ in range(4):
            with connected(balancer) as connection:
                asked.append(ask(connection)[0])

    assert sorted(asked) == sorted(ports * 2)
    assert asked[0] != asked[1]


def test_a_removed_backend_keeps_its_connections_and_gets_no_new_ones(backends: tuple[Backend, Backend]) -> None:
    old, new = backends
    with Balancer(old.port) as balancer, connected(balancer) as early:
        assert ask(early)[0] == old.port

        balancer.add(new.port)
        balancer.remove(old.port)

        assert balancer.backends == [new.port]
        with connected(balancer) as late:
            assert ask(late)[0] == new.port
        assert ask(early)[0] == old.port
        assert balancer.connections()[old.port] == 1


def test_a_backend_that_refuses_is_passed_over(backends: tuple[Backend, Backend]) -> None:
    alive = backends[0].port
    with Balancer(free_port(), alive) as balancer:
        for _ in range(4):
            with connected(balancer) as connection:
                assert ask(connection)[0] == alive


def is_closed(connection: socket.socket) -> bool:
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


def test_without_a_live_backend_the_connection_is_closed() -> None:
    with Balancer() as balancer, connected(balancer) as connection:
        assert is_closed(connection)


def test_a_message_of_many_megabytes_arrives_whole(backends: tuple[Backend, Backend]) -> None:
    message = b"x" * 20_000_000 + b"\n"
    with Balancer(backends[0].port) as balancer, connected(balancer) as connection:
        assert ask(connection, message) == (backends[0].port, len(message))


def test_a_closed_connection_is_closed_on_both_sides(backends: tuple[Backend, Backend]) -> None:
    with Balancer(backends[0].port) as balancer:
        with connected(balancer) as connection:
            ask(connection)
            assert balancer.connections() == {backends[0].port: 1}

        eventually(lambda: not balancer.connections(), "the backend's side is closed")


def test_cut_connections_are_seen_as_cut(backends: tuple[Backend, Backend]) -> None:
    with Balancer(backends[0].port) as balancer, connected(balancer) as connection:
        ask(connection)

        balancer.cut()

        assert is_closed(connection)
