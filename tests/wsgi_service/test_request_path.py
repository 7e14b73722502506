"""What a request costs that no clock has to tell: garbage, packets, and what is looked up again."""

import gc
import io
import socket
from typing import Any

import models
import numpy as np
import pytest
from conftest import LiveServer, StrictClient
from werkzeug.test import EnvironBuilder

from wsgi_service.app import Application
from wsgi_service.client import Client
from wsgi_service.dispatch import REMEMBERED, Matches
from wsgi_service.server.channel import SENT_AT_ONCE, Channel

BODY = b'{"instances": [[5.1, 3.5, 1.4, 0.2]]}'
REQUESTS = 50


def ask(app: Application, path: str = "/models/iris/predict", method: str = "POST", body: bytes = BODY) -> None:
    environ = EnvironBuilder(path, method=method, data=body, content_type="application/json").get_environ()
    list(app(environ, lambda *_: lambda _: None))


def garbage_of(app: Application, path: str, method: str, body: bytes) -> int:
    """Objects that only a collection finds after many requests."""
    gc.collect()
    gc.disable()
    try:
        for _ in range(REQUESTS):
            ask(app, path, method, body)
        return gc.collect()
    finally:
        gc.enable()


@pytest.mark.parametrize(
    ("path", "method", "body"),
    [
        ("/models/iris/predict", "POST", BODY),
        ("/models/iris/predict", "POST", b'{"instances": [["x"]]}'),
        ("/healthz", "GET", b""),
    ],
)
def test_a_request_leaves_nothing_that_only_a_collection_finds(
    app: Application, client: StrictClient, path: str, method: str, body: bytes
) -> None:
    client.put_model("iris", models.iris())
    for _ in range(3):
        ask(app, path, method, body)
    # Other threads leave something now and then; what requests leave is there each time.
    found = min(garbage_of(app, path, method, body) for _ in range(3))
    assert found < REQUESTS, f"{found / REQUESTS} objects for each request"


def test_addresses_are_remembered_and_there_is_an_end_to_it(app: Application, client: StrictClient) -> None:
    matches = Matches(app.url_map)
    first = matches.find("/models/a/predict", "POST")
    assert matches.find("/models/a/predict", "POST") is first
    for number in range(1, REMEMBERED + 5):
        route, arguments = matches.find(f"/models/a/versions/{number}", "GET")
        assert (route.call.__name__, dict(arguments)) == ("read", {"model": "a", "number": number})
    assert len(matches._found) <= REMEMBERED
    before = len(matches._found)
    for slashes in range(1, 20):
        matches.find("/" * slashes + "models/a/predict", "POST")
    assert len(matches._found) <= before + 1
    assert matches.find("/models/a/predict", "POST") == first


@pytest.mark.system
@pytest.mark.live
@pytest.mark.parametrize("path", ["/healthz", "/models"])
def test_a_small_answer_comes_in_one_piece(live_server: LiveServer, path: str) -> None:
    """Head and body in two packets would wake a client twice."""
    with socket.create_connection((live_server.host, live_server.port), 60) as connection:
        for _ in range(5):
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            piece = connection.recv(1 << 16)
            head, _, body = piece.partition(b"\r\n\r\n")
            assert b"200 OK" in head
            assert f"content-length: {len(body)}".encode() in head.lower()


@pytest.mark.system
@pytest.mark.live
def test_an_answer_is_sent_while_the_next_request_of_its_connection_runs(live_server: LiveServer) -> None:
    """What the socket did not take at once must neither wait for the next answer nor keep the loop busy."""
    with Client(live_server.url) as client:
        client.push(models.line(), "piped")
    rows = np.zeros((60_000, 1))
    file = io.BytesIO()
    np.save(file, rows)
    body = file.getvalue()
    head = "POST /models/piped/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-npy\r\n"
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(60)
        connection.connect((live_server.host, live_server.port))
        request = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
        connection.sendall(request + b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        received = b"".join(iter(lambda: connection.recv(1 << 16), b""))
    assert received.count(b"HTTP/1.1 200 OK") == 2
    assert received.endswith(b'{"status":"ok"}')


def test_what_is_left_of_an_answer_is_sent_although_another_request_waits() -> None:
    sent = []

    class Stub(Channel):
        def __init__(self) -> None:
            self.requests = [object()]
            self.total_outbufs_len, self.will_close, self.close_when_flushed = 10, False, False
            self.adj = type("Adj", (), {"send_bytes": SENT_AT_ONCE})()

        def _flush_exception(self, flush: Any, do_close: bool = True) -> None:
            if flush is not None:
                sent.append(flush.__name__)

    Stub().handle_write()
    assert sent == ["_flush_some_if_lockable"]


def test_a_link_may_be_asked_for_its_head(client: StrictClient) -> None:
    client.put_model("line", models.line())
    whole: Any = client.get("/models/line/predict?x0=1")
    head = client.head("/models/line/predict?x0=1")
    assert (head.status_code, head.data) == (200, b"")
    assert head.headers["Content-Type"] == whole.headers["Content-Type"]
    assert len(whole.data) == int(whole.headers["Content-Length"])
