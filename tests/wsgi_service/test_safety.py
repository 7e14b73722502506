"""The safety report as a resource, and what an old registry has instead."""

from typing import Any

import models
from conftest import StrictClient
from sklearn.ensemble import RandomForestClassifier
from sqlalchemy import text


def test_the_report_says_classes_changes_time_and_memory(client: StrictClient) -> None:
    client.put_model("forest", RandomForestClassifier(2, n_jobs=7).fit([[0.0], [1.0]], [0, 1]))
    report = client.get("/models/forest/versions/1/safety").json
    assert (report["format"], report["verdict"], report["findings"]) == ("skops", "accepted", [])
    assert "sklearn.tree._tree.Tree" in report["classes"]
    assert [(entry["rule"], entry["where"]) for entry in report["normalised"]] == [("one-thread-only", "n_jobs")]
    assert report["seconds"] > 0
    assert report["memory"] >= 0


def test_the_report_of_a_refused_upload_is_in_its_problem(client: StrictClient) -> None:
    problem = client.put_model("line", models.edited(models.skops_bytes(models.line()), _evil)).json
    assert problem["safety"]["verdict"] == "refused"
    assert [(entry["rule"], entry["severity"]) for entry in problem["safety"]["findings"]] == [
        ("types-are-allowed", "refused")
    ]


def _evil(schema: dict[str, Any]) -> None:
    schema["__module__"], schema["__class__"] = "os", "system"


def test_there_is_no_report_where_there_is_no_version(client: StrictClient) -> None:
    assert client.get("/models/line/versions/1/safety").json["type"] == "/problems/model-not-found"
    client.put_model("line", models.line())
    assert client.get("/models/line/versions/2/safety").json["type"] == "/problems/version-not-found"


def test_a_version_of_an_earlier_release_has_no_report_and_serves(client: StrictClient, app: Any) -> None:
    client.put_model("line", models.line())
    with app.catalog.registry._engine.begin() as connection:
        connection.execute(text("UPDATE versions SET safety = NULL"))
    answer = client.get("/models/line/versions/1/safety")
    assert (answer.status_code, answer.json["type"]) == (404, "/problems/no-report")
    assert client.post("/predict", json={"instances": [[1.0]]}).status_code == 200
