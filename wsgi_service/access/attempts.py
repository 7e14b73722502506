"""Whoever tries tokens that are none has to wait longer and longer, address by address."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable

from msgspec import Struct

from wsgi_service.http.problems import Problem

#: Attempts that fail before an address has to wait, and for how many seconds it has to at first and at the most.
FREE, SHORTEST, LONGEST = 10, 1.0, 60.0
#: Seconds without an attempt after which nothing is held against an address.
FORGIVEN = 600.0
#: Addresses that are remembered; who failed longest ago is forgotten first.
MOST_REMEMBERED = 10_000


class _Failures(Struct):
    count: int = 0
    last: float = 0.0

    def until(self) -> float:
        """When the next attempt may be made."""
        if self.count < FREE:
            return 0.0
        return self.last + min(SHORTEST * 2.0 ** min(self.count - FREE, 16), LONGEST)


class Attempts:
    """Counts failed attempts by address.

    Args:
        clock: seconds that only grow.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures: OrderedDict[str, _Failures] = OrderedDict()
        self._lock = threading.Lock()

    def check(self, address: str) -> None:
        """Raises a 429 Problem for an address that has to wait; what it sent is not looked at."""
        failures = self._failures.get(address)
        if failures is None:
            return
        rest = failures.until() - self._clock()
        if rest > 0:
            raise Problem(
                429,
                "too-many-attempts",
                "Too many tokens from this address were none of this server's. Try again later.",
                {"Retry-After": str(int(rest) + 1)},
            )

    def failed(self, address: str) -> None:
        """Note an attempt that was none of the server's tokens."""
        now = self._clock()
        with self._lock:
            failures = self._failures.pop(address, None)
            if failures is None or now - failures.last > FORGIVEN:
                failures = _Failures()
            failures.count, failures.last = failures.count + 1, now
            self._failures[address] = failures
            if len(self._failures) > MOST_REMEMBERED:
                self._failures.popitem(last=False)

    def succeeded(self, address: str) -> None:
        """Hold nothing against an address any more."""
        if address in self._failures:
            with self._lock:
                self._failures.pop(address, None)
