"""Model hosts: what a crash, a hang or a full house costs, and whom."""

import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from wsgiref.validate import validator

import models
import numpy as np
import pytest
from conftest import PATIENCE, StrictClient
from sklearn.ensemble import IsolationForest

from model_store.artifacts.local import digest_of
from model_store.entities import Attribution
from model_store.errors import ArtifactCorrupt
from wsgi_service.app import create_app
from wsgi_service.errors import Busy, DeadlineExceeded, ModelCrashed, OutOfMemory, PredictFailed
from wsgi_service.hosts import frames
from wsgi_service.hosts.buffers import decode_results, encode_table
from wsgi_service.hosts.pool import HostPool
from wsgi_service.hosts.process import Host
from wsgi_service.routes import Work
from wsgi_service.rows.tables import Table
from wsgi_service.serving import predictor
from wsgi_service.settings import Settings

pytestmark = pytest.mark.hosts

ROWS = [[5.1, 3.5, 1.4, 0.2]]


@pytest.fixture(scope="module")
def own_pool() -> Iterator[HostPool]:
    """Hosts that may be killed."""
    hosts = HostPool(2, startup_limit=PATIENCE)
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


@pytest.mark.system
def test_a_host_that_dies_costs_its_own_call_only(own_pool: HostPool, stored: Any) -> None:
    with own_pool.serving("line", PATIENCE) as host:
        os.kill(host.pid, getattr(signal, "SIGKILL", signal.SIGTERM))
        with pytest.raises(ModelCrashed):
            load(host, stored)
    with own_pool.serving("line", PATIENCE) as other:
        assert other.pid != host.pid
        load(other, stored)
        assert predict(other, [[1.0]]) == pytest.approx([3.0])


@pytest.mark.system
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
    monkeypatch.setattr(predictor, "LOAD_LIMIT", 1.0)  # the first one may not have the model yet
    app = create_app(Settings(data=str(folder), predict_deadline=1.0), own_pool)
    client = StrictClient(validator(app))
    assert client.put_model("line", models.line()).status_code == 201
    wait_for_both(own_pool)
    stopped = [host.pid for host in own_pool._idle]
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    said = [client.post("/predict", json={"instances": [[1.0]]}).status_code for _ in range(len(stopped) + 1)]
    assert said[0] == 504
    assert said.index(200) <= len(stopped)
    app.catalog.registry.close()


class Waiting:
    """A call that is never answered, because the request is never sent whole."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def call(self, limit: float) -> None:
        self._host._outgoing.write(frames.PREFIX.pack(100, 0))
        self._host._exchange(None, (), limit)


def test_no_version_takes_the_last_free_host(own_pool: HostPool) -> None:
    assert own_pool.wait_ready()
    with ExitStack() as held:
        first = held.enter_context(own_pool.serving("greedy", PATIENCE))
        wait_for_both(own_pool)
        with pytest.raises(Busy), own_pool.serving("greedy", 0.05):
            pass
        second = held.enter_context(own_pool.serving("modest", PATIENCE))
        assert first.pid != second.pid


def wait_for_both(hosts: HostPool) -> None:
    with hosts._changed:
        assert hosts._changed.wait_for(lambda: len(hosts._serving) == 2, PATIENCE)


def test_who_waits_gets_a_host_in_turn_except_for_the_last_one_of_a_greedy_version(own_pool: HostPool) -> None:
    wait_for_both(own_pool)
    got: list[str] = []
    threads = []

    def wait(key: str) -> None:
        with own_pool.serving(key, PATIENCE):
            got.append(key)

    with own_pool.serving("greedy", PATIENCE):
        with own_pool.serving("other", PATIENCE):
            for number, key in enumerate(("greedy", "first", "second")):
                threads.append(threading.Thread(target=wait, args=(key,)))
                threads[-1].start()
                while len(own_pool._waiters) <= number:
                    threading.Event().wait(0.001)
        for thread in threads[1:]:
            thread.join(PATIENCE)
        assert got == ["first", "second"]
    threads[0].join(PATIENCE)
    assert got == ["first", "second", "greedy"]


@pytest.mark.system
def test_whoever_waits_for_a_host_is_told_when_the_pool_is_closed() -> None:
    hosts = HostPool(2, startup_limit=PATIENCE)
    told: list[Exception] = []

    def wait() -> None:
        try:
            with hosts.serving("line", PATIENCE):
                pass
        except Busy as error:
            told.append(error)

    waiting = threading.Thread(target=wait)
    waiting.start()
    while not hosts._waiters:
        threading.Event().wait(0.001)
    hosts.close()
    waiting.join(PATIENCE)
    assert len(told) == 1
    with pytest.raises(Busy), hosts.serving("line", PATIENCE):
        pass


def test_uploads_are_judged_in_a_host_that_never_serves(own_pool: HostPool) -> None:
    with own_pool.judging(PATIENCE) as judge:
        wait_for_both(own_pool)
        assert judge.pid not in {host.pid for host in own_pool._serving}
    with own_pool.judging(PATIENCE) as again:
        assert again.pid == judge.pid


def test_a_host_that_makes_a_program_is_let_go_only_when_it_is_not_at_work(own_pool: HostPool) -> None:
    with own_pool.converting(PATIENCE) as at_work:
        own_pool.rest()
        assert at_work.alive
    own_pool.rest()
    at_work._process.wait(PATIENCE)
    with own_pool.converting(PATIENCE) as another:
        assert another.pid != at_work.pid


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


@pytest.mark.system
def test_a_host_that_died_while_idle_is_not_given_out(own_pool: HostPool, stored: Any) -> None:
    with own_pool.serving("line", PATIENCE):
        pass
    wait_for_both(own_pool)
    with own_pool._changed:
        for host in own_pool._idle:
            host.kill()
            host._process.wait(PATIENCE)
    with own_pool.serving("line", PATIENCE) as host:
        load(host, stored)
        assert predict(host, [[1.0]]) == pytest.approx([3.0])


def test_the_keeper_outlives_a_start_that_fails(own_pool: HostPool, monkeypatch: pytest.MonkeyPatch) -> None:
    failed = threading.Event()

    def no_process() -> None:
        failed.set()
        raise OSError("no process to be had")

    wait_for_both(own_pool)
    with monkeypatch.context() as patch:
        patch.setattr(own_pool, "_start_one", no_process)
        with own_pool.serving("victim", PATIENCE) as host:
            host.kill()
            host._process.wait(PATIENCE)
        assert failed.wait(PATIENCE)
    wait_for_both(own_pool)
    assert own_pool.ready


def test_only_so_many_may_wait_for_one_version(own_pool: HostPool) -> None:
    own_pool.most_waiting = 1
    wait_for_both(own_pool)
    try:
        with own_pool.serving("slow", PATIENCE):
            own_pool._waiting_for["slow"] += 1
            with pytest.raises(Busy, match="waiting already"), own_pool.serving("slow", PATIENCE):
                pass
            with own_pool.serving("other", PATIENCE):
                pass
    finally:
        own_pool.most_waiting = 24
        own_pool._waiting_for.clear()


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


HOLDER = """
import sys, threading
from wsgi_service.hosts.pool import HostPool
pool = HostPool(2, startup_limit=180)
pool.start()
pool.wait_ready()
with pool.serving("x", 180) as host:
    print(host.pid, flush=True)
    threading.Event().wait(600)
"""


@pytest.mark.system
@pytest.mark.skipif(sys.platform not in ("linux", "win32"), reason="cannot wait for a process that is not a child")
def test_hosts_end_when_the_server_is_killed() -> None:
    """Also one that is at work and so does not see that its pipe is closed."""
    holder = subprocess.Popen([sys.executable, "-c", HOLDER], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
    assert holder.stdout
    has_ended = watch(int(holder.stdout.readline()))
    holder.kill()
    holder.wait(PATIENCE)
    holder.stdout.close()
    assert has_ended()


def watch(pid: int) -> Callable[[], bool]:
    """A way to wait for the end of a process that is not a child of this one."""
    if sys.platform == "win32":
        import ctypes

        kernel32 = ctypes.windll.kernel32
        process = kernel32.OpenProcess(0x100000, False, pid)
        return lambda: kernel32.WaitForSingleObject(process, int(PATIENCE * 1000)) == 0
    handle = os.fdopen(os.pidfd_open(pid))
    return lambda: bool(select.select([handle], [], [], PATIENCE)[0]) and not handle.close()


def test_why_a_host_was_ended_stays_what_it_was(own_pool: HostPool) -> None:
    """A process that has ended takes nothing any more, which must not change the reason."""
    wait_for_both(own_pool)
    with own_pool.serving("line", PATIENCE) as host:
        host.deadline, host._ended_for = 0.0, OutOfMemory
        host.enforce_limits(1.0)
        assert host._ended_for is OutOfMemory
        host.kill()
