"""A server process as its supervisor has it, and what it is told first."""

import base64
import logging
import os
import queue
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from typing import Any, BinaryIO, cast

import msgspec

from wsgi_service.processes.pulse import Pulse
from wsgi_service.settings import Settings

log = logging.getLogger(__name__)

#: Seconds in which a process that was killed is gone.
END_LIMIT = 10.0


class Worker:
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
        """Its number."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it runs, and was not given up."""
        return not self._given_up and self._process.poll() is None

    @property
    def code(self) -> int | None:
        """How it ended, None while it runs."""
        return self._process.poll()

    @property
    def age(self) -> float:
        """Seconds since it was started."""
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
