"""Whether what is remembered of the registry is still true: its revision, which is looked at every so often.

A change made through this process counts at once, one made by another process on the same registry within `POLL`
seconds.
"""

import logging
import threading
import time

from model_store.errors import StorageError
from model_store.registry import Registry
from wsgi_service.at_once import elsewhere, must_not_wait

log = logging.getLogger(__name__)

POLL = 0.1
#: Parts of that after which another thread looks for one that must not wait, and after which that was in vain.
EARLY, LATE = 0.5, 2.0


class Revision:
    """Tells those who remember something of the registry when to forget it.

    Args:
        registry: the truth.
        poll: seconds after which the registry's revision is looked at again.
    """

    def __init__(self, registry: Registry, poll: float = POLL) -> None:
        self._registry = registry
        self._poll = poll
        self._generation = 0
        self._revision = -1
        self._looked = float("-inf")
        self._lock = threading.Lock()
        self._due = threading.Event()
        self._refresher: threading.Thread | None = None
        registry.subscribe(self.forget)

    def generation(self) -> int:
        """A number; what was read from the registry while it was another one is to be read anew.

        Raises StorageError if the registry never could be asked.
        """
        age = time.monotonic() - self._looked
        if must_not_wait():
            self._have_refreshed(age)
        elif age >= self._poll and self._lock.acquire(blocking=False):
            self._look()
        return self._generation

    def forget(self) -> None:
        """Have everything read anew from now on."""
        with self._lock:
            self._generation += 1
            self._revision = -1
            self._looked = float("-inf")

    def _have_refreshed(self, age: float) -> None:
        """Let another thread look in time, so that this one need not; if that one is late, raises Elsewhere."""
        if age >= self._poll * LATE:
            elsewhere(lasting=False)
        if age >= self._poll * EARLY:
            self._due.set()
            if self._refresher is None:
                self._refresher = threading.Thread(target=self._keep_fresh, name="revision", daemon=True)
                self._refresher.start()

    def _keep_fresh(self) -> None:
        while self._due.wait():
            self._due.clear()
            if time.monotonic() - self._looked >= self._poll * EARLY and self._lock.acquire(blocking=False):
                try:
                    self._look()
                except StorageError as error:  # whoever asks next is told
                    log.warning("the registry cannot be asked: %s", error)

    def _look(self) -> None:
        """Look at the revision; the lock is held, and let go."""
        try:
            revision = self._current()
            if revision != self._revision:
                self._generation += 1
                self._revision = revision
            self._looked = time.monotonic()
        finally:
            self._lock.release()

    def _current(self) -> int:
        """The registry's revision; the one that is known if the registry cannot be asked at the moment."""
        try:
            return self._registry.revision()
        except StorageError as error:
            if self._revision < 0:
                raise
            log.warning("predicts go on with what is in memory: %s", error)
            return self._revision
