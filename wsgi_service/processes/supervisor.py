"""Several server processes on one socket: they are started, started again, told of each other's changes, stopped.

The processes are started as `python -m wsgi_service.processes.worker`. On POSIX they inherit the socket; on
Windows they get what `socket.share` makes of it for them. A process that is told `forget` by this one answers from
the registry afresh, so a change is answered only when the next request sees it, whichever process gets that.
"""

import logging
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from wsgi_service.hosts.isolation import template_of
from wsgi_service.processes.pulse import MOST_LOOKS
from wsgi_service.processes.worker_process import Worker
from wsgi_service.server.stop_signals import on_stop_signals
from wsgi_service.settings import Settings

log = logging.getLogger(__name__)
#: Seconds beyond the drain deadline after which a process that does not end is ended.
MERCY = 5.0
#: A process that served for fewer seconds than this is started again only after a pause.
SHORT_LIFE, PAUSE = 10.0, 1.0
TICK = 0.2
#: What a process says -> what the others are told to do.
ASKS = {"changed": "forget", "measure": "count"}


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
        self._workers: dict[int, Worker] = {}
        self._questions: dict[int, _Question] = {}
        self._asked = 0
        self._stopping = threading.Event()
        self._template = template_of(settings.isolation)

    def run(self) -> int:
        """Serve until stopped by a signal; returns the exit code."""
        on_stop_signals(self._stopping.set, self._stopping.is_set)
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

    @property
    def serving(self) -> int:
        """How many processes have said that they serve."""
        return sum(worker.serves and worker.alive for worker in list(self._workers.values()))

    def stop(self) -> None:
        """Have `run` end when what is under way is answered."""
        self._stopping.set()

    def _start(self, place: int) -> None:
        socket_of_template = str(self._template.path) if self._template is not None else ""
        worker = Worker(self._settings, self._listener, place, socket_of_template)
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

    def _feel(self, worker: "Worker") -> None:
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

    def _read(self, worker: "Worker") -> None:
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

    def _pass_on(self, worker: "Worker", number: int, word: str) -> None:
        """Ask the others."""
        with self._lock:
            others = [other for other in self._workers.values() if other is not worker and other.alive]
            self._asked += 1
            own = self._asked
            self._questions[own] = _Question(worker, number, set(others))
        for other in others:
            other.say(f"{word} {own}")
        self._answer(own)

    def _done(self, worker: "Worker", own: int, answer: list[str]) -> None:
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

    def _gone(self, worker: "Worker") -> None:
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

    def __init__(self, worker: "Worker", number: int, missing: "set[Worker]") -> None:
        self.worker = worker
        self.number = number
        self.missing = missing
