"""Nothing is computed for a client whose time is over, or that has gone; and no host is ended for that."""

import math
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import models
import numpy as np
import pytest
from conftest import PATIENCE, StrictClient
from running import Running, message, until

from wsgi_service.errors import NotWanted, TooLate
from wsgi_service.hosts import frames
from wsgi_service.hosts.pool import HostPool
from wsgi_service.hosts.process import Host
from wsgi_service.http.requests import BEGAN
from wsgi_service.rows.tables import Table
from wsgi_service.serving.batching import Batches, Caller, Joined
from wsgi_service.serving.wanted import ALWAYS, Wanted


@pytest.mark.parametrize("given", ["", "0", "0.0", "-1", "1e3", "nan", "inf", "soon", "1234567", "1,5"])
def test_a_request_timeout_that_is_no_time_is_refused(client: StrictClient, given: str) -> None:
    client.put_model("line", models.line())
    answer = client.post("/predict", json={"instances": [[1.0]]}, headers={"Request-Timeout": given})
    assert (answer.status_code, answer.json["type"]) == (422, "/problems/invalid-request")


def test_the_time_counts_from_when_the_request_came(client: StrictClient) -> None:
    client.put_model("line", models.line())
    answer = client.post(
        "/predict",
        json={"instances": [[1.0]]},
        headers={"Request-Timeout": "9"},
        environ_overrides={BEGAN: time.perf_counter() - 10},
    )
    assert (answer.status_code, answer.json["type"]) == (504, "/problems/too-late")


def test_an_answer_in_time_is_like_any_other(client: StrictClient) -> None:
    client.put_model("line", models.line())
    answer = client.post("/predict", json={"instances": [[1.0]]}, headers={"Request-Timeout": "100.5"})
    assert (answer.status_code, answer.json["predictions"]) == (200, pytest.approx([3.0]))


@pytest.mark.system
def test_what_comes_too_late_is_a_504_and_no_crash(client: StrictClient, app: Any, pool: HostPool) -> None:
    """All hosts are held by somebody else, and the client's time is shorter than the server's."""
    client.put_model("line", models.line())
    held = [pool.serving(f"other {number}", PATIENCE) for number in range(pool.size)]
    hosts = [one.__enter__() for one in held]
    try:
        answer = client.post("/predict", json={"instances": [[1.0]]}, headers={"Request-Timeout": "0.05"})
    finally:
        for one in held:
            one.__exit__(None, None, None)
    assert (answer.status_code, answer.json["type"]) == (504, "/problems/too-late")
    assert all(host.alive for host in hosts)
    assert "crash" not in [event.action for event in app.catalog.registry.events("line")]
    assert client.post("/predict", json={"instances": [[1.0]]}).status_code == 200


def test_a_call_that_has_begun_is_not_cut_off_by_the_clients_time(
    client: StrictClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limit of the host's call stays the server's own."""
    client.put_model("line", models.line())
    limits: list[float] = []
    whole = Host.call

    def call(self: Host, request: Any, buffers: Any, limit: float, *more: Any) -> Any:
        if isinstance(request, frames.Predict):
            limits.append(limit)
        return whole(self, request, buffers, limit, *more)

    monkeypatch.setattr(Host, "call", call)
    client.post("/predict", json={"instances": [[1.0]]}, headers={"Request-Timeout": "9"})
    assert limits
    assert min(limits) > 20


def soon() -> float:
    return time.monotonic() + PATIENCE


def test_whoever_has_gone_is_left_out_of_a_joined_call() -> None:
    """One leads and is held up; of two that wait meanwhile one goes away."""
    batches, rows = Batches(1), Table(1, matrix=np.zeros((1, 2)))
    go_on, leading, gone = threading.Event(), threading.Event(), threading.Event()
    calls: list[int] = []
    ended: dict[str, Any] = {}

    def ask(name: str, wanted: Wanted, hold: bool) -> None:
        def call(take: Any) -> Joined:
            if hold:
                leading.set()
                assert go_on.wait(PATIENCE)
            taken = take()
            calls.append(taken.requests)
            return taken

        def read(taken: Joined) -> list[Any]:
            return [np.zeros(taken.table.rows)]

        try:
            ended[name] = batches.ask("m", rows, Caller(soon(), call, read), wanted)
        except (TooLate, NotWanted) as error:
            ended[name] = error

    first = threading.Thread(target=ask, args=("first", ALWAYS, True))
    first.start()
    assert leading.wait(PATIENCE)
    others = [
        threading.Thread(target=ask, args=("gone", Wanted(gone=gone.is_set), False)),
        threading.Thread(target=ask, args=("stays", ALWAYS, False)),
    ]
    for other in others:
        other.start()
    until(lambda: len(batches._queues["m"].waiting) == 2)
    gone.set()
    go_on.set()
    for thread in (first, *others):
        thread.join(PATIENCE)
    assert calls == [2]
    assert isinstance(ended["gone"], NotWanted)
    assert ended["stays"][0].tolist() == [0.0]


def test_the_leader_of_a_joined_call_may_be_too_late_and_the_next_one_leads() -> None:
    batches, rows = Batches(1), Table(1, matrix=np.zeros((1, 2)))

    def call(take: Any) -> Joined:
        return take()

    late = Wanted(until=-math.inf)
    caller = Caller(soon(), call, lambda _taken: [np.zeros(1)])
    with pytest.raises(TooLate):
        batches.ask("m", rows, caller, late)
    found = batches.ask("m", rows, caller)
    assert found is not None
    assert batches._queues == {}


@pytest.fixture
def running(folder: Path, pool: HostPool) -> Iterator[Running]:
    server = Running(folder, pool)
    yield server
    server.stop()


@pytest.mark.system
def test_a_client_that_closes_its_connection_is_not_computed_for(
    running: Running, pool: HostPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    StrictClient(running.app).put_model("line", models.line())
    StrictClient(running.app).post("/predict", json={"instances": [[1.0]]})
    asked: list[Any] = []
    whole = Host.call

    def call(self: Host, request: Any, *more: Any) -> Any:
        asked.append(request)
        return whole(self, request, *more)

    monkeypatch.setattr(Host, "call", call)
    checked = threading.Event()
    check = Wanted.check

    def note(self: Wanted) -> None:
        try:
            check(self)
        except NotWanted:
            checked.set()
            raise

    monkeypatch.setattr(Wanted, "check", note)
    held = [pool.serving(f"other {number}", PATIENCE) for number in range(pool.size)]
    for one in held:
        one.__enter__()
    with socket.create_connection(("127.0.0.1", running.port)) as connection:
        connection.sendall(message("line", [[1.0]]))
        until(lambda: pool.figures().waiting == 1)
    until(lambda: not any(channel.connected for channel in list(running.server.active_channels.values())))
    for one in held:
        one.__exit__(None, None, None)
    assert checked.wait(PATIENCE)
    assert not any(isinstance(request, frames.Predict) for request in asked)
