"""Loads what is `live` when the server starts, so that the first request for it need not wait for that.

Programs come first: they answer before the model hosts are up.
"""

import logging
import threading
from collections.abc import Callable, Iterator
from itertools import islice

from model_store.entities import LIVE, Attribution, Version
from model_store.errors import NotFound, StoreError
from model_store.registry import Registry
from wsgi_service.errors import Busy, ServingError

log = logging.getLogger(__name__)

#: Versions that are loaded; a host keeps about as many.
MOST = 50
PAGE = 100
SERVER = Attribution("server", "start")


class Warming:
    """Has the live versions loaded, in a thread of its own.

    Args:
        registry: says what is live.
        prepare: has a version's program ready in this process, if it has one.
        load: loads a version into a host; raises StoreError or ServingError.
        stopped: whether the server is being stopped.
        then: is called when that is done.
    """

    def __init__(
        self,
        registry: Registry,
        prepare: Callable[[Version], None],
        load: Callable[[Version, Attribution], None],
        stopped: Callable[[], bool],
        then: Callable[[], None] | None = None,
    ) -> None:
        self._registry = registry
        self._prepare = prepare
        self._load = load
        self._stopped = stopped
        self._then = then
        self._thread: threading.Thread | None = None

    @property
    def done(self) -> bool:
        """Whether nothing is being loaded at the moment."""
        return self._thread is None or not self._thread.is_alive()

    def start(self) -> None:
        """Begin to load; returns at once."""
        self._thread = threading.Thread(target=self.run, name="warming", daemon=True)
        self._thread.start()

    def run(self) -> None:
        """Load what is live, the first models by name if there are many. What cannot be loaded is left out."""
        try:
            for step in (self._prepare, self._warm):
                for version in islice(live_versions(self._registry), MOST):
                    if self._stopped():
                        return
                    step(version)
            if self._then is not None:
                self._then()
        except (Busy, StoreError) as error:  # no host, or no registry: whoever asks will be told
            log.warning("live versions were not loaded beforehand: %s", error)

    def _warm(self, version: Version) -> None:
        try:
            self._load(version, SERVER)
        except Busy:
            raise
        except (StoreError, ServingError) as error:
            log.warning("%s version %d was not loaded: %s", version.model, version.version, error)


def live_versions(registry: Registry) -> Iterator[Version]:
    """The versions to which an alias `live` points, by the names of their models."""
    for name in _names(registry):
        try:
            yield registry.version(name, registry.alias(name, LIVE).version)
        except NotFound:  # it has no live version, or not any more
            continue


def every_version(registry: Registry) -> Iterator[Version]:
    """All versions, by the names of their models."""
    for name in _names(registry):
        try:
            yield from registry.versions(name)
        except NotFound:  # it was deleted meanwhile
            continue


def _names(registry: Registry) -> Iterator[str]:
    models = registry.models(PAGE)
    while models:
        yield from (model.name for model in models)
        models = registry.models(PAGE, after=models[-1].name)
