"""Which methods a request may ask for, several of them at once, and what each gives for a row."""

import csv
import io
from typing import Any

import models
import numpy as np
import pytest
from conftest import StrictClient
from sklearn.datasets import load_diabetes, load_iris
from sklearn.ensemble import GradientBoostingRegressor, HistGradientBoostingRegressor, RandomForestClassifier
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.linear_model import BayesianRidge, LogisticRegression, QuantileRegressor
from sklearn.multioutput import MultiOutputClassifier
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from model_store.estimators.passes import Passes

FEATURES, SPECIES = load_iris(return_X_y=True)
ROWS = FEATURES[[0, 60, 120]].tolist()


def ask(client: StrictClient, name: str = "iris", query: str = "", **body: Any) -> Any:
    return client.post(f"/models/{name}/predict{query}", json={"instances": ROWS, **body})


@pytest.fixture
def iris(client: StrictClient) -> StrictClient:
    client.put_model("iris", models.iris(), class_names=",".join(models.SPECIES))
    return client


def test_every_method_of_the_list_that_an_estimator_has_can_be_asked_for(iris: StrictClient) -> None:
    methods = iris.get("/models/iris/versions/1").json["methods"]
    assert methods == ["predict", "predict_proba", "predict_log_proba", "decision_function"]
    for method in methods:
        answer = ask(iris, method=method).json
        expected = getattr(models.iris(), method)(ROWS)
        assert answer["predictions"] == expected.tolist()
        assert answer["method"] == method
        assert ("classes" in answer) == (method != "predict")


def test_several_methods_come_from_one_request(iris: StrictClient) -> None:
    answer = ask(iris, **{"return": ["predict_proba", "predict", "decision_function"]}).json
    assert list(answer["outputs"]) == ["predict_proba", "predict", "decision_function"]
    for method, entries in answer["outputs"].items():
        assert entries == getattr(models.iris(), method)(ROWS).tolist()
    assert answer["labels"] == models.SPECIES
    assert answer["classes"] == [0, 1, 2]
    assert not answer.keys() & {"predictions", "method"}


@pytest.mark.parametrize(
    "estimator", [models.iris(), models.spam(), models.boosting()], ids=["iris", "spam", "hgb"]
)
def test_one_pass_gives_bit_by_bit_what_single_calls_give(estimator: Any) -> None:
    rows = ["money now", "lunch"] if estimator is models.spam() else np.random.default_rng(0).normal(
        size=(20, estimator.n_features_in_)
    )  # fmt: skip
    passes = Passes(estimator)
    methods = [
        method for method in ("predict", "predict_proba", "decision_function") if hasattr(estimator, method)
    ]
    for method, result in zip(methods, passes.call(methods, rows), strict=True):
        np.testing.assert_array_equal(result, getattr(estimator, method)(rows))


class Doubling(StandardScaler):
    """Writes into the array that it is given, as `copy=False` allows."""

    def transform(self, X: Any, copy: Any = None) -> Any:  # noqa: N803 - as it is called by name
        np.multiply(X, 2, out=X)
        return X


def test_a_method_does_not_see_what_another_wrote_into_the_rows() -> None:
    fitted = models.iris()
    scaled = StandardScaler(copy=False).fit(FEATURES)
    for estimator in (make_pipeline(scaled, fitted[-1]), make_pipeline(Doubling().fit(FEATURES), fitted[-1])):
        methods = ["predict_proba", "predict", "decision_function"]
        rows = np.array(ROWS)
        results = Passes(estimator).call(methods, rows)
        for method, result in zip(methods, results, strict=True):
            np.testing.assert_array_equal(result, getattr(estimator, method)(np.array(ROWS)))


@pytest.mark.parametrize(
    ("type_", "body"), [("text/csv", b"5.1,3.5,1.4,0.2"), ("application/x-ndjson", b"[5.1,3.5,1.4,0.2]")]
)
def test_several_methods_are_named_beside_bodies_that_are_no_json(
    iris: StrictClient, type_: str, body: bytes
) -> None:
    address = "/models/iris/predict?return="
    answer = iris.post(f"{address}predict,predict_proba", data=body, content_type=type_)
    assert list(answer.json["outputs"]) == ["predict", "predict_proba"]
    assert iris.post(f"{address}fit", data=body, content_type=type_).status_code == 422


def test_a_pipeline_transforms_its_rows_once_for_all_methods(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    whole = StandardScaler.transform
    monkeypatch.setattr(
        StandardScaler, "transform", lambda *args, **named: (calls.append(1), whole(*args, **named))[1]
    )
    Passes(models.iris()).call(["predict", "predict_proba", "decision_function"], ROWS)
    assert calls == [1]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"return": []}, "each of them once"),
        ({"return": ["predict", "predict"]}, "each of them once"),
        ({"return": ["predict"], "method": "predict"}, "not both"),
        ({"return": ["predict", "fit"]}, "This version has no such method"),
        ({"return": ["__class__"]}, "This version has no such method"),
        ({"return": [1]}, "cannot be read"),
        ({"return": "predict"}, "must be a list of methods"),
    ],
)
def test_what_cannot_be_returned_is_said(iris: StrictClient, more: dict[str, Any], words: str) -> None:
    answer = ask(iris, **more)
    assert answer.status_code == 422
    assert words in answer.json["detail"]


def test_several_methods_are_named_in_a_query_string_with_commas(iris: StrictClient) -> None:
    body = "x0,x1,x2,x3\n5.1,3.5,1.4,0.2\n"
    answer = iris.post(
        "/models/iris/predict?return=predict,%20predict_log_proba&format=csv", data=body, content_type="text/csv"
    )
    rows = list(csv.reader(io.StringIO(answer.text)))
    assert rows[0] == ["prediction", *(f"log_probability_{name}" for name in models.SPECIES)]
    link = iris.get("/models/iris/predict?x0=5.1&x1=3.5&x2=1.4&x3=0.2&return=predict").json
    assert link["outputs"] == {"predict": [0]}


def test_a_column_may_be_called_return(client: StrictClient) -> None:
    client.put_model("stock", models.line(), column_names="return")
    assert client.get("/models/stock/predict?return=0.5").json["prediction"] == 2.0
    assert client.post("/models/stock/predict", json={"return": 0.5}).json["prediction"] == 2.0
    assert client.post("/models/stock/predict", json={"inputs": {"return": [0.5]}}).json["predictions"] == [2.0]


def test_lines_of_json_have_a_key_for_each_method(iris: StrictClient) -> None:
    answer = ask(iris, query="?format=ndjson", **{"return": ["predict", "predict_proba"]})
    first = answer.text.splitlines()[0]
    assert first.startswith('{"predict":0,"predict_proba":[0.')
    assert first.endswith('"label":"setosa"}')


def test_the_neighbours_of_a_row_are_two_lists(client: StrictClient) -> None:
    nearest = KNeighborsClassifier(3).fit(FEATURES, SPECIES)
    client.put_model("iris", nearest)
    distances, indices = nearest.kneighbors(ROWS)
    answer = ask(client, method="kneighbors").json
    assert answer["predictions"] == [[a, b] for a, b in zip(distances.tolist(), indices.tolist(), strict=True)]
    heading = ask(client, query="?format=csv&method=kneighbors").text.splitlines()[0]
    assert heading == "distance_0,distance_1,distance_2,neighbor_0,neighbor_1,neighbor_2"
    client.put_model("nearest", NearestNeighbors(n_neighbors=2).fit(FEATURES))
    assert ask(client, "nearest").json["method"] == "kneighbors"


@pytest.mark.parametrize("in_a_pipeline", [False, True])
def test_regressors_that_know_their_standard_deviation_give_it(client: StrictClient, in_a_pipeline: bool) -> None:
    features, target = load_diabetes(return_X_y=True)
    regressor = BayesianRidge()
    regressor = (make_pipeline(StandardScaler(), regressor) if in_a_pipeline else regressor).fit(features, target)
    client.put_model("diabetes", regressor)
    mean, std = regressor.predict(features[:3], return_std=True)
    body = {"instances": features[:3].tolist(), "return": ["predict", "predict_std"]}
    answer = client.post("/models/diabetes/predict", json=body)
    assert answer.json["outputs"] == {"predict": mean.tolist(), "predict_std": std.tolist()}
    table = client.post("/models/diabetes/predict?format=csv", json=body).text.splitlines()
    assert table[0] == "prediction,predict_std"


def test_a_gaussian_process_gives_its_standard_deviation_and_a_line_has_none(client: StrictClient) -> None:
    process = GaussianProcessRegressor().fit([[0.0], [1.0], [3.0]], [0.0, 1.0, 4.0])
    client.put_model("process", process)
    answer = client.post("/models/process/predict", json={"instances": [[2.0]], "method": "predict_std"})
    assert answer.json["predictions"] == process.predict([[2.0]], return_std=True)[1].tolist()
    client.put_model("line", models.line())
    assert client.get("/models/line/versions/1").json["methods"] == ["predict"]


def test_several_outputs_have_rows_then_outputs_then_classes(client: StrictClient) -> None:
    targets = np.column_stack([SPECIES, (SPECIES > 0).astype(int)])
    for estimator in (
        MultiOutputClassifier(LogisticRegression(max_iter=1000)).fit(FEATURES, targets),
        RandomForestClassifier(5, random_state=0).fit(FEATURES, targets),
    ):
        client.put_model("many", estimator, 1 + ("versions" in client.get("/models/many/versions").text))
        number = len(client.get("/models/many/versions").json["versions"])
        body = {"instances": ROWS, "return": ["predict", "predict_proba"]}
        answer = client.post(f"/models/many/versions/{number}/predict", json=body).json
        probabilities = estimator.predict_proba(ROWS)
        assert answer["outputs"]["predict"] == estimator.predict(ROWS).tolist()
        assert answer["outputs"]["predict_proba"] == [
            [part[row].tolist() for part in probabilities] for row in range(3)
        ]
        assert answer["classes"] == [[0, 1, 2], [0, 1]]
        table = client.post(f"/models/many/versions/{number}/predict?format=csv", json={"instances": ROWS}).text
        assert table.splitlines()[0] == (
            "y0,y1,probability_y0_0,probability_y0_1,probability_y0_2,probability_y1_0,probability_y1_1"
        )


def test_a_link_without_columns_is_answered_for_the_first_example(iris: StrictClient) -> None:
    refused = iris.get("/models/iris/predict")
    assert (refused.status_code, refused.json["type"]) == (422, "/problems/invalid-rows")
    assert [column["name"] for column in refused.json["expected"]] == ["x0", "x1", "x2", "x3"]
    iris.put("/models/iris/versions/1/examples", json={"instances": [ROWS[2], ROWS[0]]})
    for address in ("/models/iris/predict", "/models/iris/versions/1/predict", "/predict?model=iris"):
        answer = iris.get(address).json
        assert answer["example"] == dict(zip(["x0", "x1", "x2", "x3"], ROWS[2], strict=True))
        assert (answer["prediction"], answer["label"]) == (2, "virginica")
    assert iris.get("/models/iris/predict?return=predict_proba").json["outputs"]["predict_proba"][0][2] > 0.5


def test_classes_come_with_every_method_that_has_a_number_for_each(client: StrictClient) -> None:
    client.put_model("spam", models.spam())
    answer = client.post("/models/spam/predict", json={"instances": ["money"], "method": "decision_function"}).json
    assert answer["classes"] == ["ham", "spam"]
    assert answer["predictions"] == models.spam().decision_function(["money"]).tolist()


def test_the_schema_says_which_quantile_a_regressor_estimates(client: StrictClient) -> None:
    features, target = load_diabetes(return_X_y=True)
    for number, regressor in enumerate(
        (
            QuantileRegressor(quantile=0.9),
            HistGradientBoostingRegressor(loss="quantile", quantile=0.9, max_iter=3),
            make_pipeline(StandardScaler(), GradientBoostingRegressor(loss="quantile", alpha=0.9, n_estimators=3)),
        ),
        1,
    ):
        answer = client.put_model("diabetes", regressor.fit(features, target), number)
        assert answer.json["schema"]["outputs"] == [{"name": "prediction", "type": "number", "quantile": 0.9}]
