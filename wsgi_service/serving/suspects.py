"""Versions that took a model host down: they are served apart for a while, and it is written down."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from model_store.entities import Attribution, Patience, Version
from model_store.errors import ArtifactCorrupt, StorageError
from model_store.registry import Registry
from wsgi_service.errors import Busy, DeadlineExceeded, ModelCrashed, OutOfMemory
from wsgi_service.hosts.pool import HostPool
from wsgi_service.serving.recent import Recent

log = logging.getLogger(__name__)


class Suspects:
    """Knows which versions are suspected of taking hosts down.

    Args:
        pool: the hosts.
        registry: where crashes and damage are noted.
        patience: how many crashes put a version in quarantine, and for how long it is suspected.
        distrust: is told the digest of each version that becomes a suspect.
    """

    def __init__(
        self, pool: HostPool, registry: Registry, patience: Patience, distrust: Callable[[str], None]
    ) -> None:
        self._pool = pool
        self._registry = registry
        self._patience = patience
        self._distrust = distrust
        #: Digest -> when it stops to be suspected.
        self._until: Recent[str, float] = Recent()

    def has(self, version: Version) -> bool:
        """Whether a version is suspected."""
        return self._until.get(version.digest, 0.0) > time.monotonic()

    @contextmanager
    def noting(
        self, version: Version, by: Attribution, alone: Callable[[], bool] = lambda: True
    ) -> Iterator[None]:
        """A host is called inside; what happens to it or to the bytes is written down.

        Args:
            version: that is called.
            by: who asks.
            alone: whether it was called for this one request. A joined call makes a suspect, but it is the call
                alone that shows whose fault it was.

        Raises:
            Busy: the host ended because the server is being stopped.
        """
        try:
            yield
        except (ModelCrashed, DeadlineExceeded, OutOfMemory) as error:
            if self._pool.closing:
                raise Busy("The server is being stopped.") from None
            if not isinstance(error, OutOfMemory) or error.fatal:
                self._suspect(version, error)
                if alone():
                    self._note(version, error, by)
            raise
        except ArtifactCorrupt:
            self._registry.note_damage(version, by)
            raise

    def _suspect(self, version: Version, error: Exception) -> None:
        log.error("%s version %d: %s", version.model, version.version, error)
        self._until.put(version.digest, time.monotonic() + self._patience.seconds)
        self._distrust(version.digest)

    def _note(self, version: Version, error: Exception, by: Attribution) -> None:
        try:
            self._registry.note_crash(version, type(error).__name__, self._patience, by)
        except StorageError:  # the request has its answer without the note
            log.exception("the crash could not be noted")
