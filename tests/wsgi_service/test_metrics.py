"""What is counted and timed is what happened, under few enough names, and adds up over processes."""

import json
import re
import socket
from pathlib import Path
from typing import Any

import models
import pytest
from conftest import PATIENCE, StrictClient
from prometheus_client.parser import text_string_to_metric_families
from running import Running

from model_store.entities import Attribution
from model_store.errors import StorageError
from wsgi_service.app import Application
from wsgi_service.hosts.pool import HostPool
from wsgi_service.monitoring import metrics
from wsgi_service.monitoring.metrics import Metrics, gauge

ROOT = Path(__file__).parent.parent.parent
ROW = {"instances": [[1.0]]}
BY = Attribution("ann", "request-1")


def samples(text: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Name and labels -> value, as Prometheus' own parser reads them."""
    families = text_string_to_metric_families(text)
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


def of(client: StrictClient) -> Any:
    """Gives the value of a sample now, None if there is none."""
    answer = client.get("/metrics")
    assert answer.status_code == 200
    assert answer.content_type == metrics.CONTENT_TYPE
    found = samples(answer.get_data(as_text=True))
    return lambda name, **labels: found.get((f"wsgi_service_{name}", frozenset(labels.items())))


def test_requests_are_counted_by_what_the_map_calls_their_address(client: StrictClient) -> None:
    client.put_model("line", models.line())
    for _ in range(3):
        client.post("/models/line/predict", json=ROW)
    client.post("/models/line/predict", json={"instances": "wrong"})
    client.get("/models/nobody")
    client.get("/nowhere/" + "x" * 50)
    client.open("/models", method="TRACE")
    value = of(client)
    predict = "/models/{model}/predict"
    assert value("requests_total", method="POST", route=predict, status="200") == 3
    assert value("requests_total", method="POST", route=predict, status="422") == 1
    assert value("request_seconds_count", route=predict) == 4
    assert value("requests_total", method="GET", route="/models/{model}", status="404") == 1
    assert value("requests_total", method="GET", route="other", status="404") == 1
    assert value("requests_total", method="other", route="other", status="405") == 1


def test_predicts_are_timed_by_model_version_and_engine(client: StrictClient) -> None:
    client.put_model("line", models.line())
    client.put_model("line", models.line(), 2)
    for version in (1, 2, 2):
        client.post(f"/models/line/versions/{version}/predict", json=ROW)
    value = of(client)
    assert value("predict_seconds_count", model="line", version="1", engine="native") == 1
    assert value("predict_seconds_count", model="line", version="2", engine="native") == 2
    assert 0 < value("predict_seconds_sum", model="line", version="2", engine="native") < PATIENCE
    assert value("joined_requests_count") == 3
    assert value("joined_rows_sum") == 3


@pytest.mark.system
def test_hosts_memory_and_the_registry_are_looked_at(
    client: StrictClient, app: Application, pool: HostPool
) -> None:
    client.put_model("line", models.line())
    client.post("/models/line/predict", json=ROW)
    registry = app.catalog.registry
    registry.note_damage(registry.version("line", 1), BY)
    with pool.serving("somebody", PATIENCE), pool.serving("another", PATIENCE):
        value = of(client)
    assert value("hosts", state="busy") == 2
    assert value("hosts", state="idle") == 0
    assert value("waiting_requests") == 0
    assert value("loaded_models") >= 1
    assert value("loaded_bytes") > 0
    assert value("resident_bytes", process="server") > 1 << 20
    assert value("resident_bytes", process="hosts") > 1 << 20
    assert (value("models"), value("versions"), value("corrupt_versions")) == (1, 1, 1)


def test_a_registry_that_cannot_be_asked_is_left_out(client: StrictClient, app: Application) -> None:
    def fail(*_given: Any) -> Any:
        raise StorageError("The disk is gone.")

    app.catalog.registry.count_versions = fail
    value = of(client)
    assert value("versions") is None
    assert value("hosts", state="idle") is not None


def test_names_beyond_many_are_counted_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "MOST_LABELS", 2)
    counted = Metrics()
    for number in range(5):
        counted.predicted("m", number, "native", 0.1)
    found = samples(counted.exposition().decode())
    counts = {labels: value for (name, labels), value in found.items() if name.endswith("seconds_count")}
    assert sorted(counts.values()) == [1, 1, 3]
    beyond = frozenset({("model", "other"), ("version", "other"), ("engine", "other")})
    assert counts[beyond] == 3


def test_processes_are_added_up_and_what_all_see_alike_is_not() -> None:
    one, other = Metrics(), Metrics()
    for counted, times in ((one, 2), (other, 3)):
        for _ in range(times):
            counted.answered("GET", "/healthz", "200", 0.001)
        counted.gauges = lambda times=times: [
            gauge("wsgi_service_waiting_requests", "Waiting.", times),
            gauge("wsgi_service_versions", "Versions.", 7, merge="most"),
        ]
    one.others = lambda: [other.said()]
    found = samples(one.exposition().decode())
    asked = frozenset({("method", "GET"), ("route", "/healthz"), ("status", "200")})
    assert found["wsgi_service_requests_total", asked] == 5
    assert found["wsgi_service_waiting_requests", frozenset()] == 5
    assert found["wsgi_service_versions", frozenset()] == 7
    below = frozenset({("route", "/healthz"), ("le", "0.001")})
    assert found["wsgi_service_request_seconds_bucket", below] == 5


def test_what_is_refused_by_its_headers_is_counted_as_well(folder: Path, pool: HostPool) -> None:
    running = Running(folder, pool)
    with socket.create_connection(("127.0.0.1", running.port), timeout=PATIENCE) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: what\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.0 501")
    value = of(StrictClient(running.app))
    running.stop()
    assert value("requests_total", method="other", route="refused", status="501") == 1


def test_the_dashboard_asks_for_what_there_is(client: StrictClient) -> None:
    client.put_model("line", models.line())
    client.post("/models/line/predict", json=ROW)
    there: dict[str, set[str]] = {}
    for name, labels in samples(client.get("/metrics").get_data(as_text=True)):
        there.setdefault(name, set()).update(label for label, _ in labels)
    dashboard = json.loads((ROOT / "deploy" / "grafana.json").read_text(encoding="utf-8"))
    asked = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    assert len(asked) > 10
    for expression in asked:
        names = set(re.findall(r"wsgi_service_\w+", expression))
        assert names
        assert names <= there.keys(), expression
        known = {"instance"}.union(*(there[name] for name in names))
        wanted = re.findall(r"by \(([^)]*)\)", expression) + re.findall(r"(\w+)[=!]~?\"", expression)
        assert {label.strip() for group in wanted for label in group.split(",")} <= known, expression
