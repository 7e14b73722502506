"""Several server processes on one socket: they are started, started again, told of each other's changes, stopped.

The processes are started as `python -m wsgi_service.processes.worker`. On POSIX they inherit the socket; on
Windows they get what `socket.share` makes of it for them. A process that is told `forget` by this one answers from
the registry afresh, so a change is answered only when the next request sees it, whichever process gets that.
"""

import base64
import logging
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Any, BinaryIO, cast

import msgspec

from wsgi_service.hosts.isolation import template_of
from wsgi_service.settings import Settings

log = logging.getLogger(__name__)

#: Seconds beyond the drain deadline after which a process that does not end is ended.
MERCY = 5.0
#: Seconds in which a process that was killed is gone.
END_LIMIT = 10.0
#: A process that served for fewer seconds than this is started again only after a pause.
SHORT_LIFE, PAUSE = 10.0, 1.0
TICK = 0.2
#: Looks at a process between two questions how often its loop has turned, which it does each second, and after how
#: many without a turn it is replaced: 5 and 30 seconds.
LOOKS_PER_QUESTION, MOST_LOOKS = 25, 150
#: What a process says -> what the others are told to do.
ASKS = {"changed": "forget", "measure": "count"}


class Pulse:
    """Tells a process whose loop does not turn by how often that was looked for in vain.

    It has no clock: a supervisor that was stopped itself, with all of the machine, has not looked meanwhile.
    """

    def __init__(self) -> None:
        self._looks = 0
        self._seen = self._said = -1

    def look(self) -> bool:
        """Look once more; whether to ask how often the loop has turned."""
        if self._said != self._seen:
            self._seen, self._looks = self._said, 0
        self._looks += 1
        return self._looks % LOOKS_PER_QUESTION == 0

    def said(self, turns: int) -> None:
        """So often the loop has turned by now; said by another thread than the one that looks."""
        self._said = turns

    @property
    def stopped(self) -> bool:
        """Whether the loop did not turn for too long."""
        return self._looks >= MOST_LOOKS


class Supervisor:
    """Runs a server in several processes.

    Args:
        settings: of the server.
        listener: a bound socket.
        announce: is called with the number of models when the first process serves.
    """

    def __init__(self, settings: Settings, listener: socket.socket, announce: Callable[[int], None]) -> None:
        self._settings = settings
        self._listener = listener
        self._announce = announce
        self._announced = False
        self._lock = threading.RLock()
        self._workers: dict[int, _Worker] = {}
        self._questions: dict[int, _Question] = {}
        self._asked = 0
        self._stopping = threading.Event()
        self._template = template_of(settings.isolation)

    def run(self) -> int:
        """Serve until stopped by a signal; returns the exit code."""
        _on_stop_signals(self._stopping.set)
        self._look_after_template()
        for place in range(self._settings.processes):
            self._start(place)
        code = 0
        while not self._stopping.wait(TICK):
            self._look_after_template()
            if not self._look_after_workers():
                code = 1
                break
        self._stop()
        if self._template is not None:
            self._template.close()
        return code

    def stop(self) -> None:
        """Have `run` end when what is under way is answered."""
        self._stopping.set()

    def _start(self, place: int) -> None:
        socket_of_template = str(self._template.path) if self._template is not None else ""
        worker = _Worker(self._settings, self._listener, place, socket_of_template)
        with self._lock:
            self._workers[place] = worker
        threading.Thread(target=self._read, args=(worker,), daemon=True).start()

    def _look_after_template(self) -> None:
        """Start again what hosts are forked from, if it has ended."""
        if self._template is not None:
            with suppress(OSError):  # tried again at the next look
                self._template.ensure()

    def _look_after_workers(self) -> bool:
        """Start again what has ended; whether that makes sense: not if none of them has ever served."""
        for place, worker in list(self._workers.items()):
            if worker.alive:
                self._feel(worker)
                continue
            if not self._announced:
                return False
            log.error("server process %d ended (%s) and is started again", worker.pid, worker.code)
            if worker.age < SHORT_LIFE and self._stopping.wait(PAUSE):
                return True
            self._start(place)
        return True

    def _feel(self, worker: "_Worker") -> None:
        """Ask a process that serves whether its loop turns, and end one whose loop does not.

        What it has not answered is lost to its clients, as with any crash; it is started again at the next look.
        """
        if not worker.serves:
            return
        if worker.pulse.look():
            worker.say("turn")
        if worker.pulse.stopped:
            log.error("server process %d did not turn for %g seconds and is ended", worker.pid, MOST_LOOKS * TICK)
            worker.kill()
            self._gone(worker)

    def _stop(self) -> None:
        """Have all processes finish what is under way, and end those that do not."""
        log.info("stopping %d server processes", len(self._workers))
        for worker in self._workers.values():
            worker.say("stop")
        until = time.monotonic() + self._settings.drain_deadline + MERCY
        for worker in self._workers.values():
            worker.end(until)

    # What the processes say

    def _read(self, worker: "_Worker") -> None:
        for line in iter(worker.incoming.readline, b""):
            match line.decode().split():
                case ["started", models]:
                    worker.serves = True
                    self._greet(int(models))
                case ["turned", turns]:
                    worker.pulse.said(int(turns))
                case ["changed" | "measure" as what, number]:
                    self._pass_on(worker, int(number), ASKS[what])
                case ["done", number, *answer]:
                    self._done(worker, int(number), answer)
        self._gone(worker)
        worker.close()

    def _greet(self, models: int) -> None:
        with self._lock:
            first, self._announced = not self._announced, True
        if first:
            self._announce(models)

    def _pass_on(self, worker: "_Worker", number: int, word: str) -> None:
        """Ask the others."""
        with self._lock:
            others = [other for other in self._workers.values() if other is not worker and other.alive]
            self._asked += 1
            own = self._asked
            self._questions[own] = _Question(worker, number, set(others))
        for other in others:
            other.say(f"{word} {own}")
        self._answer(own)

    def _done(self, worker: "_Worker", own: int, answer: list[str]) -> None:
        """Pass on what a process has said, before it counts as one that has answered."""
        with self._lock:
            question = self._questions.get(own)
            expected = question is not None and worker in question.missing
        if question is None or not expected:
            return
        for said in answer:
            question.worker.say(f"said {question.number} {said}")
        with self._lock:
            question.missing.discard(worker)
        self._answer(own)

    def _gone(self, worker: "_Worker") -> None:
        """Nobody waits for a process that has ended; a new one begins with knowing nothing."""
        with self._lock:
            waiting = list(self._questions)
        for own in waiting:
            self._done(worker, own, [])

    def _answer(self, own: int) -> None:
        """Tell whoever asked that all others have answered, once they have."""
        with self._lock:
            question = self._questions.get(own)
            if question is None or question.missing:
                return
            del self._questions[own]
        question.worker.say(f"all {question.number}")


class _Question:
    """What one process asks, and those that have not answered yet."""

    def __init__(self, worker: "_Worker", number: int, missing: "set[_Worker]") -> None:
        self.worker = worker
        self.number = number
        self.missing = missing


class _Worker:
    """One server process."""

    def __init__(self, settings: Settings, listener: socket.socket, place: int, template: str) -> None:
        options: dict[str, Any] = {} if sys.platform == "win32" else {"pass_fds": [listener.fileno()]}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "wsgi_service.processes.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONUTF8": "1"},
            **options,
        )
        self._began = time.monotonic()
        self._given_up = False
        #: What is to be written to it, by a thread of its own: one that hangs does not read. None: nothing more.
        self._words: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        threading.Thread(target=self._write, daemon=True).start()
        #: Whether it has said that it serves; until then it may take its time.
        self.serves = False
        self.pulse = Pulse()
        self.incoming = cast("BinaryIO", self._process.stdout)
        self.say(msgspec.json.encode(Task(settings, place, *_handed_over(listener, self.pid), template)).decode())

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return not self._given_up and self._process.poll() is None

    @property
    def code(self) -> int | None:
        return self._process.poll()

    @property
    def age(self) -> float:
        return time.monotonic() - self._began

    def say(self, words: str) -> None:
        """Tell it something, without waiting for it to read that."""
        self._words.put(words)

    def _write(self) -> None:
        assert self._process.stdin is not None  # noqa: S101 - it was asked for
        with suppress(OSError), self._process.stdin as pipe:  # if it has ended, that is seen elsewhere
            for words in iter(self._words.get, None):
                pipe.write(f"{words}\n".encode())
                pipe.flush()

    def close(self) -> None:
        """Close the pipes to it."""
        self.incoming.close()
        self._words.put(None)

    def kill(self) -> None:
        """End it, whether it hangs or was stopped; if the system cannot end it yet, it counts as ended."""
        self._process.kill()
        self._given_up = True
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(END_LIMIT)

    def end(self, until: float) -> None:
        """Wait for the end of the process until then, and end it."""
        try:
            self._process.wait(max(0.1, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            log.error("server process %d did not stop in time", self.pid)  # noqa: TRY400
            self.kill()


class Task(msgspec.Struct, frozen=True):
    """The first line that a process reads.

    Attributes:
        settings: of the server.
        place: its number among the processes; the first one sweeps and catches up for all.
        descriptor: of the inherited socket.
        shared: the socket in the form of `socket.share`, where sockets are not inherited.
        template: the socket of the template that hosts are forked from, where they are.
    """

    settings: Settings
    place: int
    descriptor: int
    shared: str = ""
    template: str = ""


if sys.platform == "win32":

    def _handed_over(listener: socket.socket, pid: int) -> tuple[int, str]:
        """How a process that is to have the socket is told of it."""
        return 0, base64.b64encode(listener.share(pid)).decode()

    def taken_over(task: Task) -> socket.socket:
        """The socket to accept connections on."""
        return socket.fromshare(base64.b64decode(task.shared))

else:

    def _handed_over(listener: socket.socket, _pid: int) -> tuple[int, str]:
        """How a process that is to have the socket is told of it."""
        return listener.fileno(), ""

    def taken_over(task: Task) -> socket.socket:
        """The socket to accept connections on."""
        return socket.socket(fileno=task.descriptor)


def _on_stop_signals(stop: Callable[[], None]) -> None:
    if threading.current_thread() is not threading.main_thread():
        return

    def handle(_number: int, _frame: FrameType | None) -> None:
        stop()

    for name in ("SIGINT", "SIGTERM", "SIGBREAK"):
        if number := getattr(signal, name, None):
            signal.signal(number, handle)
