"""Large bodies that wait in memory: each in its place, within the room there is, and as good as any other."""

import base64
import hashlib
import http.client
import io
import json
import random
import socket
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import models
import numpy as np
import pytest
from conftest import PATIENCE
from running import Running, until

from wsgi_service.client import Client
from wsgi_service.hosts.pool import HostPool
from wsgi_service.server.adjusting import INBUF_OVERFLOW
from wsgi_service.server.spool import FILLED_AT_ONCE, Held, Room

pytestmark = pytest.mark.system

ROWS = np.random.default_rng(0).uniform(0.1, 7.0, size=(20_000, 4))


def npy(rows: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, rows)
    return file.getvalue()


@pytest.mark.parametrize("seed", range(5))
def test_a_body_is_what_came_whichever_way_it_came(seed: int) -> None:
    chance = random.Random(seed)
    sent = chance.randbytes(3 * FILLED_AT_ONCE)
    held, position = Held(len(sent), Room(len(sent), len(sent))), 0
    while not held.completed:
        assert len(held) == position
        vacant = held.vacant()
        if vacant and chance.random() < 0.5:
            count = chance.randint(1, len(vacant))
            vacant[:count] = sent[position : position + count]
            held.filled(count)
            position += count
        else:
            position += held.received(sent[position : position + chance.randint(1, 100_000)])
    assert held.received(b"the next request") == 0
    assert bytes(held.whole) == sent
    assert (held.read(10), held.read(), held.read()) == (sent[:10], sent[10:], b"")
    held.seek(5)
    assert held.read(3) == sent[5:8]
    assert held.seek(0, io.SEEK_END) == len(sent)


def test_the_last_byte_is_left_to_whom_it_completes_the_request() -> None:
    held = Held(3, Room(3, 3))
    assert len(held.vacant()) == 2
    held.filled(2)
    assert not held.vacant()
    assert not held.completed
    assert held.received(b"c and more") == 1
    assert held.completed


def test_what_was_sent_cannot_be_written_to() -> None:
    with pytest.raises(TypeError):
        Held(3, Room(3, 3)).whole[0] = 1


def test_room_is_for_bodies_that_fit_and_comes_back_when_they_are_closed_or_forgotten() -> None:
    room = Room(10, 8)
    assert room.hold(9) is None
    first, second = room.hold(8), room.hold(2)
    assert first is not None
    assert second is not None
    assert room.hold(1) is None
    first.received(b"12345678")
    whole = first.whole
    first.close()
    first.close()
    assert room.hold(9) is None
    assert bytes(whole) == b"12345678"
    del second
    assert room.hold(8) is not None


@pytest.fixture(scope="module")
def running(pool: HostPool, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    server = Running(tmp_path_factory.mktemp("data"), pool, acceleration="off")
    with Client(f"http://127.0.0.1:{server.port}") as client:
        client.push(models.iris(), "iris")
    yield server
    server.stop()


@pytest.fixture
def room(running: Running) -> Iterator[Room]:
    room: Room = running.server.adj.room
    size = room._left
    yield room
    until(lambda: room._left == size)  # and nothing is left behind


def post(running: Running, body: bytes, type_: str = "application/x-npy", **headers: str) -> Any:
    """The status and the predictions of a large predict."""
    connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=PATIENCE)
    with closing(connection):
        connection.request("POST", "/models/iris/predict", body, {"Content-Type": type_, **headers})
        answer = connection.getresponse()
        document = json.loads(answer.read())
        return answer.status, document.get("predictions")


def expected() -> list[Any]:
    found: list[Any] = models.iris().predict(ROWS).tolist()
    return found


@pytest.mark.parametrize(
    ("type_", "body"),
    [
        ("application/x-npy", npy(ROWS)),
        ("application/x-npy", npy(np.asfortranarray(ROWS))),
        ("application/x-npy", npy(ROWS.astype(">f8"))),
        ("application/json", json.dumps({"instances": ROWS.tolist()}).encode()),
        ("text/csv", "\n".join(",".join(map(repr, row)) for row in ROWS.tolist()).encode()),
    ],
    ids=["npy", "by-columns", "big-endian", "json", "csv"],
)
def test_a_large_body_in_memory_is_answered_as_from_a_file(
    running: Running, room: Room, monkeypatch: pytest.MonkeyPatch, type_: str, body: bytes
) -> None:
    assert len(body) > INBUF_OVERFLOW
    taken: list[int] = []
    hold = room.hold
    monkeypatch.setattr(room, "hold", lambda length: taken.append(length) or hold(length))
    assert post(running, body, type_) == (200, expected())
    monkeypatch.setattr(room, "hold", lambda _length: None)
    assert post(running, body, type_) == (200, expected())
    assert taken == [len(body)]


def test_a_body_in_pieces_and_the_request_behind_it_are_both_answered(running: Running, room: Room) -> None:
    chance, body = random.Random(0), npy(ROWS)
    head = (
        "POST /models/iris/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-npy\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode()
    sent = head + body + b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    with socket.create_connection(("127.0.0.1", running.port), PATIENCE) as connection:
        position = 0
        while position < len(sent):
            piece = sent[position : position + chance.choice([1, 100, 70_000, 200_000])]
            connection.sendall(piece)
            position += len(piece)
        answers = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answers.count(b"HTTP/1.1 200 OK") == 2


@pytest.mark.parametrize(("digest_of", "status"), [(npy(ROWS), 200), (b"something else", 422)])
def test_a_digest_is_held_against_a_body_in_memory(
    running: Running, room: Room, digest_of: bytes, status: int
) -> None:
    claim = f"sha-256=:{base64.b64encode(hashlib.sha256(digest_of).digest()).decode()}:"
    assert post(running, npy(ROWS), **{"Content-Digest": claim})[0] == status


def test_who_goes_away_in_the_middle_gives_the_room_back(running: Running, room: Room) -> None:
    size, head = room._left, "POST /models/iris/predict HTTP/1.1\r\nHost: localhost\r\n"
    with socket.create_connection(("127.0.0.1", running.port), PATIENCE) as connection:
        connection.sendall(f"{head}Content-Length: 5000000\r\n\r\n".encode() + bytes(1_000_000))
        until(lambda: room._left == size - 5_000_000)


def test_who_goes_away_leaves_no_room_behind_with_the_thread_that_answered_before(
    running: Running, room: Room
) -> None:
    size = room._left
    head = b"POST /models/iris/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5000000\r\n\r\n"
    with socket.create_connection(("127.0.0.1", running.port), PATIENCE) as connection:
        connection.sendall(b"GET /models HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert connection.recv(65536)
        connection.sendall(head + bytes(100))
        until(lambda: room._left == size - 5_000_000)


def test_a_body_without_memory_for_it_goes_to_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise MemoryError

    room = Room(10, 10)
    monkeypatch.setattr(np, "empty", fail)
    assert room.hold(10) is None
    monkeypatch.undo()
    assert room.hold(10) is not None


def test_what_is_refused_by_its_head_takes_no_room(running: Running, room: Room) -> None:
    size = room._left
    with socket.create_connection(("127.0.0.1", running.port), PATIENCE) as connection:
        head = "DELETE /models/iris/aliases/live HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9000000\r\n\r\n"
        connection.sendall(head.encode())
        assert b" 413 " in connection.recv(65536)
        until(lambda: room._left == size)
