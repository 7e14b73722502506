"""A head that was read before is not read again, and nothing else about its request is remembered."""

import http.client
import json
from collections.abc import Iterator
from typing import Any

import models
import pytest
from conftest import PATIENCE
from running import Running

from wsgi_service.hosts.pool import HostPool
from wsgi_service.server.head_cache import LONGEST, MOST, Heads
from wsgi_service.server.parser import Parser

pytestmark = pytest.mark.system

TYPE = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def served(pool: HostPool, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    running = Running(tmp_path_factory.mktemp("heads"), pool, acceleration="off")
    ask(running, "PUT", "/models/line/versions/1", models.skops_bytes(models.line()))
    yield running
    running.stop()


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The heads that were read, each time they were."""
    read: list[bytes] = []
    anew = Parser._parse_anew

    def note(self: Parser, head: bytes) -> None:
        read.append(head)
        anew(self, head)

    monkeypatch.setattr(Parser, "_parse_anew", note)
    return read


def ask(running: Running, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
    """The status and the answer to one request on a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=PATIENCE)
    try:
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read() or "null")
    finally:
        connection.close()


def predict(running: Running, value: str, **headers: str) -> Any:
    body = f'{{"instances": [[{value}]]}}'
    return ask(running, "POST", "/models/line/predict", body, Content_Type="application/json", **headers)


def test_the_same_head_has_the_same_meaning_and_another_body(served: Running, parsed: list[bytes]) -> None:
    answers = [predict(served, value) for value in ("1.0", "2.0", "3.0")]
    assert [answer["predictions"][0] for _, answer in answers] == pytest.approx([3.0, 5.0, 7.0])
    assert len({answer["request_id"] for _, answer in answers}) == 3
    assert len(parsed) <= 1


def test_another_length_is_another_head(served: Running, parsed: list[bytes]) -> None:
    assert predict(served, "1.25")[1]["predictions"] == pytest.approx([3.5])
    assert predict(served, "1.125")[1]["predictions"] == pytest.approx([3.25])
    assert len(parsed) == 2


@pytest.mark.parametrize("name", ["Authorization", "Cookie"])
def test_a_head_with_a_secret_is_read_each_time(served: Running, parsed: list[bytes], name: str) -> None:
    for _ in range(2):
        assert predict(served, "1.0", **{name: "Bearer of something"})[0] == 200
    assert len(parsed) == 2
    assert not any(b"of something" in head for head in served.server.adj.heads._known)


def test_a_head_that_was_refused_is_refused_again(served: Running, parsed: list[bytes]) -> None:
    for _ in range(2):
        status, problem = ask(served, "GET", "/models/line", Content_Length="x")
        assert (status, problem["type"]) == (400, "/problems/bad-request")
    assert len(parsed) == 2


def test_what_a_head_may_do_is_decided_each_time(served: Running) -> None:
    """The route was there and is gone, and with the same head."""
    path = "/models/other/versions/1"
    ask(served, "PUT", path, models.skops_bytes(models.line()))
    assert ask(served, "GET", path)[0] == 200
    assert ask(served, "DELETE", "/models/other")[0] == 204
    assert ask(served, "GET", path)[0] == 404


def test_only_so_many_short_heads_are_kept() -> None:
    known = Heads()
    parsed: dict[str, Any] = {"headers": {}}
    for index in range(MOST + 1):
        known.keep(b"%d" % index, parsed)
    assert len(known._known) == 1
    assert known.find(b"%d" % MOST) is not None
    assert known.keep(b"x" * (LONGEST + 1), parsed) is None
    assert known.keep(b"x", {"headers": {"COOKIE": "a"}}) is None


def test_nothing_of_a_connection_is_kept_with_a_head(served: Running) -> None:
    predict(served, "1.0")
    kept = [head.environ for head in served.server.adj.heads._known.values() if head.environ]
    assert kept
    for environ in kept:
        assert not {"wsgi.input", "waitress.client_disconnected", "REMOTE_ADDR", "REMOTE_PORT"} & environ.keys()
        assert not any(name.startswith("wsgi_service") for name in environ)
