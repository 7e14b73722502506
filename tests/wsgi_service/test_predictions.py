"""Predicts over HTTP: every way to ask, and answers equal to the local estimator's."""

from typing import Any

import models
import numpy as np
import pytest
from conftest import StrictClient
from sklearn.compose import ColumnTransformer, make_column_selector
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.multioutput import MultiOutputClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier

pytestmark = pytest.mark.extras

ROWS = [[5.1, 3.5, 1.4, 0.2], [6.7, 3.0, 5.2, 2.3]]


@pytest.fixture
def iris(client: StrictClient) -> StrictClient:
    client.put_model("iris", models.iris(), class_names='["setosa","versicolor","virginica"]')
    return client


@pytest.fixture
def named(client: StrictClient) -> StrictClient:
    names = '["sepal length (cm)","sepal width (cm)","petal length (cm)","petal width (cm)"]'
    client.put_model("iris", models.iris(), column_names=names)
    return client


def test_an_answer_says_which_version_gave_it(iris: StrictClient) -> None:
    answer = iris.post("/predict", json={"model": "iris", "instances": ROWS}, headers={"X-Request-Id": "r-1"})
    version = iris.get("/models/iris/versions/1").json
    assert answer.status_code == 200
    assert answer.json == {
        "model": "iris",
        "version": 1,
        "alias": "live",
        "digest": version["digest"],
        "method": "predict",
        "engine": "native",
        "predictions": [0, 2],
        "labels": ["setosa", "virginica"],
        "request_id": "r-1",
    }
    assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
    assert answer.headers["X-Request-Id"] == "r-1"


def test_with_one_model_its_name_may_be_left_out(iris: StrictClient) -> None:
    assert iris.post("/predict", json={"instances": ROWS}).json["predictions"] == [0, 2]
    iris.put_model("line", models.line())
    refused = iris.post("/predict", json={"instances": ROWS})
    assert (refused.status_code, "must name one" in refused.json["detail"]) == (422, True)


def test_without_any_model_there_is_nothing_to_ask(client: StrictClient) -> None:
    assert client.post("/predict", json={"instances": ROWS}).status_code == 404


@pytest.mark.parametrize(
    ("url", "more"),
    [
        ("/predict", {"model": "iris"}),
        ("/predict", {"model": "iris", "version": 1}),
        ("/predict", {"model": "iris", "alias": "live"}),
        ("/models/iris/predict", {}),
        ("/models/iris/versions/1/predict", {}),
        ("/models/iris/aliases/live/predict", {}),
    ],
)
@pytest.mark.parametrize("method", ["predict", "predict_proba", "predict_log_proba", "decision_function"])
def test_each_address_and_method_answers_as_the_estimator(
    iris: StrictClient, url: str, more: Any, method: str
) -> None:
    answer = iris.post(url, json={"instances": ROWS, "method": method, **more}).json
    expected = getattr(models.iris(), method)(np.array(ROWS))
    assert answer["predictions"] == expected.tolist()
    assert ("classes" in answer) == (method != "predict")
    assert ("alias" in answer) == ("version" not in more and "versions" not in url)


def test_a_forest_on_real_data_is_bit_equal(client: StrictClient) -> None:
    features, _ = load_breast_cancer(return_X_y=True)
    client.put_model("cancer", models.forest())
    for method in ("predict", "predict_proba"):
        answer = client.post("/predict", json={"instances": features.tolist(), "method": method})
        assert answer.json["predictions"] == getattr(models.forest(), method)(features).tolist()


def test_missing_values_are_null_and_answers_are_bit_equal(client: StrictClient) -> None:
    features, _ = models.gappy_diabetes()
    client.put_model("diabetes", models.boosting())
    rows = [[None if np.isnan(value) else value for value in row] for row in features.tolist()]
    answer = client.post("/predict", json={"instances": rows})
    assert answer.json["predictions"] == models.boosting().predict(features).tolist()


def test_a_table_of_numbers_categories_and_text_is_bit_equal(client: StrictClient) -> None:
    table = models.people_table()
    assert client.put_model("people", models.people()).status_code == 201
    records = table.astype(object).where(table.notna(), None).to_dict("records")
    for method in ("predict", "predict_proba"):
        answer = client.post("/models/people/predict", json={"instances": records, "method": method})
        assert answer.status_code == 200, answer.json
        assert answer.json["predictions"] == getattr(models.people(), method)(table).tolist()
    rows = [[record[name] for name in table.columns] for record in records]
    assert (
        client.post("/predict", json={"instances": rows}).json["predictions"]
        == models.people().predict(table).tolist()
    )
    without = [{key: value for key, value in record.items() if key != "unused"} for record in records]
    assert client.post("/predict", json={"instances": without}).status_code == 200


@pytest.mark.parametrize("unknown", ["ignore", "error"])
def test_a_missing_text_is_none_or_nan_as_the_encoder_was_fitted(client: StrictClient, unknown: str) -> None:
    pd = pytest.importorskip("pandas")
    for missing in (None, np.nan):
        table = pd.DataFrame({"city": pd.Series(["Oslo", "Rome", missing] * 5, dtype=object)})
        encoder = ColumnTransformer([("c", OneHotEncoder(handle_unknown=unknown), ["city"])])
        pipeline = make_pipeline(encoder, LogisticRegression()).fit(table, [0, 1, 1] * 5)
        client.put_model("city", pipeline, 1 if missing is None else 2)
        number = 1 if missing is None else 2
        body = {"instances": [["Oslo"], [None]], "method": "predict_proba"}
        answer = client.post(f"/models/city/versions/{number}/predict", json=body)
        assert answer.json["predictions"] == pipeline.predict_proba(table.iloc[[0, 2]]).tolist()
        link = client.get(f"/models/city/versions/{number}/predict?city=&method=predict_proba")
        assert link.json["prediction"] == answer.json["predictions"][1]


def test_whole_numbers_beyond_what_a_float_holds_stay_themselves(client: StrictClient) -> None:
    ids = [[9007199254740993], [9007199254740992]] * 5
    pipeline = make_pipeline(OneHotEncoder(), LogisticRegression()).fit(np.array(ids), [0, 1] * 5)
    client.put_model("ids", pipeline)
    assert client.post("/predict", json={"instances": ids[:2]}).json["predictions"] == [0, 1]
    assert client.post("/predict", json={"instances": [[9007199254740994]]}).status_code == 422


def test_columns_chosen_by_their_type_are_served(client: StrictClient) -> None:
    pytest.importorskip("pandas")
    table = models.people_table()[["age", "visits"]].fillna(0)
    transformer = ColumnTransformer([("n", StandardScaler(), make_column_selector(dtype_include=np.number))])
    pipeline = make_pipeline(transformer, LogisticRegression()).fit(table, [0, 1] * 15)
    assert client.put_model("chosen", pipeline).status_code == 201
    answer = client.post("/predict", json={"instances": table.to_dict("records"), "method": "predict_proba"})
    assert answer.json["predictions"] == pipeline.predict_proba(table).tolist()


def test_records_go_by_name_in_any_order(named: StrictClient) -> None:
    record = dict(zip(models.MEASURES, ROWS[1], strict=True))
    backwards = dict(reversed(list(record.items())))
    for body in ({"instances": [record]}, {"instances": [backwards]}):
        assert named.post("/predict", json=body).json["predictions"] == [2]


def test_one_flat_record_gets_its_single_prediction(named: StrictClient) -> None:
    record = {name: str(value) for name, value in zip(models.MEASURES, ROWS[0], strict=True)}
    for url, body in (("/predict", {"model": "iris", **record}), ("/models/iris/predict", record)):
        answer = named.post(url, json=body).json
        assert (answer["prediction"], answer["predictions"]) == (0, [0])


def test_a_column_may_be_called_like_a_control_key_under_the_models_own_address(client: StrictClient) -> None:
    client.put_model("line", models.line(), column_names="version")
    assert client.post("/models/line/predict", json={"version": 2}).json["prediction"] == pytest.approx(5)
    assert client.get("/models/line/predict?version=2").json["prediction"] == pytest.approx(5)


def test_a_link_predicts(named: StrictClient) -> None:
    columns = dict(zip(models.MEASURES, ROWS[0], strict=True))
    answer = named.get("/predict", query_string={"model": "iris", "version": 1, "method": "predict", **columns})
    assert (answer.status_code, answer.json["prediction"]) == (200, 0)
    assert named.get("/models/iris/predict", query_string=columns).json["prediction"] == 0


def test_a_link_without_columns_names_them(named: StrictClient) -> None:
    answer = named.get("/predict?model=iris")
    assert (answer.status_code, answer.json["type"]) == (422, "/problems/invalid-rows")
    assert [column["name"] for column in answer.json["expected"]] == models.MEASURES


def test_texts_are_read_bare_in_lists_and_in_records(client: StrictClient) -> None:
    client.put_model("spam", models.spam())
    for instances in (["cheap money"], [["cheap money"]], [{"text": "cheap money"}]):
        assert client.post("/predict", json={"instances": instances}).json["predictions"] == ["spam"]
    assert client.post("/predict", json={"text": "see you at noon"}).json["prediction"] == "ham"
    assert client.get("/predict?text=cheap+money").json["prediction"] == "spam"


def test_categories_are_checked_by_what_the_encoder_allows(client: StrictClient) -> None:
    client.put_model("colours", models.colours())
    assert client.post("/predict", json={"instances": [["red"]]}).json["predictions"] == ["warm"]
    refused = client.post("/predict", json={"instances": [["red"], ["blue"]]})
    assert refused.json["errors"] == [{"row": 1, "column": "x0", "message": "not one of the allowed: green, red"}]


def test_several_outputs_are_row_major(client: StrictClient) -> None:
    features, target = load_iris(return_X_y=True)
    ridge = Ridge().fit(features, np.c_[target, -target])
    tree = MultiOutputClassifier(DecisionTreeClassifier(max_depth=2)).fit(features, np.c_[target, target > 0])
    client.put_model("ridge", ridge)
    client.put_model("tree", tree)
    answer = client.post("/models/ridge/predict", json={"instances": ROWS})
    assert answer.json["predictions"] == ridge.predict(ROWS).tolist()
    answer = client.post("/models/tree/predict", json={"instances": ROWS, "method": "predict_proba"}).json
    per_output = [part.tolist() for part in tree.predict_proba(ROWS)]
    assert answer["predictions"] == [[per_output[0][row], per_output[1][row]] for row in range(2)]
    assert answer["classes"] == [[0, 1, 2], [0, 1]]


def test_outputs_that_are_not_finite_are_null_with_a_warning(client: StrictClient) -> None:
    client.put_model("line", models.line())
    answer = client.post("/predict", json={"instances": [[1e308], [1.0]]})
    assert answer.json["predictions"] == [None, 3.0]
    assert answer.json["warnings"] == ["Some outputs are not finite numbers; they are null here."]


def test_an_alias_that_moved_answers_with_the_next_request(iris: StrictClient) -> None:
    iris.put_model("iris", models.line(), 2)
    assert iris.post("/models/iris/predict", json={"instances": ROWS}).json["version"] == 1
    iris.put("/models/iris/aliases/live", json={"version": 2, "force": True})
    assert iris.post("/models/iris/predict", json={"instances": [[1.0]]}).json["version"] == 2


def test_a_version_that_was_deleted_answers_404(iris: StrictClient) -> None:
    iris.put_model("iris", models.line(), 2)
    assert iris.post("/models/iris/versions/2/predict", json={"instances": [[1.0]]}).status_code == 200
    iris.delete("/models/iris/versions/2")
    assert iris.post("/models/iris/versions/2/predict", json={"instances": [[1.0]]}).status_code == 404
    iris.delete("/models/iris")
    assert iris.post("/models/iris/predict", json={"instances": ROWS}).status_code == 404


def test_without_live_the_answer_says_how_to_set_it(iris: StrictClient) -> None:
    iris.delete("/models/iris/aliases/live")
    answer = iris.post("/models/iris/predict", json={"instances": ROWS})
    assert (answer.status_code, answer.json["type"]) == (404, "/problems/alias-not-found")
    assert "PUT /models/iris/aliases/live" in answer.json["detail"]
