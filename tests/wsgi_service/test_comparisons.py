"""Two versions on the same rows."""

from typing import Any

import models
import numpy as np
import pytest
from conftest import StrictClient
from sklearn.datasets import load_diabetes, load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.multiclass import OneVsRestClassifier

FEATURES, TARGET = load_iris(return_X_y=True)
FOREST = RandomForestClassifier(3, max_depth=1, random_state=0).fit(FEATURES, TARGET)
ADDRESS = "/models/iris/compare"


@pytest.fixture
def iris(client: StrictClient) -> StrictClient:
    client.put_model("iris", models.iris())
    client.put_model("iris", FOREST, 2)
    return client


def test_classifiers_are_compared_by_their_labels_and_probabilities(iris: StrictClient) -> None:
    answer = iris.post(ADDRESS, json={"a": "live", "b": 2, "instances": FEATURES.tolist()}).json
    one, other = models.iris().predict(FEATURES), FOREST.predict(FEATURES)
    found = answer["comparison"]
    assert (answer["a"], answer["b"], found["rows"]) == (1, 2, 150)
    assert found["agreement"] == pytest.approx((one == other).mean())
    counts = [[int(((one == a) & (other == b)).sum()) for b in range(3)] for a in range(3)]
    assert found["confusion"] == {"labels": [0, 1, 2], "counts": counts}
    change = FOREST.predict_proba(FEATURES) - models.iris().predict_proba(FEATURES)
    largest = found["largest_probability_change"]
    assert abs(largest["change"]) == np.abs(change).max()
    assert change[largest["row"], largest["class"]] == largest["change"]
    rows = np.flatnonzero(one != other)[:20].tolist()
    assert [entry["row"] for entry in found["disagreements"]] == rows
    assert found["disagreements"][0] == {"row": rows[0], "a": int(one[rows[0]]), "b": int(other[rows[0]])}


def test_regressors_are_compared_by_quantiles_of_their_differences(client: StrictClient) -> None:
    features, target = load_diabetes(return_X_y=True)
    one, other = LinearRegression().fit(features, target), Ridge().fit(features, target)
    client.put_model("iris", one)
    client.put_model("iris", other, 2)
    found = client.post(ADDRESS, json={"a": 1, "b": 2, "instances": features.tolist()}).json["comparison"]
    differences = other.predict(features) - one.predict(features)
    assert found["differences"]["0.5"] == pytest.approx(np.median(differences))
    assert found["differences"]["1"] == pytest.approx(differences.max())
    assert found["agreement"] == 0.0
    assert "confusion" not in found


def test_a_version_agrees_with_itself(iris: StrictClient) -> None:
    found = iris.post(ADDRESS, json={"a": 1, "b": 1, "instances": [[1, 2, 3, 4]]}).json["comparison"]
    assert (found["agreement"], found["disagreements"]) == (1.0, [])


def test_rows_come_as_csv(iris: StrictClient) -> None:
    body = "x3,x2,x1,x0\n0.2,1.4,3.5,5.1\n1.8,5.1,3.0,5.9\n"
    answer = iris.post(f"{ADDRESS}?a=1&b=2", data=body, content_type="text/csv")
    assert (answer.status_code, answer.json["comparison"]["rows"]) == (200, 2)


def test_a_record_may_have_columns_that_only_one_version_knows(client: StrictClient) -> None:
    client.put_model("iris", LinearRegression().fit([[0.0], [1.0]], [0.0, 2.0]), column_names="a")
    wide = LinearRegression().fit([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]], [0.0, 2.0, 5.0])
    client.put_model("iris", wide, 2, column_names="a,b")
    answer = client.post(ADDRESS, json={"a": 1, "b": 2, "instances": [{"a": 1, "b": 1}]}).json
    assert answer["comparison"]["differences"]["1"] == pytest.approx(5.0)
    refused = client.post(ADDRESS, json={"a": 1, "b": 2, "instances": [{"a": 1, "b": 1, "c": 1}]})
    assert refused.status_code == 422
    refused = client.post(ADDRESS, json={"a": 1, "b": 2, "instances": [{"a": 1}]})
    assert (refused.status_code, "version b" in refused.json["detail"]) == (422, True)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"a": 1, "b": 9, "instances": [[1, 2, 3, 4]]}, 404),
        ({"a": 1, "b": "nobody", "instances": [[1, 2, 3, 4]]}, 404),
        ({"a": 1, "instances": [[1, 2, 3, 4]]}, 422),
        ({"a": 1, "b": True, "instances": [[1, 2, 3, 4]]}, 422),
        ({"a": 1, "b": 0, "instances": [[1, 2, 3, 4]]}, 422),
        ({"a": 1, "b": "../x", "instances": [[1, 2, 3, 4]]}, 422),
        ({"a": 1, "b": 2, "instances": []}, 422),
        ({"a": 1, "b": 2, "instances": [[1]]}, 422),
        ({"a": 1, "b": 2, "rows": [[1]]}, 422),
        ({"a": "9" * 5000, "b": 2, "instances": [[1, 2, 3, 4]]}, 422),
        ({"a": "\u0661", "b": 2, "instances": [[1, 2, 3, 4]]}, 422),
        ({"a": 1, "b": 2, "instances": [[1, 2, 3, 4]] * 100_001}, 413),
    ],
)
def test_what_cannot_be_compared_is_refused(iris: StrictClient, body: Any, status: int) -> None:
    assert iris.post(ADDRESS, json=body).status_code == status


def test_a_heading_without_rows_is_refused(iris: StrictClient) -> None:
    answer = iris.post(f"{ADDRESS}?a=1&b=2", data="x0,x1,x2,x3\n", content_type="text/csv")
    assert (answer.status_code, "no rows" in answer.json["detail"]) == (422, True)


def test_a_parameter_that_is_not_known_is_refused(iris: StrictClient) -> None:
    answer = iris.post(f"{ADDRESS}?a=1&b=2&c=3", data="1,2,3,4\n", content_type="text/csv")
    assert (answer.status_code, answer.json["type"]) == (400, "/problems/unknown-parameter")


def test_rows_of_several_labels_are_compared(client: StrictClient) -> None:
    targets = np.array([[0, 1], [1, 0], [1, 1], [0, 0]] * 5)
    features = np.arange(20.0).reshape(-1, 1)
    client.put_model("iris", OneVsRestClassifier(LogisticRegression()).fit(features, targets))
    client.put_model("iris", RandomForestClassifier(3, random_state=0).fit(features, targets), 2)
    answer = client.post(ADDRESS, json={"a": 1, "b": 2, "instances": features.tolist()})
    assert answer.status_code == 200
    assert "confusion" not in answer.json["comparison"]


def test_only_a_few_comparisons_are_made_at_once(iris: StrictClient, app: Any) -> None:
    rule = next(rule for rule in app.url_map.iter_rules() if rule.rule.endswith("/compare"))
    turns = rule.endpoint.call.__self__._turns
    while turns.acquire(blocking=False):
        pass
    refused = iris.post(ADDRESS, json={"a": 1, "b": 2, "instances": [[1, 2, 3, 4]]})
    assert (refused.status_code, refused.json["type"]) == (503, "/problems/busy")
