"""Hosts that are forked from a template, as a server process sees them; see `template.py`. Linux only."""

import errno
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import cast

from model_store.footprint import share_of
from wsgi_service.hosts.forked import Forked
from wsgi_service.hosts.spawning import STOPPED, PrivateFolder, Spawned, Spawner, spawn
from wsgi_service.hosts.starting import Started, Template

assert sys.platform == "linux"  # noqa: S101 - and nobody imports this elsewhere
#: What a template says from which nothing can be forked.
SPAWN = b"spawn"
#: Seconds in which a template forks, the import of everything included, and in which it says how a host ended.
FORK, REAP = 120.0, 1.0
#: Seconds after which it is looked whether a template lives that does not answer.
LOOK = 0.5
#: Seconds that a template lives at the least; one that ended sooner is not started again before they are over.
SHORT_LIFE = 5.0
#: Server processes that may wait for the template to be made.
BACKLOG = 128
LONGEST = 64


class TemplateProcess:
    """The process that hosts are forked from, as the process has it that starts it; see `Template`."""

    def __init__(self) -> None:
        self._folder = PrivateFolder()
        self._sockets = PrivateFolder("wsgi-service-template-")
        self._lock = threading.Lock()
        self._listener: socket.socket | None = None
        self._process: Spawned | None = None
        self._began = -SHORT_LIFE

    @property
    def path(self) -> Path:
        """See `Template`."""
        return self._sockets.path / "socket"

    def ensure(self) -> None:
        """See `Template`."""
        with self._lock:
            if self._process is not None and self._process.poll() is None:
                return
            if self._process is None or time.monotonic() - self._began > SHORT_LIFE:
                self._end()
                self._began = time.monotonic()
                listener = self._listen().fileno()
                self._process = spawn(
                    "wsgi_service.hosts.template", str(listener), folder=self._folder.path, pass_fds=[listener]
                )

    def _listen(self) -> socket.socket:
        """The listening socket. This process keeps it open, so that early connections wait for the template."""
        if self._listener is not None and not self.path.exists():  # systems clean their temporary folders up
            self._listener.close()
            self._listener = None
        if self._listener is None:
            self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            self._listener.bind(str(self.path))
            self._listener.listen(BACKLOG)
        return self._listener

    def memory(self) -> int:
        """See `Template`."""
        process = self._process
        return 0 if process is None else share_of(process)

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


class Link:
    """One connection to a template. Requests are numbered, so that a late answer is recognised and skipped.

    Args:
        path: of the template's socket.
    """

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket.settimeout(LOOK)
        self._asked = 0
        try:
            self._socket.connect(str(path))
        except BaseException:
            self._socket.close()
            raise

    def ask(
        self, what: bytes, pipes: Sequence[int], limit: float, look: Callable[[], None]
    ) -> tuple[bytes, list[int]]:
        """What the template answers, and descriptors.

        Args:
            what: see `template.py`.
            pipes: that go with it.
            limit: seconds.
            look: is called now and then while there is no answer.

        Raises:
            ConnectionError: the template has ended.
            OSError: it does not answer in time.
        """
        self._asked += 1
        socket.send_fds(self._socket, [b"%d %s" % (self._asked, what)], pipes)
        until = time.monotonic() + limit
        while True:
            try:
                said, received, _, _ = socket.recv_fds(self._socket, LONGEST, 1)
            except TimeoutError:
                if time.monotonic() >= until:
                    raise
                look()
                continue
            if not said:
                raise ConnectionResetError("the template of the model hosts has ended")
            number, _, answer = said.partition(b" ")
            if int(number) == self._asked:
                return answer, received
            for descriptor in received:
                os.close(descriptor)

    def interrupt(self) -> None:
        """Wake the thread that waits for an answer: there will be none."""
        with suppress(OSError):  # it is closed
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """End the connection; the template ends the hosts that were forked over it."""
        self._socket.close()


class Forker:
    """Has hosts forked.

    Args:
        template: of its own, or the socket of one that somebody else starts and ends.
    """

    def __init__(self, template: Template | Path) -> None:
        self._template = None if isinstance(template, Path) else template
        self._path = template if isinstance(template, Path) else None
        self._lock = threading.Lock()
        self._link: Link | None = None
        self._closed = False
        #: Is used instead where nothing can be forked from the template.
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
        link, said, process = None, b"", -1
        try:
            link, said, process = self._fork(memory, (theirs_in, theirs_out))
        finally:
            for descriptor in (theirs_in, theirs_out, *(() if process >= 0 else (ours_in, ours_out))):
                os.close(descriptor)
        if process >= 0:
            pipes = os.fdopen(ours_out, "wb", 0), os.fdopen(ours_in, "rb", 0)
            return Forked(partial(self._reap, link, int(said)), int(said), process, *pipes)
        if said == SPAWN:
            self._spawner = Spawner()
            raise OSError("model hosts are spawned from now on, since none can be forked here")
        number = int(said.split()[1]) if said.startswith(b"failed") else errno.EMFILE
        raise OSError(number, f"a model host cannot be forked: {os.strerror(number)}")

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
        if (link := self._link) is not None:
            link.interrupt()

    def close(self) -> None:
        """See `Starter`."""
        self.interrupt()
        with self._lock:
            self._disconnect()
        for part in (self._template, self._spawner):
            if part is not None:
                part.close()

    def _fork(self, memory: int, pipes: Sequence[int]) -> tuple[Link, bytes, int]:
        """The link that was used, the template's answer, and the descriptor of the process (-1: there is none)."""
        for last in (False, True):
            with self._lock:
                try:
                    self.prepare()
                    link = self._connected()
                    said, received = link.ask(b"fork %d" % memory, pipes, FORK, self._look)
                    return link, said, received[0] if received else -1
                except ConnectionError:  # it has ended; there is another one, or will be
                    self._disconnect()
                    if last:
                        raise
        raise AssertionError

    def _reap(self, link: Link, pid: int) -> int | None:
        """How a host ended that was forked over a link; None if its template has ended, or does not say."""
        if not self._lock.acquire(timeout=REAP):
            return None
        try:
            if link is not self._link:  # the template that knew it is gone
                return None
            said, _ = link.ask(b"reap %d" % pid, (), REAP, lambda: None)
        except ConnectionError:
            self._disconnect()
        except OSError:
            return None
        else:
            return int(said)
        finally:
            self._lock.release()
        return None

    def _look(self) -> None:
        """Restart the template if it has ended; connections that wait are served by the next one."""
        if self._closed:
            raise OSError(STOPPED)
        self.prepare()

    def _connected(self) -> Link:
        if self._closed:
            raise OSError(STOPPED)
        if self._link is None:
            self._link = Link(self._template.path if self._template is not None else cast("Path", self._path))
        return self._link

    def _disconnect(self) -> None:
        if self._link is not None:
            self._link.close()
        self._link = None
