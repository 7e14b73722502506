"""What a server process does besides answering: it loads what is live, sweeps, and hears of others' changes."""

import logging
import threading

from model_store.catalog import Catalog
from model_store.errors import StoreError
from wsgi_service.serving.revision import Revision
from wsgi_service.serving.warming import Warming

log = logging.getLogger(__name__)

#: Seconds between two sweeps.
SWEEP_PAUSE = 3600.0


class Background:
    """The work of a process that nobody waits for.

    Args:
        warming: loads what is live.
        revision: of the registry, which tells those who remember it when to forget.
        catalog: what is swept; another process does it if None.
        draining: set when the server is being stopped.
    """

    def __init__(
        self, warming: Warming, revision: Revision, catalog: Catalog | None, draining: threading.Event
    ) -> None:
        self.warming = warming
        self._revision = revision
        self._catalog = catalog
        self.draining = draining

    def start(self) -> None:
        """Begin; returns at once."""
        self.warming.start()
        if self._catalog is not None:
            threading.Thread(target=self._sweep, args=(self._catalog,), name="sweep", daemon=True).start()

    def forget(self) -> None:
        """Look at the registry afresh, since another process has changed something."""
        self._revision.forget()

    def _sweep(self, catalog: Catalog) -> None:
        """Now what earlier crashes left; later what could not be deleted because somebody was reading it."""
        while True:
            try:
                catalog.sweep()
            except (StoreError, OSError) as error:
                log.warning("the data folder was not swept: %s", error)
            if self.draining.wait(SWEEP_PAUSE):
                return
