"""Several processes: what one changes the others know, what ends is started again, and all stop together."""

import logging
import os
import signal
import subprocess
import sys
import tempfile
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import models
import pytest
from conftest import PATIENCE, LiveServer
from running import until

from wsgi_service.client import Client
from wsgi_service.processes import pulse, supervisor, worker_link
from wsgi_service.processes.worker_link import Siblings
from wsgi_service.server.listening import bind
from wsgi_service.settings import Settings

pytestmark = [pytest.mark.system, pytest.mark.live]


def started(server: LiveServer) -> LiveServer:
    """The server once all of its processes have hosts."""
    for _ in range(20):  # each on a connection of its own, which either process may get
        with Client(server.url, patience=PATIENCE) as client:
            assert client._remote.get("/readyz")["status"] == "ready"
    return server


@pytest.fixture(scope="module")
def pair() -> Iterator[LiveServer]:
    """Two processes, for tests that end neither of them."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as path:
        server = LiveServer(Path(path), "--processes", "2", "--acceleration", "off")
        try:
            yield started(server)
        finally:
            server.stop()


def workers_of(server: LiveServer) -> list[int]:
    return children(server.process.pid, "wsgi_service.processes.worker")


def children(parent: int, module: str) -> list[int]:
    """The processes that one has started to run a module."""
    line = ["ps", "-o", "pid=,args=", "--ppid", str(parent)]
    found = subprocess.run(line, capture_output=True, check=True).stdout.decode().splitlines()
    return [int(process.split()[0]) for process in found if f"-m {module}" in process]


def version_that_answers(server: LiveServer, model: str = "line") -> int:
    with Client(server.url, patience=PATIENCE) as client:
        asked = client._remote.send_json("POST", f"/models/{model}/predict", {"instances": [[1.0]]})
        return int(asked["version"])


def test_a_moved_alias_is_seen_by_the_next_request_on_any_connection(pair: LiveServer) -> None:
    said = len(pair.log)
    with Client(pair.url, patience=PATIENCE) as client:
        for _ in range(2):
            client.push(models.line(), "moved")
        for number in [2, 1] * 10:
            client._remote.send_json("PUT", "/models/moved/aliases/live", {"version": number})
            assert {version_that_answers(pair, "moved") for _ in range(5)} == {number}
    assert not any("not all processes" in line for line in pair.log[said:])


@pytest.mark.skipif(sys.platform == "win32", reason="finds the processes with ps")
def test_a_process_that_ends_is_started_again_and_the_others_go_on(start_server: Any) -> None:
    server = started(start_server("--processes", "2", "--acceleration", "off"))
    with Client(server.url, patience=PATIENCE) as client:
        client.push(models.line(), "line")
    first, second = workers_of(server)
    os.kill(first, signal.SIGKILL)
    assert server.wait_for_log(f"server process {first} ended")
    assert version_that_answers(server) == 1
    until(lambda: len(workers_of(server)) == 2)
    assert second in workers_of(server)
    assert first not in workers_of(server)
    assert {version_that_answers(started(server)) for _ in range(5)} == {1}


@pytest.mark.skipif(sys.platform == "win32", reason="finds the processes with ps")
def test_all_processes_stop_with_the_server_and_when_it_is_killed(start_server: Any) -> None:
    for end in (signal.SIGTERM, signal.SIGKILL):
        server = started(start_server("--processes", "2", "--acceleration", "off"))
        workers = workers_of(server)
        assert len(workers) == 2
        if sys.platform == "linux":  # one for both
            templates = children(server.process.pid, "wsgi_service.hosts.template")
            assert len(templates) == 1
            workers += templates
        server.process.send_signal(end)
        assert server.process.wait(PATIENCE) == (0 if end == signal.SIGTERM else -signal.SIGKILL)
        until(lambda pids=workers: not any(Path(f"/proc/{pid}").exists() for pid in pids))  # type: ignore[misc]


@pytest.mark.skipif(sys.platform == "win32", reason="stops a process for a while")
def test_a_process_that_hangs_does_not_keep_a_change_waiting_for_long(pair: LiveServer) -> None:
    with Client(pair.url, patience=PATIENCE) as client:
        client.push(models.line(), "hung")
        hanging = workers_of(pair)[0]
        os.kill(hanging, signal.SIGSTOP)
        try:
            until(lambda: changed(pair))  # a connection to the one that hangs is not answered
            assert pair.wait_for_log("not all processes have taken a change over")
        finally:
            os.kill(hanging, signal.SIGCONT)


@pytest.mark.skipif(sys.platform == "win32", reason="stops a process for a while")
def test_a_process_that_was_stopped_is_replaced_while_the_others_answer(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(pulse, "LOOKS_PER_QUESTION", 2)
    monkeypatch.setattr(pulse, "MOST_LOOKS", 50)
    caplog.set_level(logging.ERROR, "wsgi_service.processes.supervisor")
    greeted = threading.Event()
    listener = bind("127.0.0.1", 0)
    settings = Settings(data=str(folder), processes=2, hosts=2, acceleration="off", startup_limit=PATIENCE)
    supervised = supervisor.Supervisor(settings, listener, lambda _models: greeted.set())
    thread = threading.Thread(target=supervised.run)

    def workers() -> list[int]:
        return children(os.getpid(), "wsgi_service.processes.worker")

    thread.start()
    try:
        assert greeted.wait(PATIENCE)
        until(lambda: supervised.serving == 2)  # one that is still starting may take its time
        first = workers()[0]
        os.kill(first, signal.SIGSTOP)
        until(lambda: first not in workers() and len(workers()) == 2)
        assert f"server process {first} did not turn" in caplog.text
        address = f"http://127.0.0.1:{listener.getsockname()[1]}/healthz"
        for _ in range(5):
            with urllib.request.urlopen(address, timeout=PATIENCE) as answer:
                assert answer.status == 200
    finally:
        supervised.stop()
        thread.join(PATIENCE)
        listener.close()


def test_a_pulse_is_the_turns_of_a_loop_not_its_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulse, "LOOKS_PER_QUESTION", 2)
    monkeypatch.setattr(pulse, "MOST_LOOKS", 6)
    turning, hanging, silent = pulse.Pulse(), pulse.Pulse(), pulse.Pulse()
    for look in range(20):
        turning.look()
        turning.said(look)
        hanging.look()
        hanging.said(7)  # a thread of its own answers for a loop that hangs
        silent.look()
    assert (turning.stopped, hanging.stopped, silent.stopped) == (False, True, True)
    for _ in range(5):
        turning.look()
    assert not turning.stopped
    turning.look()
    assert turning.stopped


def changed(server: LiveServer) -> bool:
    line = [
        "curl", "-s", "-m", "2", "-X", "PUT", "-H", "Content-Type: application/json",
        "-d", '{"description":"new"}', f"{server.url}/models/hung",
    ]  # fmt: skip
    return subprocess.run(line, capture_output=True, check=False).returncode == 0


def test_a_folder_that_cannot_be_used_ends_the_server_and_says_why(folder: Path) -> None:
    (folder / "BACKUP").touch()
    line = [sys.executable, "-m", "wsgi_service", "serve", "--listen", "127.0.0.1:0", "--processes", "2"]
    ended = subprocess.run(
        [*line, "--data", str(folder)],
        capture_output=True,
        timeout=PATIENCE,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert ended.returncode == 1
    assert b"This folder is a backup" in ended.stderr


class Supervised:
    """The two pipes of a process, with this test at their other ends."""

    def __init__(self) -> None:
        to_read, to_say = os.pipe()
        to_hear, to_write = os.pipe()
        self._incoming, self._outgoing = os.fdopen(to_read, "rb"), os.fdopen(to_write, "wb")
        self._to_say, self.heard = os.fdopen(to_say, "wb", buffering=0), os.fdopen(to_hear, "rb")
        self.siblings = Siblings(self._incoming, self._outgoing)

    def say(self, words: str) -> None:
        self._to_say.write(words.encode())

    def hang_up(self) -> None:
        self._to_say.close()

    def close(self) -> None:
        """Close the pipes, once the thread that reads from one of them has seen that nothing comes any more."""
        self.hang_up()
        until(lambda: not any(thread.name == "siblings" for thread in threading.enumerate()))
        for pipe in (self._to_say, self.heard, self._incoming, self._outgoing):
            pipe.close()


@pytest.fixture
def end() -> Iterator[Supervised]:
    supervised = Supervised()
    yield supervised
    supervised.close()


def test_a_change_waits_until_all_others_have_heard_of_it(
    end: Supervised, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_link, "PATIENCE", PATIENCE)
    forgotten, stopped = threading.Event(), threading.Event()
    end.siblings.listen(forgotten.set, bytes, stopped.set, int)
    changing = threading.Thread(target=end.siblings.changed)
    changing.start()
    assert end.heard.readline() == b"changed 1\n"
    assert changing.is_alive()
    end.say("all 1\n")
    changing.join(PATIENCE)
    assert not changing.is_alive()
    end.say("forget 7\n")
    assert end.heard.readline() == b"done 7\n"
    assert forgotten.is_set()
    end.say("stop\n")
    assert stopped.wait(PATIENCE)


def test_a_process_says_what_it_has_counted_and_hears_what_the_others_have(
    end: Supervised, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_link, "PATIENCE", PATIENCE)
    end.siblings.listen(lambda: None, lambda: b"mine", lambda: None, int)
    end.say("count 3\n")
    assert end.heard.readline() == b"done 3 bWluZQ==\n"
    counted: list[list[bytes]] = []
    asking = threading.Thread(target=lambda: counted.append(end.siblings.counted()))
    asking.start()
    assert end.heard.readline() == b"measure 1\n"
    end.say("said 1 b25l\nsaid 1 b3RoZXI=\nall 1\n")
    asking.join(PATIENCE)
    assert counted == [[b"one", b"other"]]


def test_what_others_do_not_say_in_time_is_left_out(end: Supervised, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_link, "PATIENCE", 0.01)
    assert end.siblings.counted() == []


def test_one_that_is_late_does_not_take_what_the_others_said_with_it(
    end: Supervised, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Late(worker_link._Question):
        """Its time is over as soon as one has answered."""

        def __init__(self) -> None:
            super().__init__()
            monkeypatch.setattr(self.answered, "wait", lambda _seconds: until(lambda: self.answers))

    monkeypatch.setattr(worker_link, "_Question", Late)
    end.siblings.listen(lambda: None, bytes, lambda: None, int)
    counted: list[list[bytes]] = []
    asking = threading.Thread(target=lambda: counted.append(end.siblings.counted()))
    asking.start()
    assert end.heard.readline() == b"measure 1\n"
    end.say("said 1 b25l\n")
    asking.join(PATIENCE)
    assert counted == [[b"one"]]
    end.say("said 1 b3RoZXI=\nall 1\nforget 2\n")  # nobody waits for that any more
    assert end.heard.readline() == b"done 2\n"


def test_the_metrics_of_any_process_are_those_of_all(pair: LiveServer) -> None:
    predicts, versions = 'route="/models/{model}/predict",status="200"}', "\nwsgi_service_versions"
    before = figure(pair, versions)
    with Client(pair.url, patience=PATIENCE) as client:
        client.push(models.line(), "counted")
    assert version_that_answers(pair, "counted") == 1
    asked = figure(pair, predicts)
    for count in range(1, 11):
        assert version_that_answers(pair, "counted") == 1
        assert figure(pair, predicts) == asked + count
        assert figure(pair, versions) == before + 1


def figure(server: LiveServer, name: str) -> float:
    """One of the metrics, from whichever process answers."""
    with urllib.request.urlopen(f"{server.url}/metrics", timeout=PATIENCE) as answer:
        return float(answer.read().decode().partition(f"{name} ")[2].partition("\n")[0])


def test_a_process_whose_supervisor_is_gone_stops(end: Supervised) -> None:
    stopped = threading.Event()
    end.siblings.listen(lambda: None, bytes, stopped.set, int)
    end.hang_up()
    assert stopped.wait(PATIENCE)


def test_a_change_does_not_wait_for_ever(end: Supervised, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_link, "PATIENCE", 0.01)
    end.siblings.changed()
    assert end.heard.readline() == b"changed 1\n"
