"""What this is, whether it lives, and whether it is ready for requests."""

from collections.abc import Callable

from werkzeug.wrappers import Request, Response

from model_store.errors import StorageError
from model_store.registry import Registry
from wsgi_service import __version__
from wsgi_service.responses import json_response
from wsgi_service.serving.hosts import HostPool


class System:
    """The server itself.

    Args:
        registry: must be writable for the server to be ready.
        pool: must have a host up.
        draining: says whether the server is being stopped.
    """

    def __init__(self, registry: Registry, pool: HostPool, draining: Callable[[], bool]) -> None:
        self._registry = registry
        self._pool = pool
        self._draining = draining

    def index(self, _request: Request) -> Response:
        """Say what this is and where things are."""
        links = {
            "models": "/models",
            "predict": "/predict",
            "health": "/healthz",
            "readiness": "/readyz",
        }
        return json_response({"name": "wsgi-service", "version": __version__, "links": links})

    def live(self, _request: Request) -> Response:
        """Say that the process lives."""
        return json_response({"status": "ok"})

    def ready(self, _request: Request) -> Response:
        """Say whether requests can be served now, and if not, what is missing."""
        checks = {
            "database": self._database_writable(),
            "hosts": self._pool.ready,
            "accepting": not self._draining(),
        }
        ready = all(checks.values())
        said = {"status": "ready" if ready else "not ready", "checks": checks}
        return json_response(said, 200 if ready else 503, None if ready else {"Retry-After": "1"})

    def _database_writable(self) -> bool:
        try:
            self._registry.probe()
        except StorageError:
            return False
        return True
