"""Stops calls of programs that take too long, between two of their operators."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

#: Seconds between two looks at what is overdue.
TICK = 0.1


class Terminator:
    """One thread that stops what is overdue."""

    def __init__(self) -> None:
        self._running: dict[int, tuple[float, Any]] = {}
        #: Until when the call of the one thread that must not wait may take, None if there is none.
        self._due: float | None = None
        self._began = 0.0
        self._options: Any = None
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    @contextmanager
    def stopping(self, options: Any, seconds: float) -> Iterator[Any]:
        """The call that is made inside with these options is stopped after so many seconds."""
        self._start()
        with self._lock:
            self._running[id(options)] = (time.monotonic() + seconds, options)
        try:
            yield options
        finally:
            with self._lock:
                del self._running[id(options)]

    def begin(self, session: Any, seconds: float) -> Any:
        """The options of a call that is stopped after so many seconds, unless `end` is called before.

        For one thread only, so that nothing has to be locked.
        """
        if self._options is None or self._options.terminate:
            self._start()
            self._options = session.run_options()
        self._began = time.monotonic()
        self._due = self._began + seconds
        return self._options

    def end(self) -> float:
        """How many seconds that call took."""
        self._due = None
        return time.monotonic() - self._began

    def _start(self) -> None:
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._stop_the_overdue, name="terminator", daemon=True)
                self._thread.start()

    def _stop_the_overdue(self) -> None:
        pause = threading.Event()
        while not pause.wait(TICK):
            now = time.monotonic()
            if (due := self._due) is not None and due <= now:
                self._options.terminate = True
            with self._lock:
                for due, options in self._running.values():
                    if due <= now:
                        options.terminate = True
