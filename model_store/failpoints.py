"""Named places where a test can have the store fail. Nothing happens in them unless a test has armed one."""

import errno
import os
import signal
from typing import Literal

Point = Literal["after_tmp_write", "after_fsync", "after_rename", "before_commit", "after_commit", "before_reply"]
Failure = Literal["kill", "ENOSPC", "EIO"]

#: What is armed: the point, what happens there, and how often it is passed before.
_armed: tuple[Point, Failure] | None = None
_passes = 0


def arm(point: Point, failure: Failure, passes: int = 0) -> None:
    """Have the process killed, or the disk fail, at a point, after it was passed so many times."""
    global _armed, _passes
    _armed, _passes = (point, failure), passes


def disarm() -> None:
    """Let everything work again."""
    global _armed  # noqa: PLW0603
    _armed = None


def reach(point: Point) -> None:
    """Be at a point. Raises OSError where the disk is to fail."""
    if _armed is None or _armed[0] != point:
        return
    global _passes  # noqa: PLW0603
    _passes -= 1
    if _passes >= 0:
        return
    if _armed[1] == "kill":
        os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))  # on Windows this ends it at once as well
    raise OSError(getattr(errno, _armed[1]), os.strerror(getattr(errno, _armed[1])))
