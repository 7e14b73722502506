"""What a model host may use: memory and processor time, held by the system on POSIX, by a watchdog on Windows."""

import ctypes
import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

if sys.platform != "win32":
    import resource
    import signal

from wsgi_service.errors import DeadlineExceeded, OutOfMemory, ServingError
from wsgi_service.hosts.starting import Started

#: What checking a file may use: so many bytes for each of its own, and so many besides; so many seconds, and in
#: proportion more for files over 64 MB.
CHECK_MEMORY = 2
CHECK_MEMORY_BESIDES = 256 << 20
CHECK_SECONDS = 10.0
CHECK_SIZE = 64 << 20
#: What converting an estimator of so many bytes may use.
CONVERT_MEMORY = 40
CONVERT_MEMORY_BESIDES = 1 << 30
CONVERT_SECONDS = 300.0
UNLIMITED = 0


class Allowance(NamedTuple):
    """What one piece of work may use: bytes of memory and seconds of processor time, on top of earlier work."""

    memory: int
    seconds: float


def allowance_to_check(size: int) -> Allowance:
    """What checking a file of `size` bytes may use."""
    return Allowance(CHECK_MEMORY * size + CHECK_MEMORY_BESIDES, CHECK_SECONDS * max(1.0, size / CHECK_SIZE))


def allowance_to_convert(size: int) -> Allowance:
    """What making a program of an artifact of `size` bytes, and comparing it, may use."""
    return Allowance(CONVERT_MEMORY * size + CONVERT_MEMORY_BESIDES, CONVERT_SECONDS)


def give_back() -> None:
    """On Linux: return freed memory to the system, so that what was unloaded is gone."""
    if sys.platform == "linux":
        try:
            ctypes.CDLL(None).malloc_trim(0)
        except AttributeError:  # another C library
            return


class Watch:
    """In the server, on Windows: whether a host takes more than it may. Elsewhere the host's own limits hold.

    Args:
        process: the host, before the work begins.
        allowance: for the work.
    """

    def __init__(self, process: Started, allowance: Allowance) -> None:
        self._process = process
        memory, seconds = _taken_by(process)
        self._most = Allowance(memory + allowance.memory, seconds + allowance.seconds)

    def overdrawn(self) -> type[ServingError] | None:
        """The error for what there is too much of."""
        memory, seconds = _taken_by(self._process)
        if memory > self._most.memory:
            return OutOfMemory
        return DeadlineExceeded if seconds > self._most.seconds else None


if sys.platform == "win32":
    from model_store.footprint import committed_by, seconds_of

    @contextmanager
    def limited(_allowance: Allowance) -> Iterator[None]:
        """In a host: nothing, since the server watches it from outside."""
        yield

    def cap_memory(_memory: int) -> None:
        """In a host: nothing, since the server watches it from outside."""

    def leave_no_core() -> None:
        """In a host: nothing, since there are no core dumps."""

    def ran_out_of_time(_process: Started) -> bool:
        """Whether a process that has ended was ended by the system for the time it used: never here."""
        return False

    def _taken_by(process: Started) -> Allowance:
        handle = int(process._handle)  # type: ignore[attr-defined]
        return Allowance(committed_by(handle), seconds_of(handle))

else:
    from model_store.footprint import private

    @contextmanager
    def limited(allowance: Allowance) -> Iterator[None]:
        """In a host: the work inside gets so much more memory (MemoryError) and processor time (SIGXCPU)."""
        before = {kind: resource.getrlimit(kind) for kind in (resource.RLIMIT_DATA, resource.RLIMIT_CPU)}
        _lower(resource.RLIMIT_DATA, private() + allowance.memory)
        _lower(resource.RLIMIT_CPU, math.ceil(_used() + allowance.seconds))
        try:
            yield
        finally:
            for kind, values in before.items():
                resource.setrlimit(kind, values)

    def cap_memory(memory: int) -> None:
        """In a host: from now on this process gets at most so many bytes more."""
        if memory != UNLIMITED:
            _lower(resource.RLIMIT_DATA, private() + memory)

    def leave_no_core() -> None:
        """In a host: a crash is over at once, and writes no gigabytes of other people's rows to a disk."""
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    def ran_out_of_time(process: Started) -> bool:
        """Whether a process that has ended was ended by the system for the time it used."""
        return bool(process.returncode == -signal.SIGXCPU)

    def _lower(kind: int, value: int) -> None:
        """Set a soft limit, but never above the one that is set already."""
        soft, hard = resource.getrlimit(kind)
        ceiling = min((limit for limit in (soft, hard) if limit != resource.RLIM_INFINITY), default=value)
        resource.setrlimit(kind, (min(value, ceiling), hard))

    def _used() -> float:
        usage = resource.getrusage(resource.RUSAGE_SELF)
        return usage.ru_utime + usage.ru_stime

    def _taken_by(_process: Started) -> Allowance:
        return Allowance(0, 0.0)  # the host's own limits hold
