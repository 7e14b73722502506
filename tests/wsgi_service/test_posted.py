"""Requests that wait without a thread: each goes on with what it would have got alone, and none is forgotten."""

import json
import socket
import threading
from collections import deque
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import models
import numpy as np
import pytest
from conftest import PATIENCE, StrictClient
from hypothesis import given
from hypothesis import strategies as st
from running import Running, message, until

from wsgi_service.at_once import Deferred, Turn, answering
from wsgi_service.errors import Busy, DeadlineExceeded, ModelCrashed, NotWanted, PredictFailed
from wsgi_service.hosts import frames
from wsgi_service.hosts.pool import HostPool
from wsgi_service.hosts.process import Host
from wsgi_service.routes import Work
from wsgi_service.rows.tables import Table
from wsgi_service.server.channel import Channel
from wsgi_service.server.loop import Server
from wsgi_service.serving import batching
from wsgi_service.serving.batching import MOST_JOINED, MOST_ROWS, Batches, Caller, Take
from wsgi_service.serving.tickets import Posted
from wsgi_service.serving.wanted import ALWAYS, Wanted

pytestmark = pytest.mark.system

LATER = 1e12


class Loop:
    """What a thread that must not wait does, one step at a time.

    Attributes:
        calls: what waits for a thread that may wait.
        told: name -> the tickets of requests that may go on.
        asked: the numbers in each joined call.
    """

    def __init__(self) -> None:
        self.batches = Batches(1)
        self.batches._note_pace = lambda *_: None  # type: ignore[method-assign]
        self.calls: deque[Any] = deque()
        self.told: dict[int, Posted] = {}
        self.asked: list[list[float]] = []
        self.error: Exception | None = None

    def post(self, number: int, wanted: Wanted = ALWAYS, begin: float = LATER) -> None:
        table = Table(1, matrix=np.array([[float(number)]]))
        turn = Turn(self.calls.append, partial(self.told.__setitem__, number))
        with pytest.raises(Deferred):
            self.batches.post("key", table, Caller(LATER, self._call, lambda reply: reply, begin), wanted, turn)

    def _call(self, take: Take) -> Any:
        table = take().table
        assert table.matrix is not None
        self.asked.append(table.matrix.ravel().tolist())
        if self.error is not None:
            raise self.error
        return [table.matrix * 10]

    def work(self, hindered: Exception | None = None) -> None:
        self.calls.popleft()(hindered)

    def got(self, number: int) -> Any:
        results = self.told[number].outcome()
        return None if results is None else results[0].ravel().tolist()


def test_a_request_that_is_alone_leads_and_goes_on_with_its_results() -> None:
    loop = Loop()
    loop.post(1)
    assert loop.told == {}
    loop.work()
    assert loop.got(1) == [10.0]
    assert loop.batches._queues == {}


def test_what_was_posted_by_then_goes_in_one_call() -> None:
    loop = Loop()
    for number in range(4):
        loop.post(number)
    assert len(loop.calls) == 1
    loop.work()
    assert loop.asked == [[0.0, 1.0, 2.0, 3.0]]
    assert [loop.got(number) for number in range(4)] == [[0.0], [10.0], [20.0], [30.0]]


@pytest.mark.parametrize("error", [PredictFailed("no"), ModelCrashed("gone")])
def test_after_a_call_that_failed_each_is_to_be_asked_alone(error: Exception) -> None:
    loop = Loop()
    loop.error = error
    loop.post(1)
    loop.post(2)
    loop.work()
    assert (loop.got(1), loop.got(2)) == (None, None)
    loop.post(3)
    loop.work()
    with pytest.raises(type(error)):
        loop.got(3)


def test_a_call_that_takes_too_long_is_too_late_for_all_in_it() -> None:
    loop = Loop()
    loop.error = DeadlineExceeded("late")
    loop.post(1)
    loop.post(2)
    loop.work()
    for number in (1, 2):
        with pytest.raises(DeadlineExceeded):
            loop.got(number)


def test_who_finds_no_thread_is_refused_and_the_next_one_leads() -> None:
    loop = Loop()
    loop.post(1)
    loop.post(2)
    loop.work(Busy("no slot"))
    with pytest.raises(Busy):
        loop.got(1)
    loop.work()
    assert loop.got(2) == [20.0]


def test_who_has_gone_is_left_out_even_where_it_leads() -> None:
    loop, gone = Loop(), Wanted(gone=lambda: True)
    loop.post(1, gone)
    loop.post(2)
    loop.post(3, gone)
    loop.work()
    loop.work()
    assert loop.asked == [[2.0]]
    assert loop.got(2) == [20.0]
    for number in (1, 3):
        with pytest.raises(NotWanted):
            loop.got(number)


def test_who_has_waited_until_there_is_no_time_to_compute_is_refused_and_not_computed() -> None:
    loop = Loop()
    loop.post(1)
    loop.post(2, begin=0.0)
    loop.work()
    loop.post(3)
    loop.post(4, begin=0.0)
    loop.error = Busy("no host")
    loop.work()
    assert loop.asked == [[1.0], [3.0]]
    for number in (2, 4):
        with pytest.raises(Busy):
            loop.got(number)
    assert loop.batches._queues == {}


def test_a_call_is_for_no_more_requests_than_could_be_asked_alone() -> None:
    loop = Loop()
    for number in range(MOST_JOINED + 2):
        loop.post(number)
    loop.work()
    loop.work()
    assert [len(call) for call in loop.asked] == [MOST_JOINED, 2]


def test_too_many_are_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batching, "MOST_WAITING", 2)
    loop = Loop()
    for number in range(3):  # one leads
        loop.post(number)
    turn = Turn(loop.calls.append, lambda _found: None)
    with pytest.raises(Busy):
        loop.batches.post("key", Table(1, matrix=np.zeros((1, 1))), Caller(LATER, loop._call, list), ALWAYS, turn)
    loop.work()
    assert len(loop.told) == 3


@given(st.lists(st.sampled_from(["post", "work", "fail", "hinder"]), max_size=40))
def test_whatever_happens_in_whatever_order_each_gets_its_own(steps: list[str]) -> None:
    loop, posted = Loop(), 0
    for step in [*steps, *["work"] * len(steps)]:
        loop.error = PredictFailed("no") if step == "fail" else None
        if step == "post":
            loop.post(posted)
            posted += 1
        elif loop.calls:
            loop.work(Busy("no slot") if step == "hinder" else None)
    assert sorted(loop.told) == list(range(posted))
    assert loop.batches._queues == {}
    for number in range(posted):
        try:
            assert loop.got(number) in (None, [number * 10.0])
        except (Busy, PredictFailed):
            continue


# In a server


@pytest.fixture
def running(folder: Path, pool: HostPool) -> Iterator[Running]:
    """A server with a model that its estimator answers, in a host that knows it; nothing is looked up again."""
    server = Running(folder, pool)
    server.look_nothing_up_again()
    client = StrictClient(server.app)
    client.put_model("line", models.line())
    client.post("/models/line/predict", json={"instances": [[1.0]]})
    server.answered_by.clear()
    yield server
    server.stop()


class Crowd:
    """Connections that send at once, while all hosts are held.

    Args:
        running: the server.
        pool: its hosts.
    """

    def __init__(self, running: Running, pool: HostPool) -> None:
        self._running = running
        self._pool = pool
        self.connections: list[socket.socket] = []
        self.hold()

    def hold(self) -> None:
        """Take all hosts."""
        self._held = [self._pool.serving(f"other {number}", PATIENCE) for number in range(self._pool.size)]
        for one in self._held:
            one.__enter__()

    def send(self, *messages: bytes) -> None:
        """Send each on a connection of its own, and return when all of them wait without a thread."""
        for one in messages:
            connection = socket.create_connection(("127.0.0.1", self._running.port), timeout=PATIENCE)
            connection.sendall(one)
            self.connections.append(connection)
        until(lambda: self.put_off() == len(self.connections))

    def put_off(self) -> int:
        channels = list(self._running.server.active_channels.values())
        return sum(bool(channel.requests and channel.requests[0].rest) for channel in channels)

    def let_go(self) -> None:
        """Give the hosts back."""
        for one in self._held:
            one.__exit__(None, None, None)

    def answers(self) -> list[tuple[int, Any]]:
        """Status and body of each answer, in the order of what was sent."""
        found = []
        for connection in self.connections:
            with connection, connection.makefile("rb") as stream:
                status = int(stream.readline().split()[1])
                head = dict(line.strip().split(b": ", 1) for line in iter(stream.readline, b"\r\n"))
                found.append((status, json.loads(stream.read(int(head[b"Content-Length"])))))
        return found


@pytest.fixture
def crowd(running: Running, pool: HostPool) -> Crowd:
    return Crowd(running, pool)


def test_requests_of_many_connections_go_in_few_calls_and_none_holds_a_thread(
    running: Running, crowd: Crowd, calls: list[int]
) -> None:
    crowd.send(*(message("line", [[float(number)]]) for number in range(40)))  # more than there are threads
    crowd.let_go()
    answers = crowd.answers()
    expected = [models.line().predict([[float(number)]]).tolist() for number in range(40)]
    assert [body["predictions"] for _, body in answers] == expected
    assert sum(calls) == 40
    assert len(calls) <= 3
    assert set(running.answered_by) == {"at once"}


def test_a_row_that_fails_a_joined_call_fails_alone(
    crowd: Crowd, calls: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Host.call

    def call(self: Host, request: Any, buffers: Any = (), *more: Any) -> Any:
        if isinstance(request, frames.Predict) and 7.0 in np.frombuffer(b"".join(buffers)):
            raise PredictFailed("not for 7")
        return whole(self, request, buffers, *more)

    monkeypatch.setattr(Host, "call", call)
    crowd.send(*(message("line", [[float(number)]]) for number in (6, 7, 8)))
    crowd.let_go()
    answers = crowd.answers()
    assert [status for status, _ in answers] == [200, 422, 200]
    assert answers[2][1]["predictions"] == models.line().predict([[8.0]]).tolist()


def test_what_was_put_off_keeps_its_id_and_the_log_says_how_long_it_took(
    crowd: Crowd, monkeypatch: pytest.MonkeyPatch
) -> None:
    logged: list[tuple[str, float, str]] = []
    monkeypatch.setattr(
        "wsgi_service.monitoring.middleware._log",
        lambda environ, status, seconds: logged.append((status, seconds, environ["wsgi_service.request_id"])),
    )
    crowd.send(message("line", [[1.0]], "X-Request-Id: mine"), message("line", [[2.0]]))
    crowd.let_go()
    answers = crowd.answers()
    assert answers[0][1]["request_id"] == "mine"
    assert sorted(body["request_id"] for _, body in answers) == sorted(entry[2] for entry in logged)
    assert all(seconds > 0 for _, seconds, _ in logged)


def test_a_connection_that_is_closed_meanwhile_takes_nothing_with_it(crowd: Crowd, calls: list[int]) -> None:
    crowd.send(*(message("line", [[float(number)]]) for number in range(3)))
    crowd.connections.pop(0).close()
    until(lambda: crowd.put_off() == 2)
    crowd.let_go()
    assert [body["predictions"] for _, body in crowd.answers()] == [
        models.line().predict([[number]]).tolist() for number in (1.0, 2.0)
    ]
    assert sum(calls) == 2


def test_a_long_answer_is_written_by_a_thread_that_may_wait(
    running: Running, crowd: Crowd, calls: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wsgi_service.serving.predictor.AT_ONCE", 2)
    crowd.send(message("line", [[1.0]]), message("line", [[1.0]] * 3))
    crowd.let_go()
    assert [len(body["predictions"]) for _, body in crowd.answers()] == [1, 3]
    assert sum(calls) == 4  # and is not computed again for that
    assert sorted(running.answered_by) == ["at once", "elsewhere"]


def test_who_says_until_when_or_wants_it_exactly_waits_in_a_thread(running: Running, crowd: Crowd) -> None:
    connection = socket.create_connection(("127.0.0.1", running.port), timeout=PATIENCE)
    connection.sendall(message("line", [[1.0]], "Request-Timeout: 60"))
    crowd.connections.append(connection)
    crowd.let_go()
    assert crowd.answers()[0][0] == 200
    assert running.answered_by == ["elsewhere"]


def test_where_no_slot_is_left_for_a_call_it_is_refused(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    slots = running.app.slots
    whole, refused = slots.take, threading.Event()

    def take(work: Work) -> None:
        if threading.current_thread() is running.thread and work is Work.PREDICT:
            tried.append(work)
            if len(tried) == 2:  # the request itself has had its slot, and gave it back
                refused.set()
                raise Busy("All slots are taken.")
        whole(work)

    tried: list[Work] = []
    monkeypatch.setattr(slots, "take", take)
    with socket.create_connection(("127.0.0.1", running.port), timeout=PATIENCE) as connection:
        connection.sendall(message("line", [[1.0]]))
        assert refused.wait(PATIENCE)
        assert connection.recv(1 << 16).startswith(b"HTTP/1.1 503")


def test_a_call_waits_for_the_slot_of_the_one_before_it(running: Running, crowd: Crowd) -> None:
    crowd.send(message("line", [[1.0]] * (MOST_ROWS - 1)), message("line", [[2.0]] * 2))  # too many for one call
    slots, taken = running.app.slots, 0
    while not slots.full(Work.PREDICT):
        slots.take(Work.PREDICT)
        taken += 1
    crowd.let_go()
    assert [status for status, _ in crowd.answers()] == [200, 200]
    for _ in range(taken):
        slots.give_back(Work.PREDICT)


def test_an_answer_that_its_client_does_not_read_is_never_waited_for_by_the_thread_that_reads() -> None:
    channel = Channel.__new__(Channel)
    with answering():
        channel._flush_outbufs_below_high_watermark()  # which would look at what has been written


def test_the_loop_does_not_end_before_whoever_stops_it_has_woken_it(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the number that it writes to would be nobody's, or another connection's."""
    whole, woken, waits = Server.pull_trigger, [], threading.Event()

    class Told(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            waits.set()
            return super().wait(timeout)

    def pull(server: Server) -> None:
        if threading.current_thread() is not running.thread:
            until(lambda: waits.is_set() or not server._map)
            woken.append(bool(server._map))
        whole(server)

    running.server._told = Told()
    monkeypatch.setattr(Server, "pull_trigger", pull)
    running.server.stop()
    running.thread.join(PATIENCE)
    assert woken == [True]


def test_a_server_that_stops_answers_what_was_put_off(running: Running, crowd: Crowd) -> None:
    crowd.send(message("line", [[1.0]]))
    running.server.stop()
    crowd.let_go()
    assert crowd.answers()[0][0] == 200
