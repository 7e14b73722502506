"""Readiness, missing extras, and predicts that meet a version on its way out."""

import threading
from pathlib import Path
from typing import Any
from wsgiref.validate import validator

import models
import pytest
from conftest import StrictClient

from model_store.errors import StorageError
from model_store.inspection import LocalInspector
from wsgi_service.app import create_app
from wsgi_service.hosts.pool import HostPool
from wsgi_service.settings import Settings

pytestmark = [pytest.mark.system, pytest.mark.extras]


def test_it_is_ready_when_the_database_and_a_host_are(client: StrictClient) -> None:
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json["status"]) == (200, "ready")


def test_without_a_host_it_lives_and_is_not_ready(folder: Path) -> None:
    app = create_app(Settings(data=str(folder)), HostPool(2))
    client = StrictClient(validator(app))
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json["checks"]["hosts"]) == (503, False)
    assert client.get("/healthz").status_code == 200
    app.catalog.registry.close()


def test_while_it_is_stopped_it_is_not_ready(client: StrictClient, app: Any) -> None:
    app.draining.set()
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json["checks"]["accepting"]) == (503, False)


def test_with_a_database_that_cannot_be_written_it_is_not_ready(client: StrictClient, app: Any) -> None:
    def broken() -> None:
        raise StorageError("no")

    app.catalog.registry.probe = broken
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json["checks"]["database"]) == (503, False)


def test_an_estimator_that_needs_pandas_is_a_501_without_it(
    client: StrictClient, app: Any, monkeypatch: pytest.MonkeyPatch, left_behind: Any
) -> None:
    pytest.importorskip("pandas")
    data = models.skops_bytes(models.people())
    app.catalog._inspector = LocalInspector()
    monkeypatch.setattr("model_store.estimators.facts.find_spec", lambda _: None)
    answer = client.put_model("people", data)
    assert (answer.status_code, answer.json["type"], answer.json["extra"]) == (
        501,
        "/problems/missing-extra",
        "pandas",
    )
    assert 'pip install "wsgi-service[pandas]"' in answer.json["detail"]
    assert left_behind() == []


def test_a_version_deleted_between_finding_and_loading_it_is_a_404(client: StrictClient, app: Any) -> None:
    client.put_model("fleeting", models.colours())
    original = app.pool.serving

    def serving(*arguments: Any) -> Any:
        app.pool.serving = original
        client.delete("/models/fleeting")
        return original(*arguments)

    app.pool.serving = serving
    answer = client.post("/models/fleeting/predict", json={"instances": [["red"]]})
    assert answer.status_code == 404


def test_predicts_while_versions_come_and_go_are_answered_or_not_found(client: StrictClient) -> None:
    line = models.skops_bytes(models.line())
    client.put_model("busy", line)
    statuses: set[int] = set()
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            statuses.add(client.post("/models/busy/predict", json={"instances": [[1.0]]}).status_code)

    asking = threading.Thread(target=ask)
    asking.start()
    for _ in range(5):
        number = client.post("/models/busy/versions", data=line).json["version"]
        client.put("/models/busy/aliases/live", json={"version": number})
        client.delete(f"/models/busy/versions/{number - 1}")
    client.delete("/models/busy")
    stop.set()
    asking.join()
    assert statuses <= {200, 404}
    assert 200 in statuses
