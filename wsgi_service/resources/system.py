"""What this is, whether it lives, and whether it is ready for requests."""

import threading
import time
from collections.abc import Callable

from werkzeug.wrappers import Request, Response

from model_store.artifacts.local import Artifacts
from model_store.errors import StorageError
from model_store.registry import Registry
from wsgi_service import __version__
from wsgi_service.hosts.pool import HostPool
from wsgi_service.http.representations import Health, Index, Readiness
from wsgi_service.http.responses import json_response
from wsgi_service.openapi.operations import operation

#: Seconds for which it is believed that bytes can be stored, or cannot.
PROBE_AGE = 1.0


class System:
    """The server itself.

    Args:
        registry: must be writable for the server to be ready.
        artifacts: must be writable as well.
        pool: must have a host up.
        warm: says whether what is live was loaded, as far as it can be.
        draining: says whether the server is being stopped.
    """

    def __init__(
        self,
        registry: Registry,
        artifacts: Artifacts,
        pool: HostPool,
        warm: Callable[[], bool],
        draining: Callable[[], bool],
    ) -> None:
        self._registry = registry
        self._artifacts = artifacts
        self._lock = threading.Lock()
        self._probed = float("-inf")
        self._writable = False
        self._pool = pool
        self._warm = warm
        self._draining = draining

    def index(self, _request: Request) -> Response:
        """Say what this is and where things are."""
        links = {
            "models": "/models",
            "predict": "/predict",
            "health": "/healthz",
            "readiness": "/readyz",
        }
        return json_response(Index("wsgi-service", __version__, links))

    @operation(Health, polled=True)
    def live(self, _request: Request) -> Response:
        """Say that the process lives."""
        return json_response(Health())

    @operation({200: Readiness, 503: Readiness}, polled=True)
    def ready(self, _request: Request) -> Response:
        """Say whether requests can be served now, and if not, what is missing."""
        checks = {
            "database": self._works(self._registry.probe),
            "storage": self._storage_writable(),
            "hosts": self._pool.ready,
            "models": self._warm(),
            "accepting": not self._draining(),
        }
        ready = all(checks.values())
        said = Readiness("ready" if ready else "not ready", checks)
        return json_response(said, 200 if ready else 503, None if ready else {"Retry-After": "1"})

    def _storage_writable(self) -> bool:
        """Whether bytes can be stored; found out once a second at most, since it costs a write."""
        with self._lock:
            if time.monotonic() - self._probed > PROBE_AGE:
                self._writable = self._works(self._artifacts.probe)
                self._probed = time.monotonic()
            return self._writable

    def _works(self, probe: Callable[[], None]) -> bool:
        try:
            probe()
        except StorageError:
            return False
        return True
