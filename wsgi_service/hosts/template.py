"""The process that hosts are forked from on Linux: it imports everything once, and never does anything else.

It is started as `python -m wsgi_service.hosts.template`. It listens on a socket, which only this user can reach; a
server process that has connected sends the ends of two pipes and gets the number of a host that has them. A fork
copies all that is open and all that is known, so this process opens no file of the store, loads no model, knows
nothing secret and has one thread.

What a server process sends, and what it gets (both with descriptors, see unix(7)):

    N fork MEMORY + pipe to read, pipe to write   ->   N PID + descriptor of the process
                                                       or N spawn, where nothing can be forked, or N failed ERRNO
    N reap PID                                    ->   N and how it ended, once it has

A host that has ended is not forgotten before it is asked for, so its number is not given to another process.
Hosts end with the connection that they were made for, and with this process; this process ends with the one that
has started it, whose pipe is its standard input.
"""

import gc
import os
import random
import selectors
import signal
import socket
import sys
import traceback
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from wsgi_service.hosts.host import Bench, serve
from wsgi_service.hosts.lifeline import die_with_parent
from wsgi_service.hosts.pipes import leave_streams

assert sys.platform == "linux"  # noqa: S101 - and nobody starts this elsewhere

LIFELINE = 0
LONGEST = 64
THREADS, DESCRIPTORS = Path("/proc/self/task"), Path("/proc/self/fd")
#: Where the kernel is told which process to end first when there is no memory: proc_pid_oom_score_adj(5).
OOM_SCORE = Path("/proc/self/oom_score_adj")
SOONER, SOONEST = 200, 1000


def main() -> None:
    """Fork hosts for the server processes that connect, until the parent process ends."""
    bench = Bench()
    gc.collect()
    gc.freeze()  # what was imported is not looked at, so hosts share it until they unload something
    Forks(bench, socket.socket(fileno=int(sys.argv[1]))).run()


class Forks:
    """The connected server processes, and the hosts that were forked for each.

    Args:
        bench: with everything imported.
        listener: where server processes connect.
    """

    def __init__(self, bench: Bench, listener: socket.socket) -> None:
        self._bench = bench
        self._listener = listener
        self._hosts: dict[socket.socket, set[int]] = {}
        self._pid = os.getpid()
        self._can_fork = _have_descriptors()

    def run(self) -> None:
        """Answer until the lifeline ends."""
        with selectors.DefaultSelector() as selector:
            selector.register(LIFELINE, selectors.EVENT_READ)
            selector.register(self._listener, selectors.EVENT_READ)
            while True:
                for key, _ in selector.select():
                    if key.fd == LIFELINE:
                        return
                    if key.fileobj is self._listener:
                        connection, _ = self._listener.accept()
                        self._hosts[connection] = set()
                        selector.register(connection, selectors.EVENT_READ)
                    elif isinstance(key.fileobj, socket.socket) and not self._answer(key.fileobj):
                        selector.unregister(key.fileobj)
                        self._end(key.fileobj)

    def _answer(self, connection: socket.socket) -> bool:
        """Handle one request of a server process; False if it has gone."""
        try:
            said, pipes, _, _ = socket.recv_fds(connection, LONGEST, 2)
            match said.split(), pipes:
                case [number, b"fork", memory], [incoming, outgoing]:
                    answer, descriptors = self._fork(connection, int(memory), incoming, outgoing)
                case [number, b"reap", pid], []:
                    answer, descriptors = b"%d" % self._reap(connection, int(pid)), []
                case _:  # the server process has gone, or descriptors have run out
                    for descriptor in pipes:
                        os.close(descriptor)
                    return False
            try:
                socket.send_fds(connection, [number + b" " + answer], descriptors)
            finally:
                for descriptor in descriptors:
                    os.close(descriptor)
        except OSError:
            return False
        return True

    def _fork(
        self, connection: socket.socket, memory: int, incoming: int, outgoing: int
    ) -> tuple[bytes, list[int]]:
        """The answer, and the descriptor of the new process."""
        try:
            if not self._can_fork or len(list(THREADS.iterdir())) > 1:
                return b"spawn", []
            pid = os.fork()
            if not pid:
                self._be_a_host(memory, incoming, outgoing)
            self._hosts[connection].add(pid)
            return b"%d" % pid, [os.pidfd_open(pid)]
        except OSError as error:
            return b"failed %d" % (error.errno or 0), []
        finally:
            os.close(incoming)
            os.close(outgoing)

    def _be_a_host(self, memory: int, incoming: int, outgoing: int) -> NoReturn:
        """In the fork: let go of everything that is not this host's, and serve."""
        code = 1
        try:
            die_with_parent(self._pid)
            leave_streams()
            for descriptor in [int(entry.name) for entry in DESCRIPTORS.iterdir()]:
                if descriptor not in (0, 1, 2, incoming, outgoing):
                    with suppress(OSError):  # the one that this list was read with
                        os.close(descriptor)
            _be_ended_sooner()
            _seed()
            serve(self._bench, incoming, outgoing, memory)
            code = 0
        except Exception:  # noqa: BLE001 - whatever it is, nothing of the template's goes on here
            traceback.print_exc()
        finally:
            os._exit(code)

    def _reap(self, connection: socket.socket, pid: int) -> int:
        """How a host ended; as if it was killed if it is none of this connection's."""
        if pid not in self._hosts[connection]:
            return -signal.SIGKILL
        _, status = os.waitpid(pid, 0)
        self._hosts[connection].discard(pid)
        return os.waitstatus_to_exitcode(status)

    def _end(self, connection: socket.socket) -> None:
        """End the hosts of a server process that has gone."""
        hosts = self._hosts.pop(connection)
        for pid in hosts:
            os.kill(pid, signal.SIGKILL)
        for pid in hosts:
            os.waitpid(pid, 0)
        connection.close()


def _have_descriptors() -> bool:
    """Whether there are descriptors of processes: not before Linux 5.3, and not where a sandbox forbids them."""
    try:
        os.close(os.pidfd_open(os.getpid()))
    except (OSError, AttributeError):
        return False
    return True


def _be_ended_sooner() -> None:
    """Where memory is short, a host goes before the processes that cannot be made again in no time."""
    with suppress(OSError, ValueError):
        score = int(OOM_SCORE.read_text(encoding="ascii"))
        OOM_SCORE.write_text(str(min(score + SOONER, SOONEST)), encoding="ascii")


def _seed() -> None:
    """Have this host's random numbers be its own."""
    import numpy as np

    random.seed()
    np.random.seed()  # what estimators draw from whose random_state is None


if __name__ == "__main__":
    main()
