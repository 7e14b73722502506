"""A server that lacks something: files to open, memory, a registry that answers, or a place for its log."""

import errno
import http.client
import io
import json
import logging
import socket
import sqlite3
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import models
import pytest
from conftest import PATIENCE, LiveServer, StrictClient

from wsgi_service.monitoring import logs
from wsgi_service.settings import Settings

#: Files that a process may have open in these tests, and clients that come.
FEW, CLIENTS = 64, 80
BODY = b'{"instances": [[5.1, 3.5, 1.4, 0.2]]}'

posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limit")


@posix
@pytest.mark.live
def test_a_newcomer_gets_a_connection_and_the_one_that_was_idle_for_longest_goes(start_server: Any) -> None:
    """However many connect, within the files that the process may have open."""
    import resource

    server: LiveServer = start_server()
    resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (FEW, FEW))
    with ExitStack() as stack:
        for _ in range(CLIENTS):
            client = stack.enter_context(
                closing(http.client.HTTPConnection(server.host, server.port, timeout=PATIENCE))
            )
            assert status_of(client, "/healthz") == 200
        assert status_of(client, "/healthz") == 200  # and the last one goes on


@posix
@pytest.mark.live
def test_the_limit_of_connections_follows_that_of_files(start_server: Any, folder: Path) -> None:
    """Silent clients that came first are gone, and their number is below the limit."""
    import resource

    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (FEW, before[1]))
    try:
        server: LiveServer = start_server()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    with ExitStack() as stack:
        silent = [
            stack.enter_context(socket.create_connection((server.host, server.port), timeout=PATIENCE))
            for _ in range(CLIENTS)
        ]
        assert silent[0].recv(1) == b""
        client = stack.enter_context(
            closing(http.client.HTTPConnection(server.host, server.port, timeout=PATIENCE))
        )
        assert status_of(client, "/healthz") == 200
        assert status_of(client, "/models") == 200  # for which the registry needs files


def status_of(client: http.client.HTTPConnection, path: str) -> int:
    client.request("GET", path)
    answer = client.getresponse()
    answer.read()
    return answer.status


@pytest.mark.live
def test_a_registry_that_does_not_answer_keeps_only_those_waiting_who_need_it(
    start_server: Any, folder: Path
) -> None:
    """A chunked body's early decision asks who may send it; meanwhile the thread that reads answers others."""
    server: LiveServer = start_server()
    with closing(http.client.HTTPConnection(server.host, server.port, timeout=PATIENCE)) as client:
        client.request("PUT", "/models/iris/versions/1", models.skops_bytes(models.iris()))
        assert client.getresponse().read()
    answered: list[int] = []

    def send() -> None:
        with closing(http.client.HTTPConnection(server.host, server.port, timeout=PATIENCE)) as chunked:
            headers = {"Content-Type": "application/json"}
            chunked.request("POST", "/models/iris/predict", iter([BODY]), headers, encode_chunked=True)
            answered.append(chunked.getresponse().status)

    with closing(sqlite3.connect(folder / "registry.db", isolation_level=None, timeout=PATIENCE)) as database:
        time.sleep(0.3)  # what the server remembers of the registry is older then than it may be
        database.execute("BEGIN EXCLUSIVE")
        sender = threading.Thread(target=send)
        sender.start()
        with closing(http.client.HTTPConnection(server.host, server.port, timeout=PATIENCE)) as client:
            assert [status_of(client, "/healthz") for _ in range(20)] == [200] * 20
        assert answered == []
        database.execute("ROLLBACK")
    sender.join(PATIENCE)
    assert answered == [200]


@pytest.mark.parametrize("path", ["/models/iris/predict", "/models/iris/compare"])
def test_no_memory_is_said_as_such(client: StrictClient, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    """Wherever it is missing: the words are not those of whoever asked for it."""

    def fail(*_: Any, **__: Any) -> Any:
        raise MemoryError("Unable to allocate 1. TiB")

    client.put_model("iris", models.iris())
    monkeypatch.setattr("wsgi_service.rows.formats.json_body.parse_object", fail)
    monkeypatch.setattr("wsgi_service.resources.comparisons.parse_object", fail)
    answer = client.post(path, data=b'{"a": 1}', content_type="application/json")
    assert (answer.status_code, answer.json["type"]) == (503, "/problems/out-of-memory")
    assert "Retry-After" in answer.headers
    assert "TiB" not in answer.text


class Full(io.StringIO):
    """A stream on a disk that is full for a while."""

    full = True

    def write(self, text: str) -> int:
        if self.full:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(text)


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    found = logging.getLogger("pressed")
    found.propagate = False
    found.setLevel(logging.INFO)
    yield found
    found.handlers = []


def test_lines_that_cannot_be_written_are_lost_and_counted(
    logger: logging.Logger, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is said about each of them anywhere else."""
    disk = Full()
    with monkeypatch.context() as patched:
        patched.setattr(sys, "stderr", disk)
        handler = handler_of(Settings())
    logger.addHandler(handler)
    logger.info("one")
    logger.info("two")
    disk.full = False
    logger.info("three")
    assert disk.getvalue().splitlines() == ["three", "2 lines of the log could not be written before this one"]
    assert capsys.readouterr().err == ""


@pytest.mark.skipif(sys.platform != "linux", reason="Linux has a disk that is always full")
def test_a_log_file_on_a_full_disk_stops_nobody(
    logger: logging.Logger, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And goes on when there is room."""
    file = folder / "server.log"
    file.symlink_to("/dev/full")
    handler = handler_of(Settings(log_file=str(file)))
    logger.addHandler(handler)
    logger.info("one")
    file.unlink()
    logger.info("two")
    handler.close()
    assert file.read_text().splitlines()[0] == "two"
    assert capsys.readouterr().err == ""


def handler_of(settings: Settings) -> logging.Handler:
    """The handler that the log of a server with these settings gets."""
    root = logging.getLogger()
    before, level = root.handlers, root.level
    root.handlers = []
    try:
        logs.start(settings)
        (handler,) = root.handlers
    finally:
        root.handlers = before
        root.setLevel(level)
    handler.setFormatter(None)
    return handler


@pytest.mark.live
def test_nobody_reads_the_log_any_more_and_answers_go_on(start_server: Any) -> None:
    """The pipe that the log goes to is closed."""
    server: LiveServer = start_server()
    assert server.process.stderr
    with closing(http.client.HTTPConnection(server.host, server.port, timeout=PATIENCE)) as client:
        client.request("PUT", "/models/iris/versions/1", models.skops_bytes(models.iris()))
        assert client.getresponse().read()
        for _ in range(3):
            client.request("POST", "/models/iris/predict", BODY, {"Content-Type": "application/json"})
            assert json.loads(client.getresponse().read())["predictions"] == [0]
