"""The signals that stop a server."""

import signal
import threading
from collections.abc import Callable
from types import FrameType


def on_stop_signals(stop: Callable[[], None], stopped: Callable[[], bool]) -> None:
    """Have a signal stop the server, if this is the main thread, unless it is being stopped already."""
    if threading.current_thread() is not threading.main_thread():
        return

    def handle(_number: int, _frame: FrameType | None) -> None:
        if not stopped():  # a second signal may come in the middle of the first one's work
            stop()

    for name in ("SIGINT", "SIGTERM", "SIGBREAK"):
        if number := getattr(signal, name, None):
            signal.signal(number, handle)
