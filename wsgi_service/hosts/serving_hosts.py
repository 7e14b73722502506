"""The hosts that serve, and the requests that wait for one. The caller holds the lock of the pool."""

import threading
from collections import Counter
from typing import NamedTuple

from wsgi_service.errors import TOO_MANY, Busy
from wsgi_service.hosts.process import Host


class Figures(NamedTuple):
    """How the hosts are.

    Attributes:
        serving, idle: that serve, and how many of them have nothing to do.
        waiting: requests that wait for one.
        ended: that crashed, or were ended because of what they did.
        models, model_bytes: that are loaded, counted in each host, and the memory that was measured for them.
    """

    serving: int
    idle: int
    waiting: int
    ended: int
    models: int
    model_bytes: int


class Waiter:
    """A request that waits for a serving host for a version.

    Attributes:
        key: of the version.
        host: that was given to them.
        called: set when there is one, or none will come.
    """

    def __init__(self, key: str) -> None:
        self.key = key
        self.host: Host | None = None
        self.called = threading.Event()


class ServingHosts:
    """Gives hosts to those who wait, in their order, but never the last one to a version that holds others.

    Args:
        size: how many may serve.
        most_waiting: requests that may wait for one version.

    Attributes:
        all: hosts that serve.
        idle: those of them that have nothing to do.
        waiters: who waits, the first one first.
    """

    def __init__(self, size: int, most_waiting: int) -> None:
        self.all: set[Host] = set()
        self.idle: list[Host] = []
        self.waiters: list[Waiter] = []
        self._size = size
        self._most_waiting = most_waiting
        self._busy_with: Counter[str] = Counter()
        self._waiting_for: Counter[str] = Counter()

    def add(self, host: Host) -> None:
        """A host serves from now on."""
        self.all.add(host)
        self.idle.append(host)

    def enter(self, key: str) -> Waiter:
        """Begin to wait. Raises Busy."""
        if self._waiting_for[key] >= self._most_waiting:
            raise Busy(TOO_MANY)
        self._waiting_for[key] += 1
        waiter = Waiter(key)
        self.waiters.append(waiter)
        return waiter

    def leave(self, waiter: Waiter) -> Host | None:
        """Wait no longer; the host that was given meanwhile."""
        _decrease(self._waiting_for, waiter.key)
        if waiter.host is None:
            self.waiters.remove(waiter)
        return waiter.host

    def release(self, key: str, host: Host) -> None:
        """A host is not used for a version any more."""
        _decrease(self._busy_with, key)
        if host.alive:
            self.idle.append(host)

    def hand_out(self) -> None:
        """Give idle hosts to those who wait, and wake nobody else; best one that has loaded their version."""
        for waiter in list(self.waiters) if self.idle else ():
            if self.idle and self._may_have_one(waiter.key):
                host = next((host for host in self.idle if waiter.key in host.loaded), self.idle[0])
                self.idle.remove(host)
                self._busy_with[waiter.key] += 1
                self.waiters.remove(waiter)
                waiter.host = host
                waiter.called.set()

    def needed(self, fewest: int) -> int:
        """How many hosts there is work for, but at least `fewest`."""
        waiting = sum(self._may_have_one(waiter.key) for waiter in self.waiters)
        return max(fewest, min(self._size, len(self.all) - len(self.idle) + waiting))

    def _may_have_one(self, key: str) -> bool:
        """Whether a version may have one more host; those that may still be started count as free."""
        free = len(self.idle) + self._size - len(self.all)
        return not self._busy_with[key] or free > 1


def _decrease(counter: Counter[str], key: str) -> None:
    counter[key] -= 1
    if not counter[key]:
        del counter[key]
