"""A span of OpenTelemetry for each request (`[opentelemetry]` extra), sent where its OTEL_* variables say.

Names and attributes are those of the semantic conventions for HTTP servers
(https://opentelemetry.io/docs/specs/semconv/http/http-spans/).
"""

import os
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from model_store.errors import MissingExtra
from wsgi_service.http.requests import ACTOR, REQUEST_ID, ROUTE

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

SERVICE = "wsgi-service"
#: Where a request that is tried a second time has its span.
SPAN = "wsgi_service.span"
FAILED = 500
MISSING = 'Traces need OpenTelemetry. Install it: pip install "wsgi-service[opentelemetry]"'


class Spans:
    """Puts a span around each request, in the trace that `traceparent` names or in one of its own.

    Args:
        app: the application inside.
        provider: makes the spans, and sends them.
    """

    def __init__(self, app: "WSGIApplication", provider: Any) -> None:
        from opentelemetry.trace import SpanKind, Status, StatusCode
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._app = app
        self._provider = provider
        self._tracer = provider.get_tracer("wsgi_service")
        self._propagator = TraceContextTextMapPropagator()
        self._kind = SpanKind.SERVER
        self._error = Status(StatusCode.ERROR)

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """The WSGI interface (PEP 3333)."""
        span = environ.get(SPAN)
        if span is None:
            span = environ[SPAN] = self._begin(environ)

        def start(status: str, headers: list[tuple[str, str]], *exc_info: Any) -> Callable[[bytes], object]:
            self._end(span, environ, int(status[:3]))
            return start_response(status, headers, *exc_info)

        return self._app(environ, start)

    def close(self) -> None:
        """Send what has not been sent."""
        self._provider.shutdown()

    def _begin(self, environ: "WSGIEnvironment") -> Any:
        given = {name: environ.get(f"HTTP_{name.upper()}", "") for name in ("traceparent", "tracestate")}
        attributes = {
            "http.request.method": environ["REQUEST_METHOD"],
            "url.path": environ.get("PATH_INFO", ""),
            "url.scheme": environ["wsgi.url_scheme"],
            "client.address": environ.get("REMOTE_ADDR", ""),
            "wsgi_service.request_id": environ.get(REQUEST_ID, ""),
        }
        context = self._propagator.extract(given)
        span = self._tracer.start_span(environ["REQUEST_METHOD"], context, self._kind, attributes)
        known = span.get_span_context()
        # So that the logs have the trace, whoever began it.
        environ["HTTP_TRACEPARENT"] = f"00-{known.trace_id:032x}-{known.span_id:016x}-{known.trace_flags:02x}"
        return span

    def _end(self, span: Any, environ: "WSGIEnvironment", status: int) -> None:
        span.set_attribute("http.response.status_code", status)
        if route := environ.get(ROUTE):
            span.set_attribute("http.route", route)
            span.update_name(f"{environ['REQUEST_METHOD']} {route}")
        if actor := environ.get(ACTOR):
            span.set_attribute("enduser.id", actor)
        if status >= FAILED:
            span.set_status(self._error)
        span.end()


def traced(app: "WSGIApplication") -> Spans:
    """The application with spans that are sent by OTLP over HTTP. Raises MissingExtra."""
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        raise MissingExtra(MISSING, extra="opentelemetry") from None
    named = {} if os.environ.get("OTEL_SERVICE_NAME") else {"service.name": SERVICE}
    provider = TracerProvider(resource=Resource.create(named))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return Spans(app, provider)
