"""The background work of a server process: it loads live versions, sweeps, and ends hosts that are not needed."""

import logging
import threading
from collections.abc import Callable, Sequence

from model_store.errors import StoreError
from wsgi_service.serving.revision import Revision
from wsgi_service.serving.warming import Warming

log = logging.getLogger(__name__)

#: Seconds between two sweeps.
SWEEP_PAUSE = 3600.0
#: Seconds between two looks at whether model hosts are needed.
LOOK_PAUSE = 30.0


class Background:
    """The work of a process that nobody waits for.

    Args:
        warming: loads what is live.
        revision: of the registry, which tells those who remember it when to forget.
        sweeps: what is done at the start and then every hour; another process does it if there are none.
        draining: set when the server is being stopped.
        rest: lets the model hosts go if they are not needed.
    """

    def __init__(
        self,
        warming: Warming,
        revision: Revision,
        sweeps: Sequence[Callable[[], None]],
        draining: threading.Event,
        rest: Callable[[], None],
    ) -> None:
        self.warming = warming
        self._revision = revision
        self._sweeps = sweeps
        self.draining = draining
        self._rest = rest

    def start(self) -> None:
        """Begin; returns at once."""
        self.warming.start()
        threading.Thread(target=self._look, name="rest", daemon=True).start()
        if self._sweeps:
            threading.Thread(target=self._sweep, name="sweep", daemon=True).start()

    def forget(self) -> None:
        """Look at the registry afresh, since another process has changed something."""
        self._revision.forget()

    def _look(self) -> None:
        while not self.draining.wait(LOOK_PAUSE):
            try:
                self._rest()
            except StoreError as error:
                log.warning("it is not known whether model hosts are needed: %s", error)

    def _sweep(self) -> None:
        """Now what earlier crashes left; later what could not be deleted because somebody was reading it."""
        while True:
            for sweep in self._sweeps:
                try:
                    sweep()
                except (StoreError, OSError) as error:
                    log.warning("the data folder was not swept: %s", error)
            if self.draining.wait(SWEEP_PAUSE):
                return
