"""The places of a version: how many requests for it may be inside, so that it does not take all threads."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from wsgi_service.errors import TOO_MANY, Busy


class Places:
    """Counts the requests that are inside, by the digest of their version.

    Args:
        most: for one version.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._inside: Counter[str] = Counter()
        self._lock = threading.Lock()

    @property
    def taken(self) -> int:
        """How many requests are inside."""
        return sum(self._inside.values())

    def full(self, digest: str) -> bool:
        """Whether all places of a version are taken."""
        return self._inside.get(digest, 0) >= self.most

    @contextmanager
    def one(self, digest: str) -> Iterator[None]:
        """A place for a while. Raises Busy."""
        with self._lock:
            if self.full(digest):
                raise Busy(TOO_MANY)
            self._inside[digest] += 1
        try:
            yield
        finally:
            with self._lock:
                self._inside[digest] -= 1
                if not self._inside[digest]:
                    del self._inside[digest]
