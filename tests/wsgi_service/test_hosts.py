"""Model hosts: what a crash, a hang or a full house costs, and whom."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from wsgiref.validate import validator

import models
import numpy as np
import pytest
from conftest import PATIENCE, StrictClient, watch
from sklearn.ensemble import IsolationForest

from model_store.artifacts.local import digest_of
from model_store.entities import Attribution
from model_store.errors import ArtifactCorrupt
from wsgi_service.app import create_app
from wsgi_service.errors import DeadlineExceeded, ModelCrashed, OutOfMemory, PredictFailed
from wsgi_service.hosts import frames
from wsgi_service.hosts.buffers import decode_results, encode_table
from wsgi_service.hosts.isolation import starter
from wsgi_service.hosts.pool import HostPool
from wsgi_service.hosts.process import Host
from wsgi_service.hosts.special_host import Role
from wsgi_service.routes import Work
from wsgi_service.rows.tables import Table
from wsgi_service.serving import loading
from wsgi_service.settings import Settings

pytestmark = pytest.mark.hosts

ROWS = [[5.1, 3.5, 1.4, 0.2]]


@pytest.fixture(scope="module")
def own_pool(template: str) -> Iterator[HostPool]:
    """Hosts that may be killed."""
    hosts = HostPool(2, startup_limit=PATIENCE, starts=starter(template=template))
    hosts.start()
    yield hosts
    hosts.close()


@pytest.fixture
def stored(folder: Path) -> tuple[Path, str]:
    path = folder / "line.skops"
    path.write_bytes(models.skops_bytes(models.line()))
    with path.open("rb") as file:
        return path, digest_of(file)


def load(host: Host, stored: tuple[Path, str]) -> None:
    path, digest = stored
    host.call(frames.Load("line", str(path), digest, "skops"), [], PATIENCE)


def predict(host: Host, rows: list[list[float]], limit: float = PATIENCE) -> Any:
    header, buffers = encode_table(Table(len(rows), matrix=np.array(rows)))
    reply, answer = host.call(frames.Predict("line", ("predict",), header), buffers, limit)
    assert isinstance(reply, frames.Predicted)
    return decode_results(reply.outcomes, answer)[0].tolist()


@pytest.mark.system
def test_a_host_loads_and_predicts(own_pool: HostPool, stored: Any) -> None:
    with own_pool.serving("line", PATIENCE) as host:
        load(host, stored)
        assert predict(host, [[0.0], [2.0]]) == models.line().predict([[0.0], [2.0]]).tolist()


def test_what_the_estimator_raises_is_not_repeated(own_pool: HostPool, stored: Any) -> None:
    with own_pool.serving("line", PATIENCE) as host:
        load(host, stored)
        with pytest.raises(PredictFailed, match="ValueError") as caught:
            predict(host, [[1.0, 2.0]])
        assert "features" not in str(caught.value)
        assert predict(host, [[1.0]]) == pytest.approx([3.0])


def test_changed_bytes_are_not_loaded(own_pool: HostPool, stored: Any) -> None:
    path, _ = stored
    path.write_bytes(path.read_bytes() + b"x")
    with own_pool.serving("line", PATIENCE) as host, pytest.raises(ArtifactCorrupt):
        load(host, stored)


@pytest.mark.system
def test_large_tables_go_over_and_come_back(own_pool: HostPool, stored: Any) -> None:
    rows = np.arange(300_000, dtype=float).reshape(-1, 1)
    with own_pool.serving("line", PATIENCE) as host:
        load(host, stored)
        header, buffers = encode_table(Table(len(rows), matrix=rows))
        reply, answer = host.call(frames.Predict("line", ("predict",), header), buffers, PATIENCE)
    assert isinstance(reply, frames.Predicted)
    np.testing.assert_array_equal(decode_results(reply.outcomes, answer)[0], models.line().predict(rows))


def test_a_host_that_dies_costs_its_own_call_only(own_pool: HostPool, stored: Any) -> None:
    with own_pool.serving("line", PATIENCE) as host:
        os.kill(host.pid, getattr(signal, "SIGKILL", signal.SIGTERM))
        with pytest.raises(ModelCrashed):
            load(host, stored)
    with own_pool.serving("line", PATIENCE) as other:
        assert other.pid != host.pid
        load(other, stored)
        assert predict(other, [[1.0]]) == pytest.approx([3.0])


def test_a_host_that_hangs_is_ended_at_its_deadline(own_pool: HostPool, stored: Any) -> None:
    with own_pool.serving("line", PATIENCE) as host:
        load(host, stored)
        waiting = Waiting(host)
        with pytest.raises(DeadlineExceeded, match=r"0\.2 seconds"):
            waiting.call(0.2)
        host._process.wait(PATIENCE)
        assert not host.alive


@pytest.mark.skipif(sys.platform == "win32", reason="stops a process")
def test_a_host_that_was_stopped_while_it_was_idle_costs_one_predict(
    folder: Path, own_pool: HostPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "LOAD_LIMIT", 1.0)  # the first one may not have the model yet
    app = create_app(Settings(data=str(folder), predict_deadline=1.0), own_pool)
    client = StrictClient(validator(app))
    assert client.put_model("line", models.line()).status_code == 201
    with own_pool.serving("one", PATIENCE) as one, own_pool.serving("another", PATIENCE) as another:
        stopped = [one.pid, another.pid]
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    said = [client.post("/predict", json={"instances": [[1.0]]}).status_code for _ in range(len(stopped) + 1)]
    assert said[0] == 504
    assert said.index(200) <= len(stopped)
    app.catalog.registry.close()
    for pid in stopped:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


class Waiting:
    """A call that is never answered, because the request is never sent whole."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def call(self, limit: float) -> None:
        self._host._outgoing.write(frames.PREFIX.pack(100, 0))
        self._host._exchange(None, (), limit)


def wait_for_both(hosts: HostPool) -> None:
    """Have two hosts serve, as they do when requests wait for the second one."""
    with hosts.serving("one", PATIENCE), hosts.serving("another", PATIENCE):
        pass


def test_uploads_are_judged_in_a_host_that_never_serves(own_pool: HostPool) -> None:
    with own_pool.serving("a", PATIENCE) as one, own_pool.serving("b", PATIENCE) as other:
        with own_pool.apart(Role.JUDGE, PATIENCE) as judge:
            assert judge.pid not in {one.pid, other.pid}
        with own_pool.apart(Role.JUDGE, PATIENCE) as again:  # each has its own where one starts in no time
            assert (again.pid == judge.pid) is (sys.platform != "linux")


@pytest.mark.system
def test_a_predict_whose_host_is_killed_is_a_502_and_the_next_is_answered(client: StrictClient, app: Any) -> None:
    client.put_model("iris", models.iris())
    assert client.post("/predict", json={"instances": ROWS}).status_code == 200
    original = app.pool.serving

    class Doomed:
        def __init__(self, *args: Any) -> None:
            self._context = original(*args)

        def __enter__(self) -> Host:
            host = self._context.__enter__()
            os.kill(host.pid, getattr(signal, "SIGKILL", signal.SIGTERM))
            host._process.wait(PATIENCE)
            return host

        def __exit__(self, *details: Any) -> Any:
            return self._context.__exit__(*details)

    app.pool.serving = Doomed
    try:
        answer = client.post("/predict", json={"instances": ROWS})
    finally:
        app.pool.serving = original
    assert (answer.status_code, answer.json["type"]) == (502, "/problems/model-crashed")
    assert client.post("/predict", json={"instances": ROWS}).json["predictions"] == [0]
    event = app.catalog.registry.events("iris")[-1]
    assert (event.action, event.version, event.after) == ("crash", 1, {"reason": "ModelCrashed"})


def test_a_predict_that_takes_too_long_is_a_504_and_the_next_is_answered(folder: Path, own_pool: HostPool) -> None:
    app = create_app(Settings(data=str(folder), predict_deadline=0.05), own_pool)
    client = StrictClient(validator(app))
    wait_for_both(own_pool)
    slow = IsolationForest(n_estimators=300, random_state=0).fit(np.arange(500.0).reshape(-1, 1))
    assert client.put_model("slow", slow).status_code == 201
    answer = client.post("/predict", json={"instances": [[1.0]] * 100_000})
    assert (answer.status_code, answer.json["type"]) == (504, "/problems/deadline-exceeded")
    assert app.catalog.registry.events("slow")[-1].after == {"reason": "DeadlineExceeded"}
    wait_for_both(own_pool)
    assert client.get("/healthz").status_code == 200
    app.catalog.registry.close()


def test_a_predict_that_waits_for_too_long_is_refused_and_ends_no_host(folder: Path, own_pool: HostPool) -> None:
    """It would have no time left to compute, and the model would be blamed for that."""
    app = create_app(Settings(data=str(folder), predict_deadline=0.2), own_pool)
    client = StrictClient(validator(app))
    wait_for_both(own_pool)
    client.put_model("line", models.line())
    with own_pool.serving("a", PATIENCE) as first, own_pool.serving("b", PATIENCE) as second:
        for exact in (True, False):
            answer = client.post("/predict", json={"instances": [[1.0]], "exact": exact})
            assert (answer.status_code, answer.json["type"]) == (503, "/problems/busy")
        assert first.alive
        assert second.alive
    assert "crash" not in {event.action for event in app.catalog.registry.events("line")}
    app.catalog.registry.close()


def test_damaged_bytes_are_noted_and_not_served(client: StrictClient, app: Any) -> None:
    digest = client.put_model("fresh", models.colours()).json["digest"]
    path = app.catalog.artifacts.path(digest)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    for _ in range(2):
        answer = client.post("/predict", json={"instances": [["red"]]})
        assert (answer.status_code, answer.json["type"]) == (503, "/problems/artifact-corrupt")
    assert client.get("/models/fresh/versions/1").json["state"] == "corrupt"


def test_the_same_bytes_again_heal_a_damaged_version(client: StrictClient, app: Any) -> None:
    data = models.skops_bytes(models.spam())
    client.put_model("hurt", data)
    path = app.catalog.artifacts.path(client.get("/models/hurt/versions/1").json["digest"])
    path.write_bytes(b"damaged")
    assert client.post("/models/hurt/predict", json={"text": "cheap money"}).status_code in (200, 503)
    app.catalog.registry.update_version("hurt", 1, {"state": "corrupt"}, Attribution("test", "test"))
    assert client.put_model("hurt", data).json["state"] == "ready"
    assert client.post("/models/hurt/predict", json={"text": "cheap money"}).json["prediction"] == "spam"


def test_a_host_that_died_while_idle_is_not_given_out(own_pool: HostPool, stored: Any) -> None:
    with own_pool.serving("one", PATIENCE) as one, own_pool.serving("another", PATIENCE) as another:
        pass
    for host in (one, another):
        has_ended = watch(host.pid)
        host.kill()
        assert has_ended()
    with own_pool.serving("line", PATIENCE) as host:
        load(host, stored)
        assert predict(host, [[1.0]]) == pytest.approx([3.0])


def test_a_full_house_is_refused_at_once(client: StrictClient, app: Any) -> None:
    client.put_model("iris", models.iris())
    taken = 0
    while not app.slots.full(Work.PREDICT):
        app.slots.take(Work.PREDICT)
        taken += 1
    answer = client.post("/predict", json={"instances": ROWS})
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    assert client.get("/healthz").status_code == 200
    assert client.get("/models").status_code == 200
    for _ in range(taken):
        app.slots.give_back(Work.PREDICT)
    assert client.post("/predict", json={"instances": ROWS}).status_code == 200


def test_why_a_host_was_ended_stays_what_it_was(own_pool: HostPool) -> None:
    """A process that has ended takes nothing any more, which must not change the reason."""
    wait_for_both(own_pool)
    with own_pool.serving("line", PATIENCE) as host:
        host.deadline, host._ended_for = 0.0, OutOfMemory
        host.enforce_limits(1.0)
        assert host._ended_for is OutOfMemory
        host.kill()
