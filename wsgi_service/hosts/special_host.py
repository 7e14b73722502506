"""A host apart from those that serve: for uploads, which are not trusted, or for versions that crashed."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum

from wsgi_service.errors import Busy
from wsgi_service.hosts.process import Host


class Role(Enum):
    """What a host does that does not serve, and the message for requests that find it busy."""

    JUDGE = "Other uploads are being checked."
    SUSPECTS = "This version crashed lately and is served apart, where others wait already."
    READER = "Other Parquet and Arrow tables are being read."
    CONVERTER = "Other versions are being converted."


class SpecialHost:
    """The place of one such host, and the queue before it.

    Args:
        role: of the host.
        most_waiting: how many may wait for it; further ones are refused at once.
    """

    def __init__(self, role: Role, most_waiting: int) -> None:
        self.host: Host | None = None
        self._busy = f"{role.value} Try again in a moment."
        self._most_waiting = most_waiting
        self._turn = threading.Lock()
        self._counting = threading.Lock()
        self._waiting = 0

    @contextmanager
    def turn(self, limit: float) -> Iterator[None]:
        """Be the only one to use the host for a while. Raises Busy."""
        self._wait(limit)
        try:
            yield
        finally:
            self._turn.release()

    @contextmanager
    def unused(self) -> Iterator[bool]:
        """Be the only one to use the host if nobody does, and whether that is so; without waiting."""
        mine = self._turn.acquire(blocking=False)
        try:
            yield mine
        finally:
            if mine:
                self._turn.release()

    def _wait(self, limit: float) -> None:
        with self._counting:
            if self._waiting >= self._most_waiting:
                raise Busy(self._busy)
            self._waiting += 1
        try:
            if not self._turn.acquire(timeout=limit):
                raise Busy(self._busy)
        finally:
            with self._counting:
                self._waiting -= 1
