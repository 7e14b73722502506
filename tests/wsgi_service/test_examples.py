"""Examples belong to a version: rows, and what it must answer for them."""

import io
from typing import Any

import models
import numpy as np
import pytest
from conftest import StrictClient
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

pytestmark = pytest.mark.extras

ROWS = load_iris().data[[0, 60, 120]].tolist()
IRIS = models.skops_bytes(models.iris())
ADDRESS = "/models/iris/versions/1/examples"


@pytest.fixture
def iris(client: StrictClient) -> StrictClient:
    client.put_model("iris", IRIS, class_names="setosa,versicolor,virginica")
    return client


def upload(client: StrictClient, examples: str, number: int = 1, model: bytes = IRIS, **fields: str) -> Any:
    parts = {
        "file": (io.BytesIO(model), "m.skops"),
        "examples": (io.BytesIO(examples.encode()), "e.csv"),
        **fields,
    }
    return client.put(f"/models/iris/versions/{number}", data=parts)


def csv(*columns: str) -> str:
    lines = [",".join(["x0", "x1", "x2", "x3", *columns])]
    return "\n".join(lines) + "\n"


def test_without_outputs_the_first_answers_are_recorded(iris: StrictClient) -> None:
    answer = iris.put(ADDRESS, json={"instances": ROWS})
    assert (answer.status_code, answer.json["given"], answer.json["mismatches"]) == (200, [], [])
    estimator = models.iris()
    assert answer.json["predictions"] == estimator.predict(ROWS).tolist()
    assert answer.json["probabilities"] == estimator.predict_proba(ROWS).tolist()
    assert answer.json["instances"][1] == dict(zip(("x0", "x1", "x2", "x3"), ROWS[1], strict=True))
    read = iris.get(ADDRESS).json
    assert read == {key: value for key, value in answer.json.items() if key != "mismatches"}


def test_given_outputs_are_kept_and_held_against_the_answers(iris: StrictClient) -> None:
    answer = iris.put(ADDRESS, json={"instances": ROWS, "predictions": [0, 1, 1], "tolerance": 0.1}).json
    assert (answer["given"], answer["predictions"], answer["tolerance"]) == (["predictions"], [0, 1, 1], 0.1)
    (wrong,) = answer["mismatches"]
    assert wrong == {"row": 2, "method": "predict", "expected": 1, "answered": 2}


def test_names_of_classes_are_read_as_the_classes(iris: StrictClient) -> None:
    answer = iris.put(ADDRESS, json={"instances": ROWS, "predictions": ["setosa", "versicolor", "virginica"]}).json
    assert (answer["predictions"], answer["mismatches"]) == ([0, 1, 2], [])


def test_what_was_answered_can_be_given_again(iris: StrictClient) -> None:
    iris.put(ADDRESS, json={"instances": ROWS})
    read = iris.get(ADDRESS).json
    given = read.pop("given")
    again = iris.put(ADDRESS, json=read)
    assert (given, again.json["given"], again.json["mismatches"]) == ([], ["predictions", "probabilities"], [])


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_examples_come_as_csv(iris: StrictClient, delimiter: str, mark: str, end: str) -> None:
    heading = ["x3", "x2", "x1", "x0", "prediction"]
    named = zip(ROWS, ("setosa", "1", "virginica"), strict=True)
    lines = [heading, *([*map(str, row[::-1]), name] for row, name in named)]
    body = mark + end.join(delimiter.join(line) for line in lines) + end
    answer = iris.put(ADDRESS, data=body.encode(), content_type="text/csv")
    assert (answer.status_code, answer.json["predictions"], answer.json["mismatches"]) == (200, [0, 1, 2], [])
    assert [list(row.values()) for row in answer.json["instances"]] == ROWS


def test_csv_without_a_heading_is_read_by_position(iris: StrictClient) -> None:
    body = "\n".join(",".join(map(str, row)) for row in ROWS)
    answer = iris.put(ADDRESS, data=body, content_type="text/csv")
    assert [list(row.values()) for row in answer.json["instances"]] == ROWS


def test_probabilities_come_as_columns_of_their_classes(iris: StrictClient) -> None:
    values = models.iris().predict_proba(ROWS)
    heading = csv("probability_virginica", "probability_setosa", "probability_1")
    lines = [",".join(map(str, [*row, p[2], p[0], p[1]])) for row, p in zip(ROWS, values.tolist(), strict=True)]
    answer = iris.put(ADDRESS, data=heading + "\n".join(lines), content_type="text/csv").json
    assert (answer["given"], answer["mismatches"]) == (["probabilities"], [])
    np.testing.assert_array_equal(answer["probabilities"], values)


def test_the_first_example_is_the_sample_of_the_columns(iris: StrictClient, client: StrictClient) -> None:
    iris.put(ADDRESS, json={"instances": ROWS})
    columns = iris.get("/models/iris/versions/1").json["schema"]["inputs"]
    assert [column["sample"] for column in columns] == ROWS[0]
    refused = iris.post("/models/iris/predict", json={"instances": [[1]]})
    assert list(refused.json["sample"]["instances"][0].values()) == ROWS[0]
    upload(client, csv() + "9,8,7,6\n", 2)
    columns = iris.get("/models/iris/versions/2").json["schema"]["inputs"]
    assert [column["sample"] for column in columns] == [9, 8, 7, 6]


def test_a_text_pipeline_has_examples_of_texts(client: StrictClient) -> None:
    client.put_model("spam", models.spam())
    address = "/models/spam/versions/1/examples"
    answer = client.put(address, json={"instances": ["cheap money now"], "predictions": ["spam"]})
    assert (answer.json["instances"], answer.json["mismatches"]) == (["cheap money now"], [])
    answer = client.put(address, data="text,prediction\nlunch at noon,ham\n", content_type="text/csv")
    assert (answer.json["instances"], answer.json["mismatches"]) == (["lunch at noon"], [])


@pytest.mark.parametrize(
    ("body", "status", "type_"),
    [
        ({"instances": [[1, 2]]}, 422, "invalid-rows"),
        ({"instances": []}, 422, "invalid-examples"),
        ({"instances": "x"}, 422, "invalid-request"),
        ({"predictions": [1]}, 422, "invalid-request"),
        ({"instances": ROWS, "outputs": []}, 422, "invalid-request"),
        ({"instances": ROWS, "predictions": [0]}, 422, "invalid-examples"),
        ({"instances": ROWS, "tolerance": "x"}, 422, "invalid-examples"),
        ({"instances": ROWS, "tolerance": 10**400}, 422, "invalid-examples"),
        ({"instances": ROWS, "predictions": [0, 1, 10**400]}, 422, "invalid-examples"),
        ({"instances": ROWS, "probabilities": [[0, 1, 10**30]] * 3}, 422, "invalid-examples"),
        ({"instances": ROWS, "tolerance": -1}, 422, "invalid-examples"),
        ({"instances": ROWS * 400}, 422, "invalid-examples"),
    ],
)
def test_examples_that_do_not_fit_are_refused(iris: StrictClient, body: Any, status: int, type_: str) -> None:
    answer = iris.put(ADDRESS, json=body)
    assert (answer.status_code, answer.json["type"]) == (status, f"/problems/{type_}")
    assert iris.get(ADDRESS).json["type"] == "/problems/no-examples"


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"", 422, "no rows"),
        (b"x0,x1,x2,x3\n1,2,3\n", 422, "row 0 of the CSV has 3 fields"),
        (b"x0,x0,x2,x3\n1,2,3,4\n", 422, "twice"),
        (b'x0,x1,x2,x3\n1,2,3,"4\n', 400, "cannot be read"),
        (b"x0,x1,x2,x3\n1,2,3,\xff\n", 400, "UTF-8"),
        (b"x0,x1,x2,x3\n1,2,3,\n", 422, "row 0, column 'x3'"),
        (b"x0,x1,x2,x3,prediction\n1,2,3,4,rose\n", 422, "none of the classes"),
        (b"x0,x1,x2,x3,probability_0\n1,2,3,4,1\n", 422, "one column for each class"),
        (
            b"x0,x1,x2,x3,probability_0,probability_1,probability_2,probability_9\n1,2,3,4,1,0,0,0\n",
            422,
            "no other",
        ),
        (b"x0,x1,x2,x3\n", 422, "no rows"),
        (b"x0,x1,x2,x3,probability_0,probability_1,probability_2\n1,2,3,4,1,0,no\n", 422, "not a number"),
    ],
)
def test_csv_that_does_not_fit_is_refused(iris: StrictClient, body: bytes, status: int, words: str) -> None:
    answer = iris.put(ADDRESS, data=body, content_type="text/csv")
    assert (answer.status_code, words in answer.json["detail"]) == (status, True), answer.json


@pytest.mark.parametrize("written", ["True", "true", "TRUE", " true "])
def test_labels_in_csv_may_be_written_as_pandas_writes_them(client: StrictClient, written: str) -> None:
    numbers, truth = [[0.0], [1.0]] * 5, [False, True] * 5
    client.put_model("iris", LogisticRegression().fit(numbers, truth))
    answer = client.put(ADDRESS, data=f"x0,prediction\n1,{written}\n", content_type="text/csv")
    assert answer.json["predictions"] == [True]
    client.put_model("iris", LogisticRegression().fit(numbers, [0, 3] * 5), 2)
    second = ADDRESS.replace("/1/", "/2/")
    assert client.put(second, data="x0,prediction\n1,3.0\n", content_type="text/csv").json["predictions"] == [3]


def test_json_is_read_as_windows_writes_it_and_never_as_csv(iris: StrictClient) -> None:
    text = '{"instances": [[1, 2, 3, 4]]}'
    for body in (text.encode("utf-8-sig"), text.encode("utf-16")):
        assert iris.put(ADDRESS, data=body, content_type="application/json").status_code == 200
    for body in (b"1,2,3,4", b"[[1,2,3,4]]", b""):
        answer = iris.put(ADDRESS, data=body, content_type="application/json")
        assert answer.status_code in {400, 422}
        assert "CSV" not in answer.json["detail"]


def test_the_answer_has_the_tag_of_what_is_there_now(iris: StrictClient) -> None:
    answer = iris.put(ADDRESS, json={"instances": ROWS, "tolerance": 1})
    assert answer.headers["ETag"] == iris.get(ADDRESS).headers["ETag"]


def test_a_model_may_have_a_column_that_is_called_prediction(client: StrictClient) -> None:
    client.put_model("iris", models.line(), column_names="prediction")
    answer = client.put(ADDRESS, data="prediction\n2\n", content_type="text/csv")
    assert (answer.json["instances"], answer.json["given"]) == ([{"prediction": 2}], [])


def test_another_type_is_a_415(iris: StrictClient) -> None:
    assert iris.put(ADDRESS, data=b"x", content_type="text/html").status_code == 415


def test_examples_come_with_the_upload(client: StrictClient) -> None:
    lines = csv("prediction") + "5.1,3.5,1.4,0.2,setosa\n"
    assert upload(client, lines, class_names="setosa,versicolor,virginica").status_code == 201
    assert client.get(ADDRESS).json["given"] == ["predictions"]
    assert client.get("/models/iris").json["aliases"] == {"live": 1}


def test_a_first_version_that_fails_its_examples_does_not_get_live(client: StrictClient) -> None:
    assert upload(client, csv("prediction") + "5.1,3.5,1.4,0.2,2\n").status_code == 201
    assert client.get("/models/iris").json["aliases"] == {}
    assert "At the upload 1 of 1 examples" in client.get("/models/iris/versions/1").json["warnings"][0]


@pytest.mark.parametrize(
    "examples", ["x0,x1\n1,2\n", "{", '{"instances": [[1]]}', csv("prediction") + "1,2,3,4,9\n"]
)
def test_an_upload_with_wrong_examples_leaves_nothing(
    client: StrictClient, left_behind: Any, examples: str
) -> None:
    assert upload(client, examples).status_code in {400, 422}
    assert client.get("/models/iris").status_code == 404
    assert left_behind() == []
