"""`wsgi_service.wsgi:application` for gunicorn, mod_wsgi and uWSGI, set up from environment variables alone.

Each worker process has its own model hosts. They start with the first request, because servers that fork load this
module before they do.
"""

import atexit
import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING

from wsgi_service import settings
from wsgi_service.app import Application, create_app

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

_lock = threading.Lock()
_started: list[Application] = []


def application(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
    """The WSGI interface (PEP 3333)."""
    return _application()(environ, start_response)


def _application() -> Application:
    with _lock:
        if not _started:
            app = create_app(settings.environment())
            app.start()
            atexit.register(app.close)
            _started.append(app)
        return _started[0]
