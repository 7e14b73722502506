"""One supervised model host, seen from the HTTP process."""

import contextlib
import io
import logging
import subprocess
import sys
import threading
import time
from collections import OrderedDict
from typing import Any, BinaryIO, cast

from model_store import errors as store_errors
from model_store.footprint import share_of
from wsgi_service import errors as serving_errors
from wsgi_service.errors import (
    Busy,
    DeadlineExceeded,
    ModelCrashed,
    OutOfMemory,
    ServingError,
)
from wsgi_service.hosts import frames
from wsgi_service.hosts.frames import Buffer, Failed, Reply, Request
from wsgi_service.hosts.limits import Allowance, Watch, ran_out_of_time
from wsgi_service.hosts.starting import Started

log = logging.getLogger(__name__)

PIPE_SIZE = 1 << 20
#: Seconds in which a process that was killed is gone.
END_LIMIT = 10.0
F_SETPIPE_SZ = 1031
ERRORS: dict[str, type[Exception]] = {
    name: error
    for module in (store_errors, serving_errors)
    for name, error in vars(module).items()
    if isinstance(error, type) and issubclass(error, Exception)
}


class Host:
    """A child process that judges, loads and predicts, one request at a time.

    Whoever holds a host is the only one to call it. A call that fails with ModelCrashed or DeadlineExceeded leaves
    a dead host behind.

    Args:
        process: that was started.
    """

    def __init__(self, process: Started) -> None:
        #: Key -> bytes that its estimator takes, the one that was not used for longest first.
        self.loaded: OrderedDict[str, int] = OrderedDict()
        #: Keys of estimators to which rows of several requests may be given at once.
        self.joinable: set[str] = set()
        self.deadline: float | None = None
        self._watch: Watch | None = None
        self._ended_for: type[ServingError] | None = None
        self._failed = False
        self._lock = threading.Lock()
        self._process = process
        #: When it was last at work.
        self.used = time.monotonic()
        self._outgoing = cast("BinaryIO", self._process.stdin)
        self._incoming = cast("BinaryIO", io.BufferedReader(cast("Any", self._process.stdout), 1 << 16))
        _widen(self._outgoing, self._incoming)

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def memory(self) -> int:
        """Bytes of memory that the process has in use; of what it shares with others, its part."""
        return share_of(self._process)

    @property
    def lost(self) -> bool:
        """Whether it has ended with what it was started from, which is no fault of its own."""
        return self._process.lost

    @property
    def alive(self) -> bool:
        """Whether the process runs and has never failed a call."""
        return not (self._failed or self._ended_for) and self._process.poll() is None

    def wait_ready(self, limit: float) -> None:
        """Wait until the host has imported everything. Raises ModelCrashed or DeadlineExceeded."""
        reply, _ = self._exchange(None, (), limit)
        if not isinstance(reply, frames.Ready):
            self.kill()
            raise ModelCrashed("A model host did not start.")

    def call(
        self, request: Request, buffers: "list[Buffer]", limit: float, allowance: Allowance | None = None
    ) -> tuple[Reply, list[bytearray]]:
        """The answer to a request, within `limit` seconds.

        Args:
            request: what to do.
            buffers: that go with it.
            limit: seconds.
            allowance: what may be used for it, where the host cannot see to that by itself.

        Raises:
            ModelCrashed: the process died.
            Busy: it died with what it was started from.
            DeadlineExceeded: it did not answer in time and was ended.
            OutOfMemory: it took too much memory and was ended, or said so itself.
            StoreError, ServingError: what the host refused with.
        """
        with self._lock:
            self._watch = Watch(self._process, allowance) if allowance else None
        reply, answer = self._exchange(request, buffers, limit)
        if isinstance(reply, Failed):
            raise _as_error(reply)
        return reply, answer

    def enforce_limits(self, now: float) -> None:
        """End the process if its call is overdue or takes too much; asked a few times a second."""
        with self._lock:
            if self.deadline is None or self._ended_for:
                return
            overdrawn = self._watch.overdrawn() if self._watch else None
            self._ended_for = DeadlineExceeded if now >= self.deadline else overdrawn
            if self._ended_for:
                self.kill()

    def kill(self) -> None:
        """End the process at once."""
        self._process.kill()

    def close(self) -> None:
        """End the process and free what it holds."""
        self.kill()
        try:
            self._process.wait(END_LIMIT)
        except subprocess.TimeoutExpired:  # its pipes stay open: to close one that is read waits for ever as well
            log.warning("model host %d does not end", self.pid)
            return
        for pipe in (self._outgoing, self._incoming):
            try:
                pipe.close()
            except OSError:  # unsent bytes for a process that is gone
                continue

    def _exchange(
        self, request: Request | None, buffers: "list[Buffer] | tuple[()]", limit: float
    ) -> tuple[Reply, list[bytearray]]:
        with self._lock:
            self.deadline = time.monotonic() + limit
        try:
            if request is not None:
                frames.write(self._outgoing, request, buffers)
            return frames.read_reply(self._incoming)
        except (OSError, EOFError, ValueError, frames.BrokenFrame):
            self._give_up()
            raise self._ending(limit) from None
        except BaseException:  # part of an answer may be left in the pipe, and nobody else must read it
            self._give_up()
            raise
        finally:
            with self._lock:
                self.deadline = self._watch = None

    def _give_up(self) -> None:
        self._failed = True
        self.kill()

    def _ending(self, limit: float) -> Exception:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(END_LIMIT)
        if self.lost and not self._ended_for:
            return Busy("The model hosts were ended, and are started again. Try again in a moment.")
        if self._ended_for is DeadlineExceeded or ran_out_of_time(self._process):
            return DeadlineExceeded(f"The model did not answer within {limit:g} seconds and was stopped.")
        if self._ended_for is OutOfMemory:
            return OutOfMemory(
                "The model needed more memory than the server has for it, and was stopped.", fatal=True
            )
        return ModelCrashed("The process that ran the model ended unexpectedly.")


def _widen(*pipes: BinaryIO) -> None:
    """Let a pipe hold a megabyte where the system allows it: then a large table goes over in few turns."""
    if sys.platform == "linux":
        import fcntl

        for pipe in pipes:
            try:
                fcntl.fcntl(pipe.fileno(), F_SETPIPE_SZ, PIPE_SIZE)
            except OSError:  # the user's quota of pipe memory is used up; it works without
                return


def _as_error(failed: Failed) -> Exception:
    error = ERRORS.get(failed.kind, ModelCrashed)
    if issubclass(error, store_errors.Refused):
        return error(failed.message, failed.report)
    if error is store_errors.MissingExtra:
        return store_errors.MissingExtra(failed.message, extra=failed.extra)
    return error(failed.message)
