"""How much memory this process holds, as the operating system counts it."""

import ctypes
import os
import sys
from pathlib import Path
from typing import Any, Protocol

if sys.platform != "win32":
    import resource


class Process(Protocol):
    """One that is a child, or was made by one."""

    pid: int


STATUS = Path("/proc/self/status")
#: Writing this resets the peak (proc_pid_clear_refs(5)).
RESET = Path("/proc/self/clear_refs")
LIMIT = Path("/sys/fs/cgroup/memory.max")


def resident() -> int:
    """Bytes of memory that this process has in use."""
    return _counted("VmRSS", "WorkingSetSize")


def own() -> int:
    """Bytes of memory in use that are no file's: how much they grow is what was allocated, also after a fork."""
    return _counted("RssAnon", "WorkingSetSize")


def peak() -> int:
    """The most bytes of memory that this process had in use, since `forget_peak` where that can be forgotten."""
    return _counted("VmHWM", "PeakWorkingSetSize")


def forget_peak() -> None:
    """Let `peak` begin anew, on Linux; elsewhere it stays what it was."""
    if sys.platform == "linux":
        try:
            RESET.write_text("5", encoding="ascii")
        except OSError:  # some containers forbid it
            return


def private() -> int:
    """Bytes of memory that are this process's own, whether in use or not: what RLIMIT_DATA counts on Linux."""
    return _counted("VmData", "PagefileUsage")


if sys.platform == "win32":

    class _Counters(ctypes.Structure):
        """PROCESS_MEMORY_COUNTERS, from the Windows API's psapi.h."""

        _fields_ = (
            ("Size", ctypes.c_uint32),
            ("PageFaultCount", ctypes.c_uint32),
            ("PeakWorkingSetSize", ctypes.c_size_t),
            ("WorkingSetSize", ctypes.c_size_t),
            ("QuotaPeakPagedPoolUsage", ctypes.c_size_t),
            ("QuotaPagedPoolUsage", ctypes.c_size_t),
            ("QuotaPeakNonPagedPoolUsage", ctypes.c_size_t),
            ("QuotaNonPagedPoolUsage", ctypes.c_size_t),
            ("PagefileUsage", ctypes.c_size_t),
            ("PeakPagefileUsage", ctypes.c_size_t),
        )

    class _MachineCounters(ctypes.Structure):
        """MEMORYSTATUSEX, from the Windows API's sysinfoapi.h."""

        _fields_ = (
            ("Length", ctypes.c_uint32),
            ("MemoryLoad", ctypes.c_uint32),
            ("TotalPhys", ctypes.c_uint64),
            ("AvailPhys", ctypes.c_uint64),
            ("TotalPageFile", ctypes.c_uint64),
            ("AvailPageFile", ctypes.c_uint64),
            ("TotalVirtual", ctypes.c_uint64),
            ("AvailVirtual", ctypes.c_uint64),
            ("AvailExtendedVirtual", ctypes.c_uint64),
        )

    CURRENT_PROCESS = ctypes.c_void_p(-1)

    def _counters(handle: Any = CURRENT_PROCESS) -> _Counters:
        counters = _Counters(Size=ctypes.sizeof(_Counters))
        ctypes.windll.psapi.GetProcessMemoryInfo(handle, ctypes.byref(counters), counters.Size)
        return counters

    def machine() -> int:
        """Bytes of memory that the machine has."""
        counters = _MachineCounters(Length=ctypes.sizeof(_MachineCounters))
        ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(counters))
        return int(counters.TotalPhys)

    def _counted(_linux: str, windows: str) -> int:
        return int(getattr(_counters(), windows))

    def committed_by(handle: int) -> int:
        """Bytes of memory that the process of a handle has been promised."""
        return int(_counters(ctypes.c_void_p(handle)).PagefileUsage)

    def share_of(process: Process) -> int:
        """Bytes of memory that a process has in use."""
        return int(_counters(ctypes.c_void_p(int(process._handle))).WorkingSetSize)  # type: ignore[attr-defined]

    def seconds_of(handle: int) -> float:
        """Seconds of processor time that the process of a handle has used."""
        times = [ctypes.c_uint64() for _ in range(4)]
        ctypes.windll.kernel32.GetProcessTimes(ctypes.c_void_p(handle), *(ctypes.byref(time) for time in times))
        return (times[2].value + times[3].value) / 1e7

else:

    def machine() -> int:
        """Bytes of memory that the machine has, or the container may use (cgroup v2's memory.max)."""
        has = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        try:
            return min(has, int(LIMIT.read_text(encoding="ascii")))
        except (OSError, ValueError):  # there is no limit, or it is "max"
            return has

    def share_of(process: Process) -> int:
        """Bytes of memory that a process has in use, with its part of what it shares with others.

        0 where that is not told of others (elsewhere than on Linux), or it has ended. See smaps_rollup in proc(5).
        """
        try:
            lines = Path(f"/proc/{process.pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
        except OSError:
            return 0
        return next((int(line.split()[1]) << 10 for line in lines if line.startswith("Pss:")), 0)

    def _counted(linux: str, _windows: str) -> int:
        """A line of /proc/self/status; without such a file the most that was ever in use (macOS: bytes)."""
        if not STATUS.exists():
            return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        lines = STATUS.read_text(encoding="ascii", errors="replace").splitlines()
        return next((int(line.split()[1]) << 10 for line in lines if line.startswith(f"{linux}:")), 0)
