"""Hosts that are forked from a template, as a server process sees them; see `template.py`. Linux only."""

import logging
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import IO

from model_store.footprint import share_of
from wsgi_service.hosts.spawning import STOPPED, EmptyFolder, Spawned, Spawner, spawn
from wsgi_service.hosts.starting import Started, Template

assert sys.platform == "linux"  # noqa: S101 - and nobody imports this elsewhere
log = logging.getLogger(__name__)

#: What a template says that has several threads, which no fork would have.
SPAWN = b"spawn"
#: Seconds in which a template answers, once it has answered at all, and before that: importing takes a while.
ANSWER, FIRST_ANSWER = 10.0, 120.0
#: Server processes that may wait for the template to be made.
BACKLOG = 128
LONGEST = 64


class TemplateProcess:
    """The process that hosts are forked from, as the process has it that starts it; see `Template`."""

    def __init__(self) -> None:
        self._folder = EmptyFolder()
        self._sockets = EmptyFolder("wsgi-service-template-")
        self._lock = threading.Lock()
        self._listener: socket.socket | None = None
        self._process: Spawned | None = None

    @property
    def path(self) -> Path:
        """See `Template`."""
        return self._sockets.path / "socket"

    def ensure(self) -> None:
        """See `Template`."""
        with self._lock:
            if self._process is None or self._process.poll() is not None:
                self._end()
                listener = self._listen().fileno()
                self._process = spawn(
                    "wsgi_service.hosts.template", str(listener), folder=self._folder.path, pass_fds=[listener]
                )

    def _listen(self) -> socket.socket:
        """The socket. This process has it as well: whoever connects before a template is there is kept waiting."""
        if self._listener is None:
            self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            self._listener.bind(str(self.path))
            self._listener.listen(BACKLOG)
        return self._listener

    def memory(self) -> int:
        """See `Template`."""
        return 0 if self._process is None else share_of(self._process)

    def end(self) -> None:
        """See `Template`."""
        with self._lock:
            self._end()

    def close(self) -> None:
        """See `Template`."""
        with self._lock:
            self._end()
            if self._listener is not None:
                self._listener.close()
        self._folder.remove()
        self._sockets.remove()

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            if self._process.stdin is not None:
                self._process.stdin.close()
            self._process = None


class Forker:
    """Has hosts forked.

    Args:
        template: of its own, or the socket of one that somebody else starts and ends.
    """

    def __init__(self, template: Template | Path) -> None:
        self._template = None if isinstance(template, Path) else template
        self._path = template if isinstance(template, Path) else None
        self._lock = threading.Lock()
        self._connection: socket.socket | None = None
        self._closed = False
        #: Is used instead where the template has several threads, as with some builds of libraries.
        self._spawner: Spawner | None = None

    @property
    def quick(self) -> bool:
        """See `Starter`."""
        return self._spawner is None

    def prepare(self) -> None:
        """See `Starter`."""
        if self._template is not None:
            self._template.ensure()

    def start(self, memory: int) -> Started:
        """See `Starter`."""
        if self._spawner is not None:
            return self._spawner.start(memory)
        theirs_in, ours_out = os.pipe()
        ours_in, theirs_out = os.pipe()
        said, process = b"", -1
        try:
            said, process = self._fork(memory, [theirs_in, theirs_out])
        finally:
            for descriptor in (theirs_in, theirs_out, *(() if process >= 0 else (ours_in, ours_out))):
                os.close(descriptor)
        if process >= 0:
            return Forked(self, int(said), process, os.fdopen(ours_out, "wb", 0), os.fdopen(ours_in, "rb", 0))
        if said != SPAWN:
            raise OSError(int(said.split()[1]), "a model host cannot be forked")
        log.warning("model hosts are spawned, since a library that they import starts threads")
        self._spawner = Spawner()
        return self._spawner.start(memory)

    def reap(self, pid: int) -> int | None:
        """How a host ended that has; None if its template has ended as well."""
        try:
            said, _ = self._ask(b"reap %d" % pid, [])
        except OSError:
            return None
        return int(said)

    def memory(self) -> int:
        """See `Starter`."""
        return self._template.memory() if self._template is not None else 0

    def rest(self) -> None:
        """See `Starter`; a template that others start is theirs to end."""
        if self._template is not None:
            with self._lock:
                self._disconnect()
            self._template.end()

    def interrupt(self) -> None:
        """See `Starter`."""
        self._closed = True
        if self._connection is not None:
            with suppress(OSError):  # it is not connected yet, or not any more
                self._connection.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """See `Starter`."""
        self.interrupt()
        with self._lock:
            self._disconnect()
        for part in (self._template, self._spawner):
            if part is not None:
                part.close()

    def _fork(self, memory: int, pipes: list[int]) -> tuple[bytes, int]:
        """What the template says, and the descriptor of the new process, or -1 if there is none."""
        for last in (False, True):
            try:
                self.prepare()
                said, descriptors = self._ask(b"fork %d" % memory, pipes)
                return said, descriptors[0] if descriptors else -1
            except ConnectionError:  # it has ended; there is another one, or will be
                if last:
                    raise
        raise AssertionError

    def _ask(self, what: bytes, descriptors: list[int]) -> tuple[bytes, list[int]]:
        """What the template answers. Raises OSError if it has ended, or does not answer in time."""
        with self._lock:
            try:
                connection = self._connect()
                socket.send_fds(connection, [what], descriptors)
                said, received, _, _ = socket.recv_fds(connection, LONGEST, 1)
                if not said:
                    raise ConnectionResetError("the template of the model hosts has ended")
            except OSError:
                self._disconnect()
                raise
            connection.settimeout(ANSWER)
            return said, received

    def _connect(self) -> socket.socket:
        if self._closed:
            raise OSError(STOPPED)
        if self._connection is None:
            self._connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            self._connection.settimeout(FIRST_ANSWER)
            self._connection.connect(str(self._template.path if self._template is not None else self._path))
        return self._connection

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None


class Forked:
    """A process that was forked from a template, with the face of `subprocess.Popen`; see `Started`.

    Args:
        forker: asks the template how it ended.
        pid: of it.
        descriptor: of the process (pidfd_open(2)).
        stdin, stdout: the pipes.
    """

    def __init__(self, forker: Forker, pid: int, descriptor: int, stdin: IO[bytes], stdout: IO[bytes]) -> None:
        self.pid = pid
        self.stdin: IO[bytes] | None = stdin
        self.stdout: IO[bytes] | None = stdout
        self.returncode: int | None = None
        self.lost = False
        self._forker = forker
        self._descriptor = descriptor
        self._lock = threading.Lock()

    def poll(self) -> int | None:
        """See `Started`."""
        return self._ended_within(0.0)

    def wait(self, timeout: float | None = None) -> int:
        """See `Started`."""
        code = self._ended_within(timeout)
        if code is None:
            raise subprocess.TimeoutExpired("a model host", timeout or 0.0)
        return code

    def kill(self) -> None:
        """See `Started`."""
        with self._lock:
            if self.returncode is None:
                with suppress(ProcessLookupError):
                    signal.pidfd_send_signal(self._descriptor, signal.SIGKILL)

    def _ended_within(self, limit: float | None) -> int | None:
        with self._lock:
            if self.returncode is None and _has_ended(self._descriptor, 0.0):
                self._reap()
            if self.returncode is not None or limit == 0.0:
                return self.returncode
            mine = os.dup(self._descriptor)  # it may be closed meanwhile
        try:
            ended = _has_ended(mine, limit)
        finally:
            os.close(mine)
        return self._ended_within(0.0) if ended else None

    def _reap(self) -> None:
        code = self._forker.reap(self.pid)
        self.lost = code is None
        self.returncode = -signal.SIGKILL if code is None else code
        os.close(self._descriptor)


def _has_ended(process: int, limit: float | None) -> bool:
    """Whether the process of a descriptor has ended, or ends within so many seconds."""
    poll = select.poll()
    poll.register(process, select.POLLIN)
    return bool(poll.poll(None if limit is None else 1000 * limit))
