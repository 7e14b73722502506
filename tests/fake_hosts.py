"""Model hosts that are threads of this process: they speak frames over a socket pair, and start in no time.

For tests of queues, roles and statuses, which no estimator is needed for. `wsgi_service/test_host_processes.py`
holds them to what real ones do.
"""

import itertools
import socket
import subprocess
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import IO, Any

from wsgi_service.hosts import frames
from wsgi_service.hosts.frames import Buffer, Reply, Request

#: Says what a host answers.
Answers = Callable[[Request, list[bytearray]], tuple[Reply, list[Buffer]]]
KILLED = -9

_numbers = itertools.count(1)


def done(_request: Request, _buffers: list[bytearray]) -> tuple[Reply, list[Buffer]]:
    """Answers everything with Done, as a host does to Load and Unload."""
    return frames.Done(), []


class FakeHosts:
    """Starts hosts that are threads; a `Starter`."""

    def __init__(self, answers: Answers = done, quick: bool = True) -> None:
        self.quick = quick
        self._answers = answers
        self._closed = False

    def prepare(self) -> None:
        pass

    def start(self, _memory: int) -> "FakeHost":
        if self._closed:
            raise OSError("the server is being stopped")
        return FakeHost(self._answers)

    def memory(self) -> int:
        return 0

    def rest(self) -> None:
        pass

    def interrupt(self) -> None:
        self._closed = True

    def close(self) -> None:
        self._closed = True


class FakeHost:
    """A host's process that is a thread."""

    lost = False

    def __init__(self, answers: Answers) -> None:
        self.pid = next(_numbers)
        self.returncode: int | None = None
        self._answers = answers
        self._ended = threading.Event()
        self._ours, self._theirs = socket.socketpair()
        self.stdin: IO[bytes] | None = self._ours.makefile("wb", buffering=0)
        self.stdout: IO[bytes] | None = self._ours.makefile("rb", buffering=0)
        threading.Thread(target=self._serve, daemon=True).start()

    def poll(self) -> int | None:
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        if not self._ended.wait(timeout):
            raise subprocess.TimeoutExpired("a host that is a thread", timeout or 0.0)
        assert self.returncode is not None
        return self.returncode

    def kill(self) -> None:
        self._end(KILLED)

    def _end(self, code: int) -> None:
        if self.returncode is None:
            self.returncode = code
        for end in (self._ours, self._theirs):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        self._ours.close()  # its files are closed by whoever has the host
        self._ended.set()

    def _serve(self) -> None:
        incoming: Any
        outgoing: Any
        with (
            suppress(OSError, EOFError, ValueError, frames.BrokenFrame),
            self._theirs,
            self._theirs.makefile("rb") as incoming,
            self._theirs.makefile("wb", buffering=0) as outgoing,
        ):
            frames.write(outgoing, frames.Ready({}))
            while True:
                request, buffers = frames.read_request(incoming)
                frames.write(outgoing, *self._answers(request, buffers))
        self._end(0)
