"""Processor cores: how many this process may use."""

import os
import sys
from pathlib import Path

QUOTA = Path("/sys/fs/cgroup/cpu.max")


def available() -> int:
    """The cores that this process may use, as far as the system or its container says so."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(cores, _quota()))


def _quota() -> int:
    """Whole cores that the time is enough for which a container may use (cgroup v2's cpu.max)."""
    try:
        most, period = QUOTA.read_text(encoding="ascii").split()
        return round(int(most) / int(period))
    except (OSError, ValueError):  # there is none, or it is "max"
        return sys.maxsize
