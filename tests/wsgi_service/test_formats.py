"""Other formats than skops through the service: npz, ONNX, and pickles where they are allowed."""

import pickle
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from wsgiref.validate import validator

import models
import numpy as np
import pytest
import skops.io
from conftest import StrictClient
from sklearn.ensemble import RandomForestClassifier

from model_store.formats import npz
from wsgi_service.app import create_app
from wsgi_service.rows.tables import Table
from wsgi_service.serving import programs as engine
from wsgi_service.serving import sessions
from wsgi_service.serving.runnable import runnable
from wsgi_service.serving.terminator import Terminator
from wsgi_service.settings import Settings

pytestmark = [pytest.mark.system, pytest.mark.extras]

needs_onnx = pytest.mark.skipif(find_spec("onnxruntime") is None, reason="onnxruntime is not installed")


@pytest.fixture
def linear(folder: Path) -> bytes:
    path = folder / "line.npz"
    npz.from_estimator(path, models.iris())
    return path.read_bytes()


def test_an_npz_model_is_uploaded_and_asked_like_any_other(client: StrictClient, linear: bytes) -> None:
    version = client.put_model("iris", linear).json
    assert (version["format"], version["estimator"]) == ("npz", "SoftmaxClassifier")
    answer = client.post("/predict", json={"instances": [[5.1, 3.5, 1.4, 0.2]], "method": "predict_proba"}).json
    expected = models.iris().predict_proba([[5.1, 3.5, 1.4, 0.2]])
    np.testing.assert_allclose(answer["predictions"], expected, rtol=1e-12)
    assert (answer["engine"], answer["classes"]) == ("native", [0, 1, 2])


def test_a_thousand_trees_are_uploaded_and_answer_as_in_the_notebook(client: StrictClient) -> None:
    rows = np.random.default_rng(0).normal(size=(60, 4))
    forest = RandomForestClassifier(1000, max_depth=4, random_state=0).fit(rows, rows[:, 0] > 0)
    assert client.put_model("forest", forest).status_code == 201
    answer = client.post("/predict", json={"instances": rows.tolist(), "method": "predict_proba"}).json
    np.testing.assert_array_equal(answer["predictions"], forest.predict_proba(rows))


def test_transformers_transform_when_nothing_else_is_asked(client: StrictClient) -> None:
    version = client.put_model("scaler", models.iris()[0]).json
    assert version["methods"] == ["transform"]
    answer = client.post("/predict", json={"instances": [[5.1, 3.5, 1.4, 0.2]]}).json
    assert answer["method"] == "transform"
    np.testing.assert_array_equal(answer["predictions"], models.iris()[0].transform([[5.1, 3.5, 1.4, 0.2]]))


@pytest.fixture
def everywhere(folder: Path, pool: Any) -> Iterator[StrictClient]:
    """A client of a service whose operator lets uploaded programs run in the HTTP process."""
    app = create_app(Settings(data=str(folder), programs_in_process="all"), pool)
    yield StrictClient(validator(app))
    app.catalog.registry.close()


@needs_onnx
def test_an_uploaded_program_answers_from_a_host(client: StrictClient, monkeypatch: pytest.MonkeyPatch) -> None:
    import programs

    monkeypatch.setattr(engine.Programs, "call", None)
    assert client.put_model("tree", programs.tree().SerializeToString()).json["format"] == "onnx"
    for _ in range(3):
        answer = client.post("/predict", json={"instances": [[0.2, 0], [0.7, 0]]}).json
        assert (answer["predictions"], answer["engine"]) == (["no", "yes"], "onnx")


@needs_onnx
def test_a_bounded_program_answers_from_a_host_and_then_in_process_where_the_operator_wants_that(
    everywhere: StrictClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    import programs

    client = everywhere
    called = []
    original = engine.Programs.call
    monkeypatch.setattr(engine.Programs, "call", lambda *given: called.append(1) or original(*given))
    assert client.put_model("tree", programs.tree().SerializeToString()).json["format"] == "onnx"
    answers = [client.post("/predict", json={"instances": [[0.2, 0], [0.7, 0]]}).json for _ in range(3)]
    assert [answer["predictions"] for answer in answers] == [["no", "yes"]] * 3
    assert {answer["engine"] for answer in answers} == {"onnx"}
    assert len(called) == 2
    answer = client.post("/predict", json={"instances": [[0.7, 0]], "method": "predict_proba"}).json
    assert (answer["predictions"], answer["classes"]) == ([[0.0, 1.0]], ["no", "yes"])


@needs_onnx
def test_an_unbounded_program_stays_in_its_host(everywhere: StrictClient, monkeypatch: pytest.MonkeyPatch) -> None:
    import programs

    client = everywhere
    monkeypatch.setattr(engine.Programs, "call", None)
    model = programs.program([programs.node("Transpose", "x", "z"), programs.node("Transpose", "z", "y")])
    assert client.put_model("turn", model.SerializeToString()).status_code == 201
    for _ in range(3):
        assert client.post("/predict", json={"instances": [[1, 2]]}).json["predictions"] == [[1.0, 2.0]]


@needs_onnx
def test_a_large_table_goes_to_a_host(everywhere: StrictClient, monkeypatch: pytest.MonkeyPatch) -> None:
    import programs

    client = everywhere
    client.put_model("add", programs.adder().SerializeToString())
    client.post("/predict", json={"instances": [[1, 2]]})
    monkeypatch.setattr(sessions, "MAX_BYTES", 10)
    monkeypatch.setattr(engine.Programs, "call", None)
    rows = [[1, 2]] * 20
    assert client.post("/predict", json={"instances": rows}).json["predictions"] == [[2.0, 4.0]] * 20


@needs_onnx
def test_a_program_that_never_ends_is_not_taken(folder: Path, pool: Any, left_behind: Any) -> None:
    """Row F26: checking it is stopped by the clock."""
    import programs

    app = create_app(Settings(data=str(folder), inspect_deadline=1.0), pool)
    client = StrictClient(validator(app))
    answer = client.put_model("endless", programs.endless().SerializeToString())
    assert (answer.status_code, answer.json["type"]) == (422, "/problems/unsafe-artifact")
    assert answer.json["safety"]["findings"][0]["rule"] == "reading-it-is-survived"
    assert (left_behind(), client.get("/models").json["models"]) == ([], [])
    app.catalog.registry.close()


@needs_onnx
def test_a_call_that_takes_too_long_is_stopped_between_operators() -> None:
    import programs

    from model_store.formats.onnx.program import Program

    terminator = Terminator()
    program = Program(programs.endless())
    options = program.run_options()
    with terminator.stopping(options, 0.05), pytest.raises(Exception, match=r"(?i)terminat"):
        program.call("predict", np.zeros((1, 2)), options)
    assert not terminator._running


def test_a_pickle_is_served_where_the_operator_allows_it(folder: Path, pool: Any) -> None:
    app = create_app(Settings(data=str(folder), allow_pickle=True), pool)
    client = StrictClient(validator(app))
    data = pickle.dumps(models.line())
    assert client.put_model("line", data).json["format"] == "pickle"
    assert client.post("/predict", json={"instances": [[3.0]]}).json["predictions"] == pytest.approx([7.0])
    report = client.get("/models/line/versions/1/safety").json
    assert "--allow-pickle" in report["findings"][0]["message"]
    app.catalog.registry.close()
    strict = create_app(Settings(data=str(folder)), pool)
    answer = StrictClient(validator(strict)).put_model("line", data, 2)
    assert (answer.status_code, answer.json["type"]) == (415, "/problems/unsupported-format")
    strict.catalog.registry.close()


def test_a_type_of_ones_own_is_served_where_the_operator_trusts_it(folder: Path, pool: Any) -> None:
    """`types.SimpleNamespace` stands for a class of an installed package."""
    line = models.line()
    data = models.edited(skops.io.dumps(line), _with_a_namespace)
    app = create_app(Settings(data=str(folder)), pool)
    refused = StrictClient(validator(app)).put_model("line", data)
    assert (refused.status_code, "types.SimpleNamespace" in refused.json["detail"]) == (422, True)
    app.catalog.registry.close()
    trusting = create_app(Settings(data=str(folder), trust="types.SimpleNamespace"), pool)
    client = StrictClient(validator(trusting))
    assert client.put_model("line", data).status_code == 201
    assert client.post("/predict", json={"instances": [[3.0]]}).json["predictions"] == pytest.approx([7.0])
    report = client.get("/models/line/versions/1/safety").json
    assert [(finding["severity"], finding["where"]) for finding in report["findings"]] == [
        ("warning", "types.SimpleNamespace")
    ]
    trusting.catalog.registry.close()


def _with_a_namespace(schema: dict[str, Any]) -> None:
    attributes = schema["content"]
    attributes["content"]["extra_"] = {
        "__loader__": "ObjectNode", "__module__": "types", "__class__": "SimpleNamespace", "__id__": 987_654,
        "content": None,
    }  # fmt: skip
    keys = attributes["key_types"]["content"]
    keys.append(keys[0])


@needs_onnx
def test_a_program_whose_version_took_a_host_down_is_for_hosts_again(client: StrictClient, app: Any) -> None:
    import programs

    client.put_model("add", programs.adder().SerializeToString())
    for _ in range(2):
        client.post("/predict", json={"instances": [[1, 2]]})
    found = runnable(app.catalog.registry.version("add", 1), uploaded=True)
    assert found is not None
    kept = engine.Programs(app.catalog.artifacts, 30.0)
    table = Table(1, matrix=np.array([[1.0, 2.0]]))
    kept.answered(found.digest)
    assert kept.take(found, ["predict"], table) is not None
    kept.distrust(found.digest)
    assert kept.take(found, ["predict"], table) is None
