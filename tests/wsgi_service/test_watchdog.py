"""What holds up the thread that reads is noted, named and kept from doing so again."""

import http.client
import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import models
import pytest
from conftest import PATIENCE
from running import Running, until

from wsgi_service.at_once import must_not_wait
from wsgi_service.client import Client
from wsgi_service.hosts.pool import HostPool
from wsgi_service.server import watchdog
from wsgi_service.server.watchdog import Watchdog

ROWS = [[5.1, 3.5, 1.4, 0.2], [6.3, 3.3, 6.0, 2.5]]


@pytest.fixture
def running(accelerating: None, folder: Path, pool: HostPool) -> Iterator[Running]:
    server = Running(folder, pool, acceleration_wait=PATIENCE)
    with Client(f"http://127.0.0.1:{server.port}") as client:
        client.push(models.iris(), "iris")
    yield server
    server.stop()


def ask(port: int) -> Any:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)) as connection:
        body = json.dumps({"instances": ROWS})
        connection.request("POST", "/models/iris/predict", body, {"Content-Type": "application/json"})
        return json.loads(connection.getresponse().read())


def test_a_program_that_holds_others_up_is_stopped_named_and_sent_to_hosts(
    running: Running, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from model_store.formats.onnx.program import Session

    caplog.set_level("WARNING", "wsgi_service")
    running.look_nothing_up_again()
    while "at once" not in running.answered_by:
        assert ask(running.port)["engine"] == "onnx"
    whole, held_up = Session.run, []

    def run(self: Any, methods: Any, rows: Any, options: Any = None) -> Any:
        if not must_not_wait():
            return whole(self, methods, rows, options)
        held_up.append(rows)
        while not options.terminate:
            pass
        raise RuntimeError("terminated")

    monkeypatch.setattr(Session, "run", run)
    for _ in range(3):
        answer = ask(running.port)
        assert (answer["engine"], answer["predictions"]) == ("native", [0, 2])
    assert len(held_up) == 1
    said = [record.getMessage() for record in caplog.records if record.name == "wsgi_service.server.watchdog"]
    assert len(said) == 1
    assert said[0].endswith("POST '/models/iris/predict' for iris version 1")
    counted = running.app.metrics.exposition().decode()
    assert "wsgi_service_late_turns_total 1.0" in counted
    assert "wsgi_service_slow_programs 1.0" in counted


def test_a_turn_that_took_too_long_is_noted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also if nobody could look while it lasted."""
    noted: list[int] = []
    watching = Watchdog(lambda: noted.append(1))
    watching.begins()
    watching.rests()
    watching.rests()
    assert noted == []
    monkeypatch.setattr(watchdog, "LATE", -1.0)
    for turns in (1, 2):
        watching.begins()
        watching.takes(SimpleNamespace(command="GET", path="/healthz"))
        watching.rests()
        watching.rests()
        assert len(noted) == turns


def test_whoever_looks_says_it_while_it_lasts(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("WARNING", "wsgi_service")
    monkeypatch.setattr(watchdog, "LATE", -1.0)
    monkeypatch.setattr(watchdog, "LOOK", 0.001)
    noted: list[int] = []
    watching = Watchdog(lambda: noted.append(1))
    watching.begins()
    watching.start()
    until(lambda: caplog.records)
    watching.stop()
    watching.rests()
    assert noted == [1]
    assert caplog.records[0].getMessage().endswith("no request was being answered")
