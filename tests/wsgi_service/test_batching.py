"""Requests that wait are joined: each gets what it would get alone, and nobody waits for longer."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import models
import numpy as np
import pytest
from conftest import StrictClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_iris
from sklearn.neighbors import RadiusNeighborsClassifier

from wsgi_service.app import Application
from wsgi_service.errors import Busy, DeadlineExceeded, ModelCrashed, PredictFailed
from wsgi_service.hosts import frames
from wsgi_service.hosts.process import Host
from wsgi_service.rows.tables import Cells, Table
from wsgi_service.serving.batching import MOST_ROWS, PACES, Batches, Caller, Take, joined, signature, split
from wsgi_service.serving.predictor import Predictor

LONG = 60.0


def soon() -> float:
    return time.monotonic() + LONG


def matrix(*rows: float) -> Table:
    return Table(len(rows), matrix=np.array([[row] for row in rows]))


class Crowd:
    """A first request that holds the host until it is let go, and others that come meanwhile.

    Attributes:
        calls: the rows of each call that was made.
        got: name -> what the request got: results, None, or the error.
    """

    def __init__(self, answer: Callable[[Table], Any]) -> None:
        self.batches = Batches(1)
        self.batches._note_pace = lambda *_: None  # type: ignore[method-assign]
        self.calls: list[list[float]] = []
        self.got: dict[str, Any] = {}
        self._answer = answer
        self._gate = threading.Event()
        self._began = threading.Event()
        self._threads: list[threading.Thread] = []

    def hold(self) -> None:
        """Send the first request, which stays in its call."""

        def held(take: Take) -> Any:
            table = take().table
            self._began.set()
            assert self._gate.wait(LONG)
            return [table.matrix * 10]

        self.send("first", matrix(0), held)
        assert self._began.wait(LONG)

    def send(self, name: str, table: Table, call: Any = None, until: float | None = None) -> None:
        """Ask from a thread, and return when it waits or has what it gets."""

        def ask() -> None:
            try:
                last = soon() if until is None else until
                caller = Caller(last, call or self._call, lambda reply: reply)
                self.got[name] = self.batches.ask("key", table, caller)
            except Exception as error:  # noqa: BLE001 - what the caller would get
                self.got[name] = error

        self._threads.append(threading.Thread(target=ask))
        waiting = len(self.waiting)
        self._threads[-1].start()
        while len(self.waiting) == waiting and name not in self.got and not (call and self._began.wait(0.001)):
            self._threads[-1].join(0.001)

    @property
    def waiting(self) -> Any:
        queue = self.batches._queues.get("key")
        return list(queue.waiting) if queue else []

    def _call(self, take: Take) -> Any:
        table = take().table
        self.calls.append(table.matrix.ravel().tolist())
        return self._answer(table)

    def go(self) -> None:
        """Let the first one go and wait for all."""
        self._gate.set()
        for thread in self._threads:
            thread.join(LONG)
        assert self.batches._queues == {}


def tenfold(table: Table) -> Any:
    assert table.matrix is not None
    return [table.matrix * 10]


def test_what_waits_goes_in_one_call_and_comes_back_to_whoever_asked() -> None:
    crowd = Crowd(tenfold)
    crowd.hold()
    crowd.send("a", matrix(1))
    crowd.send("b", matrix(2, 3))
    crowd.send("c", matrix(4))
    crowd.go()
    assert crowd.calls == [[1, 2, 3, 4]]
    assert {name: result[0].ravel().tolist() for name, result in crowd.got.items()} == {
        "first": [0], "a": [10], "b": [20, 30], "c": [40],
    }  # fmt: skip


def test_a_joined_call_has_no_more_rows_than_it_may() -> None:
    crowd = Crowd(tenfold)
    crowd.hold()
    half = Table(MOST_ROWS // 2, matrix=np.zeros((MOST_ROWS // 2, 1)))
    for name in "abc":
        crowd.send(name, half)
    crowd.go()
    assert [len(call) for call in crowd.calls] == [MOST_ROWS, MOST_ROWS // 2]


def test_after_an_exception_each_is_to_be_asked_alone() -> None:
    def refuse(_: Table) -> Any:
        raise PredictFailed("a row is bad")

    crowd = Crowd(refuse)
    crowd.hold()
    crowd.send("a", matrix(1))
    crowd.send("b", matrix(2))
    crowd.go()
    assert [crowd.got[name] for name in "ab"] == [None, None]
    crowd = Crowd(refuse)
    crowd.send("alone", matrix(1))
    crowd.go()
    assert isinstance(crowd.got["alone"], PredictFailed)


@pytest.mark.parametrize("error", [ModelCrashed("x"), Busy("x"), MemoryError()])
def test_whatever_ends_a_joined_call_the_next_one_leads(error: Exception) -> None:
    answers = iter([error])

    def once(table: Table) -> Any:
        for failure in answers:
            raise failure
        return tenfold(table)

    crowd = Crowd(once)
    crowd.hold()
    for name in "abcd":
        crowd.send(name, Table(MOST_ROWS // 2, matrix=np.zeros((MOST_ROWS // 2, 1))))
    crowd.go()
    assert [crowd.got[name] is None for name in "abcd"] == [True, True, False, False]


def test_a_call_that_takes_too_long_is_too_late_for_all_in_it() -> None:
    def late(_: Table) -> Any:
        raise DeadlineExceeded("too late")

    crowd = Crowd(late)
    crowd.hold()
    crowd.send("a", matrix(1))
    crowd.send("b", matrix(2))
    crowd.go()
    assert all(isinstance(crowd.got[name], DeadlineExceeded) for name in "ab")


def test_whoever_waits_for_too_long_leaves_and_the_others_go_on() -> None:
    crowd = Crowd(tenfold)
    crowd.hold()
    crowd.send("a", matrix(1), until=time.monotonic())
    crowd.send("b", matrix(2))
    crowd.go()
    assert isinstance(crowd.got["a"], Busy)
    assert crowd.calls == [[2]]


def test_a_call_has_no_more_rows_than_there_is_time_for() -> None:
    """As far as the last call tells how long a row takes."""
    crowd = Crowd(tenfold)
    crowd.hold()
    crowd.batches._paces["key"] = LONG / 6
    for name in "abcd":
        crowd.send(name, matrix(1))
    crowd.go()
    assert [len(call) for call in crowd.calls] == [2, 2]


def test_how_long_a_row_takes_is_forgotten_in_the_end() -> None:
    batches = Batches(1)
    for number in range(PACES + 1):
        batches._note_pace(number, 1.0)
    assert len(batches._paces) == 1


def test_the_host_is_asked_until_the_last_of_the_deadlines() -> None:
    times = []

    def call(take: Take) -> Any:
        asked = take()
        times.append(asked.until)
        return tenfold(asked.table)

    crowd = Crowd(tenfold)
    crowd.hold()
    first, last = soon(), soon() + 5
    crowd.send("a", matrix(1), call, until=first)
    crowd.send("b", matrix(1), until=last)
    crowd.go()
    assert times == [last]


DTYPES = {"f8": "f8", "i8": "i8", "bool": "?"}
VALUES = {
    "f8": st.floats(allow_nan=False, width=64), "i8": st.integers(-(2**63), 2**63 - 1), "bool": st.booleans(),
    "text": st.text(max_size=3),
}  # fmt: skip


@st.composite
def tables(draw: Any) -> list[Table]:
    """Several tables with the same columns, with missing values or without."""
    kinds = draw(st.lists(st.sampled_from(sorted(VALUES)), min_size=1, max_size=3))
    return [draw(columnar(kinds)) for _ in range(draw(st.integers(1, 4)))]


@st.composite
def columnar(draw: Any, kinds: list[str]) -> Table:
    rows = draw(st.integers(1, 4))
    columns = []
    for kind in kinds:
        values: Any = draw(st.lists(VALUES[kind], min_size=rows, max_size=rows))
        valid = draw(st.none() | st.lists(st.booleans(), min_size=rows, max_size=rows).map(np.array))
        cells: Any = values if kind == "text" else np.array(values, dtype=DTYPES[kind])
        columns.append(Cells(kind, cells, valid))  # type: ignore[arg-type]
    return Table(rows, columns=columns)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(tables())
def test_joined_tables_have_every_row_in_its_place(parts: list[Table]) -> None:
    alike = [table for table in parts if signature(table) == signature(parts[0])]
    whole = joined(alike)
    assert whole.rows == sum(table.rows for table in alike)
    for index, cells in enumerate(whole.columns):
        assert list(cells.values) == [value for table in alike for value in table.columns[index].values]
        valid = np.ones(whole.rows, dtype=bool) if cells.valid is None else cells.valid
        assert valid.tolist() == [
            bool(there)
            for table in alike
            for there in (
                np.ones(table.rows, bool) if table.columns[index].valid is None else table.columns[index].valid
            )
        ]


@given(st.lists(st.integers(1, 5), min_size=1, max_size=6))
def test_results_come_apart_as_they_were_put_together(sizes: list[int]) -> None:
    rows = sum(sizes)
    array = np.arange(rows * 2.0).reshape(rows, 2)
    results: list[Any] = [array, [array[:, 0], array[:, 1]], [f"label {row}" for row in range(rows)], []]
    parts = split(results[:3], sizes)
    assert np.concatenate([part[0] for part in parts]).tolist() == array.tolist()
    assert np.concatenate([part[1][1] for part in parts]).tolist() == array[:, 1].tolist()
    assert [value for part in parts for value in part[2]] == results[2]
    assert all(np.shares_memory(part[0], array) for part in parts)


#: Instead of the number of requests that must wait before they get their hosts.
AT_ONCE = -1


@pytest.fixture
def waiting(app: Application, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int], None]]:
    """With 0, nobody gets a serving host until it is called again and so many wait beside the one that leads."""
    gate, pool = threading.Event(), app.pool
    whole = pool.serving

    @contextmanager
    def guarded(key: str, limit: float) -> Iterator[Host]:
        assert gate.wait(LONG)
        with whole(key, limit) as host:
            yield host

    def open_after(count: int) -> None:
        queues = predictor_of(app)._batches._queues
        while sum(len(queue.waiting) for queue in list(queues.values())) < count:
            threading.Event().wait(0.001)
        gate.set()

    monkeypatch.setattr(pool, "serving", guarded)
    gate.set()
    yield lambda count: open_after(count) if count else gate.clear()
    gate.set()


def predictor_of(app: Application) -> Predictor:
    adapter = app.url_map.bind("localhost")
    route, _ = adapter.match("/predict", "POST")
    found: Predictor = route.call.__self__._predictor
    return found


def ask_at_once(client: StrictClient, waiting: Callable[[int], None], bodies: list[Any]) -> list[Any]:
    """The answers to requests that all wait for a host at the same time."""
    answers: list[Any] = [None] * len(bodies)

    def ask(index: int) -> None:
        answers[index] = client.post("/models/m/predict", json=bodies[index])

    waiting(0)
    threads = [threading.Thread(target=ask, args=(index,)) for index in range(len(bodies))]
    for thread in threads:
        thread.start()
    waiting(len(bodies) - 1)
    for thread in threads:
        thread.join(LONG)
    return answers


@pytest.mark.parametrize("name", ["iris", "people", "spam"])
def test_requests_of_every_kind_are_answered_together_as_alone(
    client: StrictClient, waiting: Any, calls: list[int], name: str
) -> None:
    estimator, given = {
        "iris": (models.iris(), load_iris().data[::30].tolist()),
        "people": (models.people(), models.people_table().dropna().head(5).to_dict("records")),
        "spam": (models.spam(), ["win money", "lunch at noon", "cheap", "x", "money"]),
    }[name]
    client.put_model("m", estimator)
    method = {"method": "predict_proba"}
    alone = [client.post("/models/m/predict", json={"instances": [row], **method}).json for row in given]
    calls.clear()
    together = ask_at_once(client, waiting, [{"instances": [row], **method} for row in given])
    assert calls == [len(given)]
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_allclose(other.json["predictions"], one["predictions"], rtol=0, atol=1e-9)


def test_who_wants_it_exactly_is_answered_alone(client: StrictClient, waiting: Any, calls: list[int]) -> None:
    client.put_model("m", models.iris())
    rows = load_iris().data[::50].tolist()
    calls.clear()
    for row in rows:
        body = {"instances": [row], "method": "predict_proba"}
        for ways in ({"json": body | {"exact": True}}, {"json": body, "query_string": "exact=true"}):
            answer = client.post("/models/m/predict", **ways).json
            assert answer["predictions"] == models.iris().predict_proba([row]).tolist()
    refused = client.post("/models/m/predict", json={"instances": rows, "exact": 1})
    assert refused.status_code == 422
    assert calls == [1] * 6


def test_a_bad_request_fails_alone(client: StrictClient, waiting: Any, calls: list[int]) -> None:
    near = RadiusNeighborsClassifier(1.0).fit([[0.0], [1.0]], [0, 1])
    client.put_model("m", near)
    assert client.post("/models/m/predict", json={"instances": [[0.1]]}).status_code == 200
    calls.clear()
    answers = ask_at_once(client, waiting, [{"instances": [[value]]} for value in (0.1, 999.0, 0.9)])
    assert [answer.status_code for answer in answers] == [200, 422, 200]
    assert sorted(calls) == [1, 1, 1, 3]


def test_after_a_crash_each_is_asked_alone_and_apart(
    client: StrictClient, waiting: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.put_model("m", models.line())
    assert client.post("/models/m/predict", json={"instances": [[0]]}).status_code == 200
    whole = Host.call

    def call(self: Host, request: Any, *more: Any) -> Any:
        if isinstance(request, frames.Predict) and request.table.rows > 1:
            self.kill()
        return whole(self, request, *more)

    monkeypatch.setattr(Host, "call", call)
    answers = ask_at_once(client, waiting, [{"instances": [[value]]} for value in range(3)])
    assert [answer.status_code for answer in answers] == [200] * 3
    expected = models.line().predict([[0.0], [1.0], [2.0]])
    assert [answer.json["predictions"][0] for answer in answers] == pytest.approx(expected)
    actions = [event["action"] for event in client.get("/models/m/history").json["events"]]
    assert actions.count("crash") == 0  # nobody knows whose fault it was


def test_who_crashes_alone_as_well_is_noted_once_and_the_others_are_answered(
    client: StrictClient, waiting: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where there are more of them than may usually wait for the host for suspects."""
    client.put_model("m", models.line())
    assert client.post("/models/m/predict", json={"instances": [[0]]}).status_code == 200
    whole = Host.call

    def call(self: Host, request: Any, buffers: Any = (), *more: Any) -> Any:
        if isinstance(request, frames.Predict) and 666.0 in np.frombuffer(buffers[0]):
            self.kill()
        return whole(self, request, buffers, *more)

    monkeypatch.setattr(Host, "call", call)
    bodies = [{"instances": [[value]]} for value in (*range(19), 666)]
    answers = ask_at_once(client, waiting, bodies)
    assert [answer.status_code for answer in answers] == [200] * 19 + [502]
    events = [event for event in client.get("/models/m/history").json["events"] if event["action"] == "crash"]
    assert [event["request_id"] for event in events] == [answers[-1].json["request_id"]]


def test_a_version_takes_no_more_threads_whatever_is_asked_of_it(
    client: StrictClient, app: Application, waiting: Any
) -> None:
    client.put_model("m", models.iris())
    row = {"instances": [[5.1, 3.5, 1.4, 0.2]]}
    assert client.post("/models/m/predict", json=row).status_code == 200
    predictor_of(app).places.most = 2
    ways = [row, row | {"method": "predict_proba"}, row | {"exact": True}]
    waiting(0)
    held = [
        threading.Thread(target=client.post, args=("/models/m/predict",), kwargs={"json": way}) for way in ways[:2]
    ]
    for thread in held:
        thread.start()
    while predictor_of(app).places.taken < 2:
        held[0].join(0.001)
    for way in ways:
        answer = client.post("/models/m/predict", json=way)
        assert (answer.status_code, "waiting already" in answer.json["detail"]) == (503, True)
    waiting(AT_ONCE)
    for thread in held:
        thread.join(LONG)
    assert client.post("/models/m/predict", json=row).status_code == 200
