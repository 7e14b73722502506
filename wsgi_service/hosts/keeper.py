"""The thread that starts and ends hosts: it looks after them a few times a second, and whenever it is told to."""

import logging
import threading
from collections.abc import Callable

log = logging.getLogger(__name__)

#: Seconds between two looks, and after one that failed.
TICK, PAUSE = 0.1, 1.0


class Keeper:
    """Calls a function again and again, in a thread of its own that outlives whatever that raises.

    Args:
        look: after the hosts.
    """

    def __init__(self, look: Callable[[], None]) -> None:
        self._look = look
        self._told = threading.Event()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="host-keeper", daemon=True)

    @property
    def alive(self) -> bool:
        """Whether it looks after them."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Begin; returns at once."""
        self._thread.start()

    def nudge(self) -> None:
        """Have it look soon."""
        self._told.set()

    def stop(self) -> None:
        """Have it end, and wait for that."""
        self._stopped.set()
        self._told.set()
        if self.alive:
            self._thread.join()

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                self._look()
            except OSError as error:  # no process, thread or file to be had
                log.error("model hosts cannot be looked after: %s", error)  # noqa: TRY400
                self._stopped.wait(PAUSE)
            except Exception:
                log.exception("model hosts cannot be looked after")
                self._stopped.wait(PAUSE)
            self._told.wait(TICK)
            self._told.clear()
