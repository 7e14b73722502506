"""Notes when the thread that reads has not looked after its connections for too long, and says what held it up."""

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from model_store.entities import Version

log = logging.getLogger(__name__)

#: Seconds that one turn of the thread may take, and between two looks at it.
LATE, LOOK = 0.25, 0.1


class Watchdog:
    """Watches one thread, which says what it does.

    Args:
        note: is called once for each turn that takes too long.
    """

    def __init__(self, note: Callable[[], None]) -> None:
        self._note = note
        #: When the turn began, None while nothing is to be done; and of the last one that took too long.
        self._since: float | None = None
        self._noted: float | None = None
        self._request: Any = None
        self._version: Version | None = None
        self._over = threading.Event()

    def start(self) -> None:
        """Begin to look; returns at once."""
        threading.Thread(target=self._look, name="watchdog", daemon=True).start()

    def stop(self) -> None:
        """Look no more."""
        self._over.set()

    def begins(self) -> None:
        """The thread has something to do."""
        if self._since is None:
            self._since = time.monotonic()

    def takes(self, request: Any) -> None:
        """It answers a request."""
        self._request, self._version = request, None

    def about(self, version: Version) -> None:
        """The request is for a version."""
        self._version = version

    def rests(self) -> None:
        """The turn is over."""
        since, self._since = self._since, None
        if since is not None:
            self._check(since)
        self._request = self._version = None

    def _look(self) -> None:
        while not self._over.wait(LOOK):
            if (since := self._since) is not None:
                self._check(since)

    def _check(self, since: float) -> None:
        seconds = time.monotonic() - since
        if seconds > LATE and since != self._noted:
            self._noted = since
            self._note()
            log.warning("nobody has looked after the connections for %.2f s: %s", seconds, self._doing())

    def _doing(self) -> str:
        """What is being done, without anything that was sent but the address."""
        request, version = self._request, self._version
        if request is None:
            return "no request was being answered"
        line = f"{request.command} {request.path!r}"
        return f"{line} for {version.model} version {version.version}" if version else line
