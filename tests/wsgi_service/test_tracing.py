"""Each request is a span in the trace that it names, and arrives where OTEL_* variables say."""

import sys
import threading
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from conftest import PATIENCE, LiveServer
from running import until

from model_store.errors import MissingExtra
from wsgi_service.http.requests import ROUTE
from wsgi_service.monitoring import tracing
from wsgi_service.monitoring.tracing import SERVICE, Spans

pytestmark = pytest.mark.extras

pytest.importorskip("opentelemetry.sdk")

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE}-00f067aa0ba902b7-01"


@pytest.fixture
def finished() -> Iterator[tuple[Any, Any]]:
    """A provider of spans, and what keeps those that have ended."""
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    kept, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    yield provider, kept
    provider.shutdown()


def ask(spans: Spans, **environ: str) -> dict[str, Any]:
    whole = {"REQUEST_METHOD": "POST", "PATH_INFO": "/predict", "wsgi.url_scheme": "http", **environ}
    spans(whole, lambda *_: lambda _data: None)  # type: ignore[arg-type]
    return whole


def answering(status: str, **left: str) -> Any:
    def app(environ: Any, start_response: Any) -> list[bytes]:
        environ.update(left)
        start_response(status, [])
        return []

    return app


def test_a_span_goes_on_with_the_trace_of_its_request(finished: Any) -> None:
    provider, kept = finished
    ask(Spans(answering("200 OK", **{ROUTE: "/predict"}), provider), HTTP_TRACEPARENT=PARENT)
    (span,) = kept.get_finished_spans()
    assert f"{span.context.trace_id:032x}" == TRACE
    assert f"{span.parent.span_id:016x}" == "00f067aa0ba902b7"
    assert span.name == "POST /predict"
    assert span.attributes["http.response.status_code"] == 200
    assert span.status.is_ok


def test_a_request_without_a_trace_begins_one_that_the_logs_know(finished: Any) -> None:
    provider, kept = finished
    environ = ask(Spans(answering("503 SERVICE UNAVAILABLE"), provider), HTTP_TRACEPARENT="nonsense")
    (span,) = kept.get_finished_spans()
    assert environ["HTTP_TRACEPARENT"].split("-")[1] == f"{span.context.trace_id:032x}"
    assert span.parent is None
    assert not span.status.is_ok


def test_a_request_that_is_tried_again_is_one_span(finished: Any) -> None:
    provider, kept = finished
    spans = Spans(lambda _environ, _start: [], provider)  # put off: nothing was answered
    environ = ask(spans)
    spans._app = answering("200 OK")
    spans(environ, lambda *_: lambda _data: None)  # type: ignore[arg-type]
    assert len(kept.get_finished_spans()) == 1


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(MissingExtra, match=r"wsgi-service\[opentelemetry\]"):
        tracing.traced(answering("200 OK"))


# A collector


class Collector(HTTPServer):
    """Takes what is exported, as OTLP over HTTP has it."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.spans: list[tuple[str, str, bytes]] = []


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

        request = ExportTraceServiceRequest()
        request.ParseFromString(self.rfile.read(int(self.headers["Content-Length"])))
        for group in request.resource_spans:
            named = {one.key: one.value.string_value for one in group.resource.attributes}
            spans = [span for scope in group.scope_spans for span in scope.spans]
            self.server.spans += [(named["service.name"], span.name, span.trace_id) for span in spans]  # type: ignore[attr-defined]
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Nothing is said."""


@pytest.fixture
def collector() -> Iterator[Collector]:
    server = Collector()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.live
def test_the_real_server_sends_its_spans_to_a_collector(start_server: Any, collector: Collector) -> None:
    server: LiveServer = start_server(
        "--opentelemetry", "--acceleration", "off",
        OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{collector.server_port}", OTEL_BSP_SCHEDULE_DELAY="50",
    )  # fmt: skip
    request = urllib.request.Request(f"{server.url}/models", headers={"traceparent": PARENT})
    urllib.request.urlopen(request, timeout=PATIENCE).close()
    until(lambda: collector.spans)
    assert collector.spans == [(SERVICE, "GET /models", bytes.fromhex(TRACE))]
    assert server.wait_for_log("/models", f"trace={TRACE}")
