"""A host's process that was forked from a template, with the face of `subprocess.Popen`. Linux only."""

# mypy: disable-error-code="attr-defined"
# What this calls is not there on Windows, where it is read by mypy as well.

import os
import select
import signal
import subprocess
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import IO


class Forked:
    """A process that was forked from a template, with the face of `subprocess.Popen`; see `Started`.

    Args:
        reap: gives how it ended, once it has; None if nobody knows.
        pid: of it.
        descriptor: of the process (pidfd_open(2)).
        stdin, stdout: the pipes.
    """

    def __init__(
        self, reap: Callable[[], int | None], pid: int, descriptor: int, stdin: IO[bytes], stdout: IO[bytes]
    ) -> None:
        self.pid = pid
        self.stdin: IO[bytes] | None = stdin
        self.stdout: IO[bytes] | None = stdout
        self.returncode: int | None = None
        self.lost = False
        self._ask = reap
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
        code = self._ask()
        self.lost = code is None
        self.returncode = -signal.SIGKILL if code is None else code
        os.close(self._descriptor)


def _has_ended(process: int, limit: float | None) -> bool:
    """Whether the process of a descriptor has ended, or ends within so many seconds."""
    poll = select.poll()
    poll.register(process, select.POLLIN)
    return bool(poll.poll(None if limit is None else 1000 * limit))
