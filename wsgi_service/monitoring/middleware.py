"""What is done around every request: its id, one line in the access log, that it is counted, and `nosniff`."""

import logging
import os
import re
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from wsgi_service.http.requests import ACTOR, BEGAN, REQUEST_ID, ROUTE, trace_of
from wsgi_service.http.responses import NOSNIFF
from wsgi_service.monitoring.metrics import BEYOND, Metrics

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

log = logging.getLogger("wsgi_service.access")

#: Of RFC 9110 and RFC 5789; others are counted together.
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"})
WELL_FORMED = re.compile(r"[A-Za-z0-9._-]{1,128}")
#: What a log line may show of an address; the rest could forge lines or colour a terminal.
LINE = '%(client)s %(actor)s "%(method)s %(path)s" %(status)s %(milliseconds)sms %(request_id)s'
UNPRINTABLE = re.compile(r"[^\x21-\x7e]")


class Traced:
    """Gives each request an id, its own if that is well-formed, logs how it was answered, and counts it.

    Args:
        app: the application inside.
        metrics: count what was answered.
    """

    def __init__(self, app: "WSGIApplication", metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """The WSGI interface (PEP 3333)."""
        began = environ.setdefault(BEGAN, time.perf_counter())
        request_id = environ.get(REQUEST_ID)
        if request_id is None:
            request_id = environ[REQUEST_ID] = _request_id(environ.get("HTTP_X_REQUEST_ID", ""))

        def start(status: str, headers: list[tuple[str, str]], *exc_info: Any) -> Callable[[bytes], object]:
            seconds = time.perf_counter() - began
            _log(environ, status, seconds)
            method = environ["REQUEST_METHOD"]
            self._metrics.answered(
                method if method in METHODS else BEYOND, environ.get(ROUTE, BEYOND), status[:3], seconds
            )
            return start_response(status, [*headers, NOSNIFF, ("X-Request-Id", request_id)], *exc_info)

        return self._app(environ, start)


def _request_id(given: str) -> str:
    return given if WELL_FORMED.fullmatch(given) else os.urandom(16).hex()


def _log(environ: "WSGIEnvironment", status: str, seconds: float) -> None:
    if log.isEnabledFor(logging.INFO):
        fields = {
            "client": environ.get("REMOTE_ADDR", "-"),
            "actor": environ.get(ACTOR, "-"),
            "method": environ["REQUEST_METHOD"],
            "path": UNPRINTABLE.sub("?", environ.get("PATH_INFO", ""))[:200],
            "status": int(status[:3]),
            "milliseconds": round(seconds * 1000, 1),
            "request_id": environ[REQUEST_ID],
        }
        trace = trace_of(environ.get("HTTP_TRACEPARENT", ""))
        if trace:
            fields["trace_id"] = trace
        log.info(LINE + (" trace=%(trace_id)s" if trace else ""), fields, extra={"fields": fields})
