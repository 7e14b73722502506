"""Versions whose program was proven answer by it; whatever keeps it from answering, the estimator does."""

import math
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any
from wsgiref.validate import validator

import models
import msgspec
import numpy as np
import pytest
from conftest import PATIENCE, LiveServer, StrictClient
from running import until
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from model_store.acceleration.report import Acceleration
from model_store.acceleration.trust import Trust
from model_store.backup import backup
from model_store.consistency import check
from model_store.entities import Attribution, Version
from model_store.errors import StorageError
from model_store.opening import open_catalog
from model_store.sql.registry import SqlRegistry
from wsgi_service.app import Application, create_app
from wsgi_service.errors import Busy, DeadlineExceeded, ModelCrashed, NotWanted, TooLate
from wsgi_service.hosts import frames
from wsgi_service.hosts import pool as pool_module
from wsgi_service.hosts.pool import HostPool
from wsgi_service.hosts.process import Host
from wsgi_service.rows.tables import MAX_VALUES, Table
from wsgi_service.serving import accelerator, programs
from wsgi_service.serving.live_proof import LiveProof
from wsgi_service.serving.predictor import Predictor
from wsgi_service.serving.runnable import Runnable, runnable
from wsgi_service.serving.wanted import ALWAYS, Wanted
from wsgi_service.settings import Settings

pytest.importorskip("skl2onnx")
pytestmark = [pytest.mark.extras, pytest.mark.usefixtures("accelerating")]

ROW = [5.1, 3.5, 1.4, 0.2]
BY = Attribution("ann", "request-1")
IRIS = "/models/iris/versions/1"


@pytest.fixture
def app(accelerating: None, folder: Path, pool: HostPool) -> Iterator[Application]:
    service = create_app(Settings(data=str(folder), acceleration_wait=PATIENCE), pool)
    yield service
    service.catalog.registry.close()


@pytest.fixture
def client(app: Application) -> StrictClient:
    return StrictClient(validator(app))


def ask(client: StrictClient, rows: Any, **keys: Any) -> Any:
    return client.post(f"{IRIS}/predict", json={"instances": rows, **keys}).json


def answered(change: Callable[[frames.Accelerated, list[Any]], tuple[Any, list[Any]]]) -> Any:
    """A `Host.call` in which the host says something else about acceleration."""
    whole = Host.call

    def call(self: Host, request: Any, *more: Any) -> Any:
        reply, buffers = whole(self, request, *more)
        return change(reply, buffers) if isinstance(request, frames.Accelerate) else (reply, buffers)

    return call


MANY = np.tile(load_breast_cancer().data, (18, 1))


@pytest.fixture
def kept(client: StrictClient, app: Application) -> Callable[..., programs.Programs]:
    """Makes programs that know the one of a forest."""
    client.put_model("forest", models.forest())

    def make(cores: int, deadline: float = PATIENCE) -> programs.Programs:
        return programs.Programs(app.catalog.artifacts, deadline, cores)

    return make


def found_in(app: Application, model: str) -> Runnable:
    found = runnable(app.catalog.registry.version(model, 1))
    assert found is not None
    return found


@pytest.mark.parametrize("cores", [1, 3])
def test_many_rows_are_computed_apart_and_answered_as_one_table(
    kept: Callable[..., programs.Programs], app: Application, cores: int
) -> None:
    methods, table, several = ["predict", "predict_proba"], Table(len(MANY), matrix=MANY), kept(cores)
    taken = several.take(found_in(app, "forest"), methods, table)
    assert taken is not None
    assert not taken.short
    assert len(taken.pieces()) > 2
    estimator = models.forest()
    for method, result in zip(methods, several.call(taken, methods).results, strict=True):
        np.testing.assert_array_equal(result, getattr(estimator, method)(MANY))


def test_a_deadline_is_kept_between_the_pieces(
    kept: Callable[..., programs.Programs], app: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    several = kept(1, deadline=0.01)
    taken = several.take(found_in(app, "forest"), ["predict"], Table(len(MANY), matrix=MANY))
    assert taken is not None
    whole = taken.session.run

    def slowly(methods: Any, rows: Any, options: Any) -> Any:
        until(lambda: options.terminate)
        return whole(methods, rows, options)

    monkeypatch.setattr(taken.session, "run", slowly)
    with pytest.raises(DeadlineExceeded):
        several.call(taken, ["predict"])


def test_no_more_long_calls_are_made_at_once_than_there_are_cores(
    kept: Callable[..., programs.Programs], app: Application
) -> None:
    several = kept(1, deadline=0.05)
    taken = several.take(found_in(app, "forest"), ["predict"], Table(len(MANY), matrix=MANY))
    assert taken is not None
    with several._place(math.inf, ALWAYS):
        with pytest.raises(Busy):
            several.call(taken, ["predict"])
        with pytest.raises(TooLate):
            several.call(taken, ["predict"], Wanted(until=0.0))
    with pytest.raises(NotWanted):
        several.call(taken, ["predict"], Wanted(gone=lambda: True))
    several._deadline = PATIENCE
    assert len(several.call(taken, ["predict"]).results[0]) == len(MANY)


def test_an_answer_that_would_hold_too_many_values_is_for_a_host_which_refuses_it(
    kept: Callable[..., programs.Programs], app: Application
) -> None:
    """However few rows are computed at once, the answer has all of them."""
    several, rows = kept(1), MAX_VALUES // 3 + 1  # a label and two probabilities each
    found, table = found_in(app, "forest"), Table(rows, matrix=np.broadcast_to(MANY[0], (rows, 30)))
    assert several.take(found, ["predict", "predict_proba"], table) is None


def test_an_upload_is_answered_by_its_proven_program(client: StrictClient) -> None:
    version = client.put_model("iris", models.iris()).json
    assert (version["engine"], version["acceleration"]) == ("onnx", "passed")
    assert version["program"]["methods"] == ["predict", "predict_proba"]
    rows = np.random.default_rng(0).uniform(1, 7, (50, 4)).tolist()
    answer = ask(client, rows, **{"return": ["predict", "predict_proba"]})
    assert answer["engine"] == "onnx"
    assert answer["outputs"]["predict"] == models.iris().predict(rows).tolist()
    np.testing.assert_allclose(answer["outputs"]["predict_proba"], models.iris().predict_proba(rows), atol=1e-12)


def test_the_report_says_what_was_compared_and_how_it_went(client: StrictClient) -> None:
    client.put_model("iris", models.iris())
    report = client.get(f"{IRIS}/acceleration").json
    assert (report["verdict"], report["precision"]) == ("passed", "double")
    assert report["rows"] >= 2000
    assert [(one["method"], one["mismatches"]) for one in report["methods"]] == [
        ("predict", 0),
        ("predict_proba", 0),
    ]
    assert report["methods"][1]["largest_relative"] <= report["tolerance"]
    assert report["native_microseconds"] > report["onnx_microseconds"] > 0
    assert "skl2onnx" in report["releases"]
    (event,) = [e for e in client.get("/models/iris/history").json["events"] if (e["after"] or {}).get("program")]
    assert (event["action"], event["after"]["engine"]) == ("accelerate", "onnx")


def test_who_asks_for_exact_answers_gets_the_estimator(client: StrictClient) -> None:
    client.put_model("iris", models.iris())
    answer = ask(client, [ROW], method="predict_proba", exact=True)
    assert answer["engine"] == "native"
    assert answer["predictions"] == models.iris().predict_proba([ROW]).tolist()


def test_methods_that_the_program_has_not_are_the_estimators(client: StrictClient) -> None:
    client.put_model("iris", models.iris())
    assert ask(client, [ROW], method="decision_function")["engine"] == "native"
    assert ask(client, [ROW], **{"return": ["predict", "predict_log_proba"]})["engine"] == "native"


def test_an_engine_can_be_pinned_and_let_go(client: StrictClient) -> None:
    client.put_model("iris", models.iris())
    pinned = client.put(IRIS, json={"engine": "native"}).json
    assert (pinned["engine"], pinned["pinned"]) == ("native", "native")
    assert ask(client, [ROW])["engine"] == "native"
    assert client.put(IRIS, json={"engine": "onnx"}).json["engine"] == "onnx"
    assert ask(client, [ROW])["engine"] == "onnx"
    free = client.put(IRIS, json={"engine": None}).json
    assert (free["engine"], "pinned" in free) == ("onnx", False)
    changed = [
        e["after"] for e in client.get("/models/iris/history").json["events"] if e["action"] == "update-version"
    ]
    assert changed == [{"engine": "native"}, {"engine": "onnx"}, {"engine": None}]


def test_an_engine_that_is_not_there_cannot_be_pinned(client: StrictClient) -> None:
    client.put_model("spam", models.spam())
    answer = client.put("/models/spam/versions/1", json={"engine": "onnx"})
    assert (answer.status_code, answer.json["type"]) == (409, "/problems/not-accelerated")
    assert "only numbers and known categories" in answer.json["detail"]
    assert client.put("/models/spam/versions/1", json={"engine": "native"}).status_code == 200
    assert client.put("/models/spam/versions/1", json={"engine": "fast"}).status_code == 422


def test_a_program_has_no_estimator_to_be_pinned_to(client: StrictClient) -> None:
    import programs as small

    client.put_model("add", small.adder().SerializeToString())
    assert client.put("/models/add/versions/1", json={"engine": "onnx"}).json["engine"] == "onnx"
    answer = client.put("/models/add/versions/1", json={"engine": "native"})
    assert (answer.status_code, answer.json["type"]) == (409, "/problems/not-accelerated")
    assert client.get("/models/add/versions/1/acceleration").status_code == 404


def test_an_estimator_without_a_program_answers_itself_and_the_report_says_why(client: StrictClient) -> None:
    version = client.put_model("people", models.people()).json
    assert (version["engine"], version["acceleration"]) == ("native", "failed")
    assert "program" not in version
    report = client.get("/models/people/versions/1/acceleration").json
    assert (report["verdict"], report["reason"][:28]) == ("failed", "The estimator answers itself")


def test_missing_values_are_for_programs_that_were_compared_on_them(client: StrictClient) -> None:
    rows, targets = load_diabetes(return_X_y=True)
    rows[::7, 2] = np.nan
    estimator = HistGradientBoostingRegressor(max_iter=5).fit(rows, targets)
    client.put_model("iris", estimator)
    gappy = [None if np.isnan(value) else value for value in rows[0].tolist()]
    answer = ask(client, [gappy])
    assert (answer["engine"], answer["predictions"]) == (
        "onnx",
        pytest.approx(estimator.predict(rows[:1]).tolist()),
    )


def test_tables_of_numbers_and_categories_are_answered_by_programs(client: StrictClient) -> None:
    """In every way to send them, with what was never seen and what is missing."""
    estimator = models.homes()
    assert client.put_model("iris", estimator).json["engine"] == "onnx"
    rows = [
        {"rooms": 3, "city": "Oslo", "garden": 1, "unused": "x"},
        {"rooms": 1, "city": "Atlantis", "garden": 0, "unused": None},
        {"rooms": 5, "city": None, "garden": 1, "unused": "y"},
    ]
    expected = [client.post(f"{IRIS}/predict", json={"instances": [row], "exact": True}).json for row in rows]
    assert {answer["engine"] for answer in expected} == {"native"}
    numbers = [pytest.approx(answer["predictions"][0], rel=1e-12) for answer in expected]
    for row, number in zip(rows, numbers, strict=True):
        answer = ask(client, [row])
        assert (answer["engine"], answer["predictions"]) == ("onnx", [number])
    sent = "rooms,city,garden,unused\n3,Oslo,1,x\n1,Atlantis,0,\n5,,1,y\n"
    answer = client.post(f"{IRIS}/predict", data=sent, content_type="text/csv").json
    assert (answer["engine"], answer["predictions"]) == ("onnx", numbers)


def test_numbers_that_trees_refuse_are_refused_although_the_program_would_take_them(client: StrictClient) -> None:
    client.put_model("iris", models.forest())
    width = models.forest().n_features_in_
    answer = client.post(f"{IRIS}/predict", json={"instances": [[1e39] * width]})
    assert (answer.status_code, answer.json["type"]) == (422, "/problems/predict-failed")
    assert ask(client, [[1e14] * width])["engine"] == "onnx"


def test_a_host_that_lies_about_its_program_is_not_believed(
    client: StrictClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The program must be bounded, whole and computable, whatever the host says about it."""
    import programs as small

    unbounded = small.program([small.node("Transpose", "x", "z"), small.node("Transpose", "z", "y")])
    wrong_width = small.adder()
    for data in (b"no program", b"", unbounded.SerializeToString(), wrong_width.SerializeToString()):
        with monkeypatch.context() as patched:
            patched.setattr(Host, "call", answered(lambda reply, _, data=data: (reply, [data])))
            version = client.post("/models/iris/versions", data=models.skops_bytes(models.iris())).json
        assert (version["engine"], version["acceleration"]) == ("native", "failed")
        answer = client.post("/predict", json={"instances": [ROW], "version": version["version"]}).json
        assert (answer["engine"], answer["predictions"]) == ("native", [0])


def test_a_host_that_claims_outputs_which_its_program_has_not_is_not_believed(
    client: StrictClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def claim(reply: frames.Accelerated, buffers: list[Any], methods: tuple[str, ...]) -> Any:
        program = msgspec.structs.replace(reply.report.program, methods=methods)
        return frames.Accelerated(msgspec.structs.replace(reply.report, program=program)), buffers

    for methods in (("predict", "predict_proba", "decision_function", "score"), ("predict", "fit")):
        with monkeypatch.context() as patched:
            patched.setattr(Host, "call", answered(partial(claim, methods=methods)))
            version = client.post("/models/iris/versions", data=models.skops_bytes(models.iris())).json
        assert (version["engine"], version["acceleration"]) == ("native", "failed")


def test_rows_that_the_program_cannot_answer_are_answered_by_the_estimator(
    client: StrictClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.put_model("iris", models.iris())

    def fail(*_given: Any) -> Any:
        raise RuntimeError("not these")

    monkeypatch.setattr("model_store.formats.onnx.program.Session.run", fail)
    answer = ask(client, [ROW])
    assert (answer["engine"], answer["predictions"]) == ("native", [0])


def test_an_upload_that_is_sent_again_does_not_begin_anew(client: StrictClient) -> None:
    data = models.skops_bytes(models.iris())
    for _ in range(2):
        sent = client.post("/models/iris/versions", data=data, headers={"Idempotency-Key": "once"})
        assert (sent.status_code, sent.json["version"], sent.json["engine"]) == (201, 1, "onnx")
    actions = [event["action"] for event in client.get("/models/iris/history").json["events"]]
    assert actions.count("accelerate") == 2  # pending, and passed


def test_a_registry_that_fails_after_the_upload_does_not_take_it_back(
    client: StrictClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_given: Any) -> Any:
        raise StorageError("The disk is full.")

    monkeypatch.setattr(SqlRegistry, "set_acceleration", fail)
    assert client.put_model("iris", models.iris()).status_code == 201
    assert ask(client, [ROW])["engine"] == "native"
    assert client.put(f"{IRIS}/examples", json={"instances": [ROW]}).status_code == 200


def test_a_host_that_dies_while_it_converts_leaves_the_estimator(
    client: StrictClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Host.call

    def call(self: Host, request: Any, *more: Any) -> Any:
        if isinstance(request, frames.Accelerate):
            self.kill()
        return whole(self, request, *more)

    monkeypatch.setattr(Host, "call", call)
    version = client.put_model("iris", models.iris()).json
    assert (version["engine"], version["acceleration"]) == ("native", "failed")
    assert "ended unexpectedly" in client.get(f"{IRIS}/acceleration").json["reason"]
    assert version["state"] == "ready"
    assert ask(client, [ROW])["engine"] == "native"
    monkeypatch.undo()
    monkeypatch.setattr("wsgi_service.app.available", lambda: True)
    again = client.post(f"{IRIS}/acceleration").json
    assert again["verdict"] == "passed"
    assert ask(client, [ROW])["engine"] == "onnx"


def test_a_program_that_no_host_is_free_to_try_stays_pending(
    client: StrictClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_given: Any) -> Any:
        raise Busy("Everything that could answer is at work.")

    with monkeypatch.context() as patched:
        patched.setattr(Predictor, "try_program", refuse)
        version = client.put_model("iris", models.iris()).json
    assert (version["engine"], version["acceleration"]) == ("native", "pending")
    assert client.post(f"{IRIS}/acceleration").json["verdict"] == "passed"


def test_an_upload_waits_for_its_program_only_for_a_while(
    folder: Path, pool: HostPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = create_app(Settings(data=str(folder), acceleration_wait=0.0), pool)
    client = StrictClient(validator(service))
    go_on, kept = threading.Event(), threading.Event()
    whole, keep = Host.call, accelerator.Accelerator._keep

    def call(self: Host, request: Any, *more: Any) -> Any:
        if isinstance(request, frames.Accelerate):
            assert go_on.wait(PATIENCE)
        return whole(self, request, *more)

    def note(self: Any, *given: Any) -> None:
        keep(self, *given)
        kept.set()

    monkeypatch.setattr(Host, "call", call)
    monkeypatch.setattr(accelerator.Accelerator, "_keep", note)
    version = client.put_model("iris", models.iris()).json
    assert (version["engine"], version["acceleration"]) == ("native", "pending")
    assert client.get(f"{IRIS}/acceleration").json["verdict"] == "pending"
    assert ask(client, [ROW])["engine"] == "native"
    go_on.set()
    assert kept.wait(PATIENCE)
    assert client.get(IRIS).json["engine"] == "onnx"
    assert ask(client, [ROW])["engine"] == "onnx"
    service.catalog.registry.close()


def test_other_examples_are_compared_as_well(client: StrictClient, app: Application) -> None:
    client.put_model("iris", models.iris())
    before = client.get(f"{IRIS}/acceleration").json
    client.put(f"{IRIS}/examples", json={"instances": [ROW, [6.0, 3.0, 4.0, 1.0]]})
    after = client.post(f"{IRIS}/acceleration").json
    assert after["rows"] > before["rows"] + 2  # there are edges between their labels as well


def test_a_damaged_program_is_found_mended_and_never_answers(
    client: StrictClient, app: Application, folder: Path, pool: HostPool
) -> None:
    program = client.put_model("iris", models.iris()).json["program"]["digest"]
    path = app.catalog.artifacts.path(program)
    path.write_bytes(b"x" + path.read_bytes()[1:])
    again = create_app(Settings(data=str(folder)), pool)
    other = StrictClient(validator(again))
    answers = [ask(other, [ROW]) for _ in range(3)]
    assert {(one["engine"], *one["predictions"]) for one in answers} == {("native", 0)}
    again.catalog.registry.close()
    (flaw,) = check(app.catalog)
    assert (flaw.kind, flaw.where, flaw.repaired) == ("program", "iris version 1", False)
    (flaw,) = check(app.catalog, repair=True)
    assert flaw.repaired
    assert [one.kind for one in check(app.catalog, older_than=-10)] == ["orphan"]
    assert client.get(IRIS).json["engine"] == "native"


def test_programs_are_in_backups_and_go_with_their_versions(
    client: StrictClient, app: Application, folder: Path, tmp_path: Path, left_behind: Any
) -> None:
    version = client.put_model("iris", models.iris()).json
    app.catalog.sweep(older_than=-10)
    assert len(left_behind()) == 2
    assert backup(folder, tmp_path / "copy", lambda *_: None) == []
    name = version["program"]["digest"].removeprefix("sha256:")
    assert [path.name for path in (tmp_path / "copy").rglob(name)] == [name]
    client.delete("/models/iris")
    assert left_behind() == []


def test_a_server_without_the_packages_or_with_acceleration_off_lets_estimators_answer(
    folder: Path, pool: HostPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for settings, there in (
        (Settings(data=str(folder), acceleration="off"), True),
        (Settings(data=str(folder)), False),
    ):
        monkeypatch.setattr("wsgi_service.app.available", lambda there=there: there)
        service = create_app(settings, pool)
        client = StrictClient(validator(service))
        client.put_model("iris", models.iris())
        assert "acceleration" not in client.get(IRIS).json
        assert client.get(f"{IRIS}/acceleration").status_code == 404
        assert client.post(f"{IRIS}/acceleration").status_code == 404
        assert ask(client, [ROW])["engine"] == "native"
        service.catalog.registry.close()


def test_a_start_catches_up_with_live_versions_and_uses_programs_of_before(
    start_server: Any, folder: Path
) -> None:
    from wsgi_service.client import Client

    first: LiveServer = start_server("--acceleration", "off")
    with Client(first.url) as client:
        client.push(models.iris(), "iris")
    first.stop()
    for _ in range(2):
        server: LiveServer = start_server("--acceleration-wait", str(PATIENCE))
        with Client(server.url, patience=PATIENCE) as client:
            assert client._remote.get("/readyz")["checks"]["models"]
            again = client._remote.send_json("POST", f"{IRIS}/acceleration", {})
            assert again["verdict"] == "passed"
            answer = client._remote.send_json("POST", f"{IRIS}/predict", {"instances": [ROW]})
            assert answer["engine"] == "onnx"
        server.stop()


def test_a_program_answers_before_any_host_is_up_if_the_runtime_is_the_one_it_was_proven_with(
    client: StrictClient, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = client.put_model("iris", models.iris()).json
    assert version["program"]["runtime"] == programs.runtime()
    without_hosts = HostPool(2, startup_limit=0.01)  # and never started
    for release, status in ((programs.runtime(), 200), ("onnxruntime 1.0", 503)):
        monkeypatch.setattr(programs, "runtime", lambda release=release: release)
        service = create_app(Settings(data=str(folder)), without_hosts)
        answer = StrictClient(validator(service)).post("/predict", json={"instances": [ROW]})
        assert answer.status_code == status
        service.catalog.registry.close()


def test_a_program_that_took_a_host_down_is_trusted_again_when_a_host_has_answered_with_it(folder: Path) -> None:
    catalog = open_catalog(folder)
    kept = programs.Programs(catalog.artifacts, deadline=PATIENCE)
    found = Runnable("sha256:p", 3, ("predict",), runtime=programs.runtime())
    assert kept.trusts(found)
    kept.distrust(found.digest)
    assert not kept.trusts(found)
    kept.answered(found.digest)
    assert kept.trusts(found)
    catalog.registry.close()


def test_names_that_are_texts_come_from_programs_as_well(client: StrictClient) -> None:
    rows = np.random.default_rng(0).normal(size=(60, 4))
    estimator = LogisticRegression().fit(rows, np.where(rows[:, 0] > 0, "up", "down"))
    client.put_model("iris", estimator)
    answer = ask(client, rows.tolist())
    assert (answer["engine"], answer["predictions"]) == ("onnx", estimator.predict(rows).tolist())


def test_a_pending_report_is_not_a_passed_one() -> None:
    assert Acceleration().verdict == "pending"
    assert runnable(version_with("failed")) is None


def version_with(verdict: Any) -> Any:
    from model_store.entities import Version
    from model_store.schema import Schema

    return Version(
        model="m", version=1, digest="sha256:a", size=1, format="skops", estimator="E", methods=("predict",),
        schema=Schema(inputs=()), acceleration=verdict,
    )  # fmt: skip


def test_rows_that_the_program_must_not_answer_are_the_estimators_among_others_that_are_its_own(
    client: StrictClient,
) -> None:
    """One row as in the data, one far away, in one request and alone."""
    client.put_model("iris", models.iris())
    far = [500.0, 3.5, 1.4, 0.2]
    answer = ask(client, [ROW, far, ROW], **{"return": ["predict", "predict_proba"]})
    assert (answer["engine"], answer["estimator_rows"]) == ("mixed", 1)
    assert answer["outputs"]["predict"] == models.iris().predict([ROW, far, ROW]).tolist()
    np.testing.assert_allclose(
        answer["outputs"]["predict_proba"], models.iris().predict_proba([ROW, far, ROW]), rtol=1e-9
    )
    alone = ask(client, [far])
    assert (alone["engine"], alone["predictions"]) == ("native", models.iris().predict([far]).tolist())
    assert "estimator_rows" not in alone
    said = client.get("/metrics").text
    assert 'wsgi_service_program_rows_total{engine="onnx",model="iris",version="1"} 2.0' in said
    assert 'wsgi_service_program_rows_total{engine="native",model="iris",version="1"} 2.0' in said


def test_texts_of_mixed_answers_are_texts(client: StrictClient) -> None:
    rows, targets = load_iris(return_X_y=True)
    named = np.array(models.SPECIES)[targets]
    estimator = make_pipeline(StandardScaler(), LogisticRegression()).fit(rows, named)
    client.put_model("iris", estimator)
    answer = ask(client, [ROW, [500.0, 3.5, 1.4, 0.2]])
    assert (answer["engine"], answer["predictions"][0]) == ("mixed", "setosa")


def test_rows_of_requests_are_compared_and_the_report_says_how_many(client: StrictClient) -> None:
    client.put_model("iris", models.iris())
    for _ in range(3):
        ask(client, [ROW, [6.0, 3.0, 4.0, 1.0]])
    until(lambda: client.get(f"{IRIS}/acceleration").json.get("live", {}).get("rows") == 6)
    found = client.get(f"{IRIS}/acceleration").json["live"]
    assert found["differences"] == 0
    assert found["at"]
    ask(client, [[500.0, 3.5, 1.4, 0.2]])
    until(lambda: client.get(f"{IRIS}/acceleration").json["live"]["left"] == 1)
    assert client.get(f"{IRIS}/acceleration").json["live"]["answered"] == 6
    assert "the estimator answered 14.29 % of the rows itself" in client.get("/ui/models/iris/versions/1").text


def test_one_difference_lets_the_estimator_answer_from_then_on(
    client: StrictClient, app: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.put_model("iris", models.iris())
    assert ask(client, [ROW])["engine"] == "onnx"
    until(lambda: client.get(f"{IRIS}/acceleration").json.get("live"))
    whole = programs.Programs.call

    def otherwise(self: Any, *more: Any) -> Any:
        found = whole(self, *more)
        return found._replace(results=[result + 1 for result in found.results])

    with monkeypatch.context() as patched:
        patched.setattr(programs.Programs, "call", otherwise)
        assert ask(client, [ROW])["predictions"] == [1]
    until(lambda: client.get(IRIS).json["engine"] == "native")
    answer = ask(client, [ROW])
    assert (answer["engine"], answer["predictions"]) == ("native", [0])
    event = client.get("/models/iris/history").json["events"][-1]
    assert (event["actor"], event["after"]["engine"]) == ("server", "native")
    assert 'wsgi_service_program_differences_total{model="iris",version="1"} 1.0' in client.get("/metrics").text
    until(lambda: client.get(f"{IRIS}/acceleration").json["live"]["differences"] == 1)


def test_an_estimator_that_does_not_survive_being_compared_is_not_asked_again(
    client: StrictClient, app: Application
) -> None:
    """Else three rows that only the program can answer would put the version in quarantine."""
    for name in ("iris", "other"):
        client.put_model(name, models.iris())
    first, second = (app.catalog.registry.version(name, 1) for name in ("iris", "other"))
    second = msgspec.structs.replace(second, digest="sha256:other")
    asked: list[str] = []

    def crash(version: Version, *_more: Any) -> list[Any]:
        asked.append(version.model)
        raise ModelCrashed("The process that ran the model ended unexpectedly.")

    proof = LiveProof(app.catalog.registry, crash, lambda: True, lambda _: None, lambda *_: None)
    table, trust = Table(1, matrix=np.array([ROW])), Trust((0.0,) * 4, (9.0,) * 4, (False,) * 4)
    for version in (first, first, second):
        proof.answered(version, ["predict"], table, [np.array([0])], trust)
        until(lambda version=version: version.model in asked)
    assert asked == ["iris", "other"]


def test_a_program_of_an_earlier_proof_does_not_answer_until_it_is_proven_anew(
    client: StrictClient, app: Application, folder: Path, pool: HostPool
) -> None:
    client.put_model("iris", models.iris())
    registry = app.catalog.registry
    report = registry.acceleration("iris", 1)
    outdated = msgspec.structs.replace(report.program, proof=0)
    registry.set_acceleration("iris", 1, msgspec.structs.replace(report, program=outdated), Attribution("t", "t"))
    assert ask(client, [ROW])["engine"] == "native"
    again = create_app(Settings(data=str(folder), startup_limit=PATIENCE), pool)
    again.background.start()
    until(lambda: client.get(IRIS).json["engine"] == "onnx")
    again.catalog.registry.close()


def test_hosts_rest_where_programs_answer_for_all_that_is_live_and_come_back(
    client: StrictClient, app: Application, pool: HostPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    predictor: Predictor = app.background.warming._prepare.__self__  # type: ignore[attr-defined]
    client.put_model("iris", models.iris())
    client.put_model("native", models.spam())
    assert ask(client, [ROW])["engine"] == "onnx"
    monkeypatch.setattr(pool_module, "IDLE", -1.0)
    until(lambda: pool.unused)
    predictor.rest()
    assert pool.figures().serving > 0  # one live version needs them
    assert client.delete("/models/native").status_code == 204
    until(lambda: pool.unused)
    predictor.rest()
    until(lambda: pool.figures().serving == 0)
    assert client.get("/readyz").status_code == 200
    assert ask(client, [ROW])["engine"] == "onnx"
    assert ask(client, [ROW], exact=True)["engine"] == "native"
