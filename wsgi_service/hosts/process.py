"""One supervised model host, seen from the HTTP process."""

import contextlib
import ctypes
import io
import logging
import os
import subprocess
import sys
import threading
import time
from collections import OrderedDict
from pathlib import Path
from typing import Any, BinaryIO, cast

from model_store import errors as store_errors
from model_store.footprint import resident_of
from wsgi_service import errors as serving_errors
from wsgi_service.errors import (
    DeadlineExceeded,
    ModelCrashed,
    OutOfMemory,
    ServingError,
)
from wsgi_service.hosts import frames
from wsgi_service.hosts.frames import Buffer, Failed, Reply, Request
from wsgi_service.hosts.lifeline import Job
from wsgi_service.hosts.limits import UNLIMITED, Allowance, Watch, ran_out_of_time

log = logging.getLogger(__name__)

#: What a host's environment keeps of ours: enough to start Python, and nothing secret.
KEPT = (
    "PATH", "SYSTEMROOT", "SYSTEMDRIVE", "WINDIR", "TEMP", "TMP", "TMPDIR", "LANG", "LC_ALL",
    "PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX", "OPENBLAS_CORETYPE", "LD_LIBRARY_PATH",
    "WINEPREFIX", "WINEDEBUG", "WINEDLLOVERRIDES",
)  # fmt: skip
#: Set before numpy is imported: a limit that is set later does not reach every thread.
SINGLE_THREADED = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS"), "1"
)
#: Arrow's own pool would reserve more memory than a host may take.
FRUGAL = {"ARROW_DEFAULT_MEMORY_POOL": "system"}
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
    """

    def __init__(self, job: Job, folder: Path, memory: int = UNLIMITED) -> None:
        #: Key -> bytes that its estimator takes, the one that was not used for longest first.
        self.loaded: OrderedDict[str, int] = OrderedDict()
        #: Keys of estimators to which rows of several requests may be given at once.
        self.joinable: set[str] = set()
        self.deadline: float | None = None
        self._watch: Watch | None = None
        self._ended_for: type[ServingError] | None = None
        self._failed = False
        self._lock = threading.Lock()
        self._process = _spawn(folder, memory)
        job.adopt(self._process)
        self._outgoing = cast("BinaryIO", self._process.stdin)
        self._incoming = cast("BinaryIO", io.BufferedReader(cast("Any", self._process.stdout), 1 << 16))
        _widen(self._outgoing, self._incoming)

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def resident(self) -> int:
        """Bytes of memory that the process has in use."""
        return resident_of(self._process)

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
        if self._ended_for is DeadlineExceeded or ran_out_of_time(self._process):
            return DeadlineExceeded(f"The model did not answer within {limit:g} seconds and was stopped.")
        if self._ended_for is OutOfMemory:
            return OutOfMemory(
                "The model needed more memory than the server has for it, and was stopped.", fatal=True
            )
        return ModelCrashed("The process that ran the model ended unexpectedly.")


def _spawn(folder: Path, memory: int) -> "subprocess.Popen[bytes]":
    options: dict[str, Any] = {}
    if sys.platform == "win32":
        options["creationflags"] = _creation_flags()
    else:
        options["start_new_session"] = True  # Ctrl-C in the terminal is for the server, which ends its hosts
    return subprocess.Popen(
        [sys.executable, "-m", "wsgi_service.hosts.host", str(memory)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        bufsize=0,
        stderr=None if sys.stderr is not None else subprocess.DEVNULL,
        cwd=folder,
        env=_environment(),
        **options,
    )


if sys.platform == "win32":

    def _creation_flags() -> int:
        """A group of its own, since Ctrl-C is for the server, and no console that the server does not have.

        A console of its own would be a window, or at least one more process for each host.
        """
        has_console = ctypes.windll.kernel32.GetConsoleCP()
        return subprocess.CREATE_NEW_PROCESS_GROUP | (0 if has_console else subprocess.DETACHED_PROCESS)


def _environment() -> dict[str, str]:
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    path = os.pathsep.join(str(Path(entry).absolute()) for entry in sys.path)
    return (
        kept
        | SINGLE_THREADED
        | FRUGAL
        | {"PYTHONPATH": path, "PYTHONUTF8": "1", "PYTHONUNBUFFERED": "1", "PYTHONSAFEPATH": "1"}
    )


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
