"""Small predicts are answered by the thread that reads them, unless they would have to wait for anything."""

import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import models
import numpy as np
import pytest
from conftest import PATIENCE, LiveServer
from running import Running, message

from model_store.entities import Attribution, Draft, Facts
from model_store.schema import Schema
from model_store.sql.registry import SqlRegistry
from wsgi_service.app import create_app
from wsgi_service.at_once import Elsewhere, answering, elsewhere, must_not_wait
from wsgi_service.client import Client
from wsgi_service.hosts.pool import HostPool
from wsgi_service.hosts.unpacking import Unpacking
from wsgi_service.http.budget import UNCOUNTED
from wsgi_service.resources.predictions import Predictions
from wsgi_service.routes import Work
from wsgi_service.rows.tables import Table, values_in
from wsgi_service.server.channel import Channel
from wsgi_service.serving import programs
from wsgi_service.serving.directory import Directory
from wsgi_service.serving.revision import Revision
from wsgi_service.serving.runnable import Runnable
from wsgi_service.settings import Settings

pytestmark = [pytest.mark.system, pytest.mark.extras]

ROWS = [[5.1, 3.5, 1.4, 0.2], [6.3, 3.3, 6.0, 2.5]]
BY = Attribution("ann", "request-1")


def test_elsewhere_is_no_error_that_a_handler_could_take() -> None:
    assert not issubclass(Elsewhere, Exception)
    elsewhere()  # a thread that may wait just goes on
    with answering(), pytest.raises(Elsewhere):
        elsewhere()
    assert not must_not_wait()


@pytest.fixture
def running(accelerating: None, folder: Path, pool: HostPool) -> Iterator[Running]:
    server = Running(folder, pool, acceleration_wait=PATIENCE)
    with Client(f"http://127.0.0.1:{server.port}") as client:
        client.push(models.iris(), "fast")
        client.push(models.spam(), "slow")
    server.answered_by.clear()
    yield server
    server.stop()


def ask(connection: http.client.HTTPConnection, model: str, rows: Any, **keys: Any) -> Any:
    body = json.dumps({"instances": rows, **keys})
    connection.request("POST", f"/models/{model}/predict", body, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read())


def test_a_program_answers_at_once_and_an_estimator_alone_elsewhere(running: Running) -> None:
    running.look_nothing_up_again()
    with closing(http.client.HTTPConnection("127.0.0.1", running.port, timeout=PATIENCE)) as connection:
        for _ in range(3):
            status, answer = ask(connection, "fast", ROWS)
            assert (status, answer["predictions"], answer["engine"]) == (200, [0, 2], "onnx")
            status, answer = ask(connection, "slow", ["cheap money"], exact=True)
            assert (status, answer["engine"]) == (200, "native")  # with the body that was read once before
    assert running.answered_by.count("elsewhere") >= 3
    assert "at once" in running.answered_by


def test_requests_that_come_together_are_answered_in_their_order(running: Running) -> None:
    """Some at once and some elsewhere, all on one connection before the first answer is read."""
    bodies = [
        ("fast", ROWS[:1]),
        ("slow", ["cheap money"]),
        ("fast", ROWS[1:]),
        ("fast", "wrong"),
        ("fast", ROWS),
    ] * 4
    sent = b"".join(message(model, rows) for model, rows in bodies)
    with socket.create_connection(("127.0.0.1", running.port), timeout=PATIENCE) as connection:
        connection.sendall(sent)
        answers = read_answers(connection, len(bodies))
    labels = models.spam().predict(["cheap money"]).tolist()
    expected = [[0], labels, [2], None, [0, 2]] * 4
    assert [answer.get("predictions") for answer in answers] == expected


def read_answers(connection: socket.socket, count: int) -> list[Any]:
    found = []
    with connection.makefile("rb") as stream:
        for _ in range(count):
            length = 0
            while line := stream.readline().strip():
                name, _, value = line.partition(b":")
                length = int(value) if name.lower() == b"content-length" else length
            found.append(json.loads(stream.read(length)))
    return found


def test_whoever_waits_does_not_keep_the_others_waiting(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    go_on, waiting = threading.Event(), threading.Event()
    whole = Predictions._answer

    def answer(self: Any, request: Any, control: Any, *more: Any, **named: Any) -> Any:
        if control.model == "slow":
            elsewhere()
            waiting.set()
            assert go_on.wait(PATIENCE)
        return whole(self, request, control, *more, **named)

    monkeypatch.setattr(Predictions, "_answer", answer)
    slow = http.client.HTTPConnection("127.0.0.1", running.port, timeout=PATIENCE)
    asking = threading.Thread(target=ask, args=(slow, "slow", ["cheap money"]))
    asking.start()
    assert waiting.wait(PATIENCE)
    fast = http.client.HTTPConnection("127.0.0.1", running.port, timeout=PATIENCE)
    assert ask(fast, "fast", ROWS)[1]["predictions"] == [0, 2]
    go_on.set()
    asking.join(PATIENCE)
    slow.close()
    fast.close()


def test_an_address_that_had_to_wait_is_not_tried_at_once_for_a_while(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[str] = []
    whole = Channel.answer_at_once
    monkeypatch.setattr(Channel, "answer_at_once", lambda self: tried.append(self.requests[0].path) or whole(self))
    monkeypatch.setattr("wsgi_service.server.loop.SLOW_SECONDS", PATIENCE)
    connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=PATIENCE)
    for _ in range(4):
        ask(connection, "slow", ["cheap money"], exact=True)
    connection.close()
    # Once or twice it is the directory that had to be asked first, which says nothing about the address.
    assert 1 <= tried.count("/models/slow/predict") <= 3


def test_a_long_answer_is_given_elsewhere(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would fill the connection's buffers, which are emptied by the thread that would wait for that."""
    monkeypatch.setattr(programs, "AT_ONCE", 100)
    connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=PATIENCE)
    assert ask(connection, "fast", ROWS * 20)[1]["predictions"] == [0, 2] * 20
    connection.close()
    assert running.answered_by == ["elsewhere"]


def test_a_large_or_chunked_body_is_for_threads_that_may_wait(running: Running) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=PATIENCE)
    assert len(ask(connection, "fast", ROWS * 1000)[1]["predictions"]) == 2000
    headers = {"Content-Type": "application/json"}
    body = iter([json.dumps({"instances": ROWS}).encode()])
    connection.request("POST", "/models/fast/predict", body, headers, encode_chunked=True)
    assert connection.getresponse().status == 200
    connection.close()
    assert running.answered_by == ["elsewhere"] * 2


def test_what_would_get_no_slot_is_refused_at_once(running: Running) -> None:
    """Uploads too; but one that gets a slot at the last moment is not begun by the thread that reads."""
    running.look_nothing_up_again()
    slots, taken = running.app.slots, 0
    with closing(http.client.HTTPConnection("127.0.0.1", running.port, timeout=PATIENCE)) as connection:
        assert ask(connection, "slow", ["cheap money"])[0] == 200
        while not slots.full(Work.PREDICT):
            slots.take(Work.PREDICT)
            taken += 1
        running.answered_by.clear()
        while running.answered_by[-1:] != ["at once"]:  # from then on nothing is looked up any more
            assert ask(connection, "slow", ["cheap money"])[0] == 503
        running.answered_by.clear()
        for _ in range(3):
            assert ask(connection, "slow", ["cheap money"])[0] == 503
        binary = {"Content-Type": "application/octet-stream"}
        connection.request("PUT", "/models/slow/versions/2", b"no model", binary)
        assert connection.getresponse().read().startswith(b'{"type":"/problems/busy"')
        assert running.answered_by == ["at once"] * 4
        for _ in range(taken):
            slots.give_back(Work.PREDICT)
        assert ask(connection, "slow", ["cheap money"])[0] == 200


def test_a_version_that_has_no_place_left_refuses_at_once(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where its address is known to be a slow one."""
    running.look_nothing_up_again()
    monkeypatch.setattr("wsgi_service.server.loop.SLOW_SECONDS", PATIENCE)
    with closing(http.client.HTTPConnection("127.0.0.1", running.port, timeout=PATIENCE)) as connection:
        while not running.server._slow:
            assert ask(connection, "slow", ["cheap money"], exact=True)[0] == 200
        running.answered_by.clear()
        monkeypatch.setattr(running.predictions._predictor.places, "most", 0)
        status, answer = ask(connection, "slow", ["cheap money"], exact=True)
        assert (status, answer["type"]) == (503, "/problems/busy")
        assert running.answered_by == ["at once"]
        assert ask(connection, "fast", ROWS)[0] == 200
        monkeypatch.undo()
        assert ask(connection, "slow", ["cheap money"], exact=True)[0] == 200


def test_an_upload_is_never_begun_by_the_thread_that_reads(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=PATIENCE)
    monkeypatch.setattr(running.app.slots, "full", lambda _work: True)  # and then one came free
    connection.request("PUT", "/models/slow/versions/2", b"no model", {"Content-Type": "application/octet-stream"})
    assert connection.getresponse().status in (415, 422)
    assert running.answered_by == ["elsewhere"]
    connection.close()


def test_a_thread_that_must_not_wait_neither_loads_a_program_nor_reads_the_registry(folder: Path) -> None:
    registry = SqlRegistry(f"sqlite:///{(folder / 'registry.db').as_posix()}")
    facts = Facts(format="skops", estimator="E", methods=("predict",), schema=Schema(inputs=()), environment={})
    registry.add_version("iris", Draft(digest="sha256:a", size=1, facts=facts), BY)
    directory = Directory(registry, Revision(registry, poll=PATIENCE))
    with answering(), pytest.raises(Elsewhere) as found:
        directory.find("iris", None, None)
    assert not found.value.lasting
    target = directory.find("iris", None, None)
    with answering():
        assert directory.find("iris", None, None) is target
    registry.update_version("iris", 1, {"description": "new"}, BY)
    with answering(), pytest.raises(Elsewhere):
        directory.find("iris", None, None)
    registry.close()


def test_the_directory_is_refreshed_by_another_thread_before_it_is_too_old(folder: Path) -> None:
    registry = SqlRegistry(f"sqlite:///{(folder / 'registry.db').as_posix()}")
    other = SqlRegistry(f"sqlite:///{(folder / 'registry.db').as_posix()}")
    facts = Facts(format="skops", estimator="E", methods=("predict",), schema=Schema(inputs=()), environment={})
    registry.add_version("iris", Draft(digest="sha256:a", size=1, facts=facts), BY)
    directory = Directory(registry, Revision(registry, poll=0.05))
    directory.find("iris", None, None)
    other.update_version("iris", 1, {"description": "new"}, BY)
    until = time.monotonic() + PATIENCE
    seen = None
    while seen != "new" and time.monotonic() < until:
        try:
            with answering():
                seen = directory.find("iris", None, None).version.description
        except Elsewhere:
            seen = directory.find("iris", None, None).version.description
    assert seen == "new"
    registry.close()
    other.close()


def test_a_program_that_is_not_loaded_is_loaded_elsewhere(
    accelerating: None, folder: Path, pool: HostPool
) -> None:
    app = create_app(Settings(data=str(folder)), pool)
    found = Runnable("sha256:a", 10, ("predict",))
    kept = programs.Programs(app.catalog.artifacts, 30.0)
    kept.answered(found.digest)
    table = Table(1, matrix=np.zeros((1, 2)))
    with answering(), pytest.raises(Elsewhere):
        kept.take(found, ["predict"], table)
    assert kept.take(found, ["predict"], table) is None  # elsewhere it is looked for, and there is none
    app.catalog.registry.close()


@pytest.mark.live
def test_the_real_server_answers_in_both_ways(start_server: Any) -> None:
    server: LiveServer = start_server()
    with Client(server.url, patience=PATIENCE) as client:
        client.push(models.iris(), "iris")
        rows = np.array(ROWS)
        for _ in range(20):
            assert client.predict("iris", rows).tolist() == [0, 2]
            assert client.predict("iris", rows, method="decision_function").shape == (2, 3)


def test_what_must_be_read_elsewhere_or_for_long_is_not_read_by_the_thread_that_reads(running: Running) -> None:
    """A table that another process takes apart, and a large body of anything but numbers."""
    with answering(), pytest.raises(Elsewhere):
        Unpacking(running.app.pool, PATIENCE)("parquet", b"", 10, UNCOUNTED)
    with closing(http.client.HTTPConnection("127.0.0.1", running.port, timeout=PATIENCE)) as connection:
        assert ask(connection, "slow", ["cheap money"] * 2000)[0] == 200
        running.answered_by.clear()
        assert ask(connection, "slow", ["cheap money"] * 2000)[0] == 200
        text = "\n".join(["5.1,3.5,1.4,0.2"] * 2000)
        connection.request("POST", "/models/fast/predict", text, {"Content-Type": "text/csv"})
        assert len(json.loads(connection.getresponse().read())["predictions"]) == 2000
    assert running.answered_by == ["elsewhere", "elsewhere"]


def test_values_are_counted_however_they_are_nested() -> None:
    arrays = [np.zeros((3, 4)), np.zeros((3, 2))]
    assert values_in([np.zeros((5, 2)), [1, 2, 3], [["a", "b"], ["c", "d"]], arrays]) == 10 + 3 + 4 + 18
    assert values_in([["a" * 800]]) == 101
