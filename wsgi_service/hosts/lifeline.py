"""How a model host ends with its parent, whatever the parent dies of; one way for each system."""

import ctypes
import logging
import os
import signal
import sys
import threading
from subprocess import Popen
from typing import Any

log = logging.getLogger(__name__)

PARENT_POLL = 1.0
PR_SET_PDEATHSIG = 1


def die_with_parent(parent: int | None = None) -> None:
    """In the child: arrange to be ended when the parent is gone.

    A closed pipe ends an idle host by itself. This is for one that computes and does not read. On Windows the
    parent does it, with `adopt`.

    Args:
        parent: its number, where it is known; it may be gone already.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if parent not in (None, os.getppid()):
            os._exit(1)
    elif sys.platform != "win32":
        threading.Thread(target=_watch_parent, args=(os.getppid(),), daemon=True).start()


def _watch_parent(parent: int) -> None:
    pause = threading.Event()
    while os.getppid() == parent:
        pause.wait(PARENT_POLL)
    os._exit(1)


class Job:
    """On Windows, a job object: when its handle is closed, by whatever, its processes end. Elsewhere nothing."""

    def __init__(self) -> None:
        self._handle: Any = None
        if sys.platform == "win32":
            self._handle = _create_job()

    def adopt(self, process: "Popen[bytes]") -> None:
        """Put a child into the job."""
        if sys.platform == "win32":
            handle = ctypes.c_void_p(int(process._handle))  # type: ignore[attr-defined]
            if not ctypes.windll.kernel32.AssignProcessToJobObject(self._handle, handle):
                log.warning("model host %d may outlive a server that is killed", process.pid)


if sys.platform == "win32":

    class _BasicLimits(ctypes.Structure):
        """JOBOBJECT_BASIC_LIMIT_INFORMATION, from the Windows API's winnt.h."""

        _fields_ = (
            ("PerProcessUserTimeLimit", ctypes.c_int64),
            ("PerJobUserTimeLimit", ctypes.c_int64),
            ("LimitFlags", ctypes.c_uint32),
            ("MinimumWorkingSetSize", ctypes.c_size_t),
            ("MaximumWorkingSetSize", ctypes.c_size_t),
            ("ActiveProcessLimit", ctypes.c_uint32),
            ("Affinity", ctypes.c_size_t),
            ("PriorityClass", ctypes.c_uint32),
            ("SchedulingClass", ctypes.c_uint32),
        )

    class _ExtendedLimits(ctypes.Structure):
        """JOBOBJECT_EXTENDED_LIMIT_INFORMATION."""

        _fields_ = (
            ("BasicLimitInformation", _BasicLimits),
            ("IoInfo", ctypes.c_uint64 * 6),
            ("ProcessMemoryLimit", ctypes.c_size_t),
            ("JobMemoryLimit", ctypes.c_size_t),
            ("PeakProcessMemoryUsed", ctypes.c_size_t),
            ("PeakJobMemoryUsed", ctypes.c_size_t),
        )

    KILL_ON_JOB_CLOSE = 0x2000
    EXTENDED_LIMIT_INFORMATION = 9

    def _create_job() -> ctypes.c_void_p:
        kernel32 = ctypes.windll.kernel32
        kernel32.CreateJobObjectW.restype = ctypes.c_void_p
        job = ctypes.c_void_p(kernel32.CreateJobObjectW(None, None))
        limits = _ExtendedLimits()
        limits.BasicLimitInformation.LimitFlags = KILL_ON_JOB_CLOSE
        kernel32.SetInformationJobObject(
            job, EXTENDED_LIMIT_INFORMATION, ctypes.byref(limits), ctypes.sizeof(limits)
        )
        return job
