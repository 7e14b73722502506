"""In a child process: the pipes to its parent are moved away from the streams that anything may print to."""

import os
import sys


def take_pipes() -> tuple[int, int]:
    """Move the pipes away from 0 and 1, so that a stray print cannot corrupt a message; their new descriptors."""
    incoming, outgoing = os.dup(0), os.dup(1)
    leave_streams()
    if sys.platform == "win32":
        import msvcrt

        for handle in (incoming, outgoing):
            msvcrt.setmode(handle, os.O_BINARY)
    return incoming, outgoing


def leave_streams() -> None:
    """Read nothing, and print to where errors go; a server without any streams has no such place."""
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    try:
        os.dup2(2, 1)
    except OSError:
        os.dup2(nothing, 1)
        os.dup2(nothing, 2)
    os.close(nothing)
