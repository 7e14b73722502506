"""The same answer as JSON, CSV, NDJSON or an array."""

import csv
import io
import json
from typing import Any

import models
import numpy as np
import pytest
from conftest import StrictClient
from sklearn.datasets import load_iris, load_linnerud
from sklearn.linear_model import LinearRegression
from sklearn.preprocessing import StandardScaler

pytestmark = pytest.mark.extras

ROWS = load_iris().data[[0, 60, 120]].tolist()
INPUT = "id,x0,x1,x2,x3\n" + "\n".join(",".join(map(str, [f"r{i}", *row])) for i, row in enumerate(ROWS))
ADDRESS = "/models/iris/predict"


@pytest.fixture
def iris(client: StrictClient) -> StrictClient:
    client.put_model("iris", models.iris(), class_names="setosa,versicolor,virginica")
    return client


def table(answer: Any) -> list[list[str]]:
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/csv; charset=utf-8"), answer.data
    return list(csv.reader(io.StringIO(answer.data.decode(), newline="")))


def send(client: StrictClient, query: str, body: str = INPUT) -> Any:
    return client.post(f"{ADDRESS}{query}", data=body, content_type="text/csv")


@pytest.mark.parametrize("query", ["?format=csv", ""])
def test_a_table_comes_back_as_a_table_with_prediction_and_probabilities(iris: StrictClient, query: str) -> None:
    headers = {} if query else {"Accept": "text/csv"}
    answer = iris.post(f"{ADDRESS}{query}", data=INPUT, content_type="text/csv", headers=headers)
    rows = table(answer)
    assert rows[0] == ["id", "prediction", *(f"probability_{name}" for name in models.SPECIES)]
    assert [row[:2] for row in rows[1:]] == [["r0", "setosa"], ["r1", "versicolor"], ["r2", "virginica"]]
    probabilities = [[float(cell) for cell in row[2:]] for row in rows[1:]]
    assert probabilities == models.iris().predict_proba(ROWS).tolist()


def test_a_method_that_is_asked_for_comes_alone(iris: StrictClient) -> None:
    assert table(send(iris, "?format=csv&method=predict"))[0] == ["id", "prediction"]
    assert table(send(iris, "?format=csv&method=predict_proba"))[0][1:] == [
        f"probability_{name}" for name in models.SPECIES
    ]
    assert table(send(iris, "?format=csv&method=decision_function"))[0][1:] == [
        f"decision_{name}" for name in models.SPECIES
    ]


def test_wrong_rows_have_their_error_beside_them(iris: StrictClient) -> None:
    body = INPUT + "\nbad,1,x,3,4\nshort,1\n"
    rows = table(send(iris, "?format=csv&on_error=row", body))
    assert rows[0][-1] == "error"
    assert [row[-1] for row in rows[1:4]] == [""] * 3
    assert rows[4] == ["bad", "", "", "", "", "x1: expected a number, got text"]
    assert rows[5] == ["short", "", "", "", "", "expected 5 fields, as many as in the heading"]


def test_what_passes_through_is_as_it_was(iris: StrictClient) -> None:
    body = 'note,x0,x1,x2,x3\n"a ""quote"", and\na line",1,2,3,4\n=1+1,1,2,3,4\n'
    rows = table(send(iris, "?format=csv", body))
    assert [row[0] for row in rows] == ["note", 'a "quote", and\na line', "=1+1"]


def test_json_rows_become_csv_as_well(iris: StrictClient) -> None:
    rows = table(iris.post(f"{ADDRESS}?format=csv", json={"instances": ROWS}))
    assert [row[0] for row in rows] == ["prediction", *models.SPECIES]


def test_several_outputs_are_several_columns(client: StrictClient) -> None:
    features, targets = load_linnerud(return_X_y=True)
    client.put_model("iris", LinearRegression().fit(features, targets))
    rows = table(client.post(f"{ADDRESS}?format=csv", json={"instances": features.tolist()}))
    assert rows[0] == ["y0", "y1", "y2"]
    expected = LinearRegression().fit(features, targets).predict(features)
    np.testing.assert_array_equal(np.array(rows[1:], dtype=float), expected)
    client.put_model("scaled", StandardScaler().fit(features))
    rows = table(client.post("/models/scaled/predict?format=csv", json={"instances": [[1, 2, 3], [4, 5, 6]]}))
    assert rows[0] == ["transform_0", "transform_1", "transform_2"]


def test_lines_of_json(iris: StrictClient) -> None:
    answer = send(iris, "?format=ndjson&on_error=row", INPUT + "\nbad,1,x,3,4")
    assert answer.headers["Content-Type"] == "application/x-ndjson"
    lines = [json.loads(line) for line in answer.data.splitlines()]
    assert lines[0] == {"prediction": 0, "label": "setosa"}
    assert lines[3] == {
        "prediction": None, "label": None, "error": {"column": "x1", "message": "expected a number, got text"},
    }  # fmt: skip


def test_an_array_comes_back_bit_by_bit(iris: StrictClient) -> None:
    answer = send(iris, "?format=npy&method=predict_proba")
    array = np.load(io.BytesIO(answer.data), allow_pickle=False)
    np.testing.assert_array_equal(array, models.iris().predict_proba(ROWS))
    assert array.dtype == np.float64


def test_what_is_no_array_of_numbers_is_not_sent_as_one(iris: StrictClient) -> None:
    assert send(iris, "?format=npy&on_error=row", INPUT + "\nbad,1,x,3,4").status_code == 406
    iris.put_model("spam", models.spam())
    refused = iris.post("/models/spam/predict?format=npy", json={"instances": ["a"]})
    assert (refused.status_code, refused.mimetype) == (406, "application/problem+json")


@pytest.mark.parametrize("format_", ["json", "csv", "ndjson", "npy"])
def test_each_answer_says_in_headers_who_gave_it(iris: StrictClient, format_: str) -> None:
    answer = send(iris, f"?format={format_}")
    version = iris.get("/models/iris/versions/1").json
    assert [answer.headers[name] for name in ("X-Model", "X-Model-Version", "X-Model-Digest")] == [
        "iris", "1", version["digest"],
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ("*/*", "application/json"),
        ("text/html, */*;q=0.1", "application/json"),
        ("text/csv;q=0.5, application/json;q=0.4", "text/csv"),
        ("application/*", "application/json"),
        ("text/*", "text/csv"),
        ("application/x-npy", "application/x-npy"),
    ],
)
def test_the_format_is_negotiated(iris: StrictClient, accept: str, media_type: str) -> None:
    answer = iris.post(ADDRESS, json={"instances": ROWS}, headers={"Accept": accept})
    assert (answer.status_code, answer.mimetype) == (200, media_type)


def test_what_is_not_written_is_a_406_and_a_format_that_is_none_a_422(iris: StrictClient) -> None:
    refused = iris.post(ADDRESS, json={"instances": ROWS}, headers={"Accept": "text/html"})
    assert (refused.status_code, "text/csv" in refused.json["detail"]) == (406, True)
    assert send(iris, "?format=xlsx").status_code == 422
    for query in ("?on_error=never", "?decimal=x"):
        assert send(iris, query).status_code == 422


def test_a_link_answers_in_csv_when_asked(iris: StrictClient) -> None:
    link = f"{ADDRESS}?x0=5.1&x1=3.5&x2=1.4&x3=0.2"
    assert table(iris.get(link, headers={"Accept": "text/csv"}))[1][0] == "setosa"


def for_spreadsheet(client: StrictClient, *cells: str, query: str = "&spreadsheet=true") -> list[list[str]]:
    """What comes back of carried-along columns with these cells, in one row."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow([*(f"c{place}" for place in range(len(cells))), "x0", "x1", "x2", "x3"])
    writer.writerow([*cells, *ROWS[0]])
    return table(send(client, f"?format=csv&method=predict{query}", text.getvalue()))


@pytest.mark.parametrize("begin", ["=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠"])
def test_for_a_spreadsheet_no_text_begins_as_a_formula_does(iris: StrictClient, begin: str) -> None:
    heading, row = for_spreadsheet(iris, f"{begin}1+1", f"it;{begin}1+1", f'a "{begin}b",{begin}c')
    assert row[0] == f"'{begin}1+1"
    assert row[1] == (f"it;{begin}1+1" if begin.isspace() else f"it;'{begin}1+1")
    assert row[2] == f'a "{begin}b",{begin}c'
    assert heading[:3] == ["c0", "c1", "c2"]
    assert for_spreadsheet(iris, f"{begin}1+1", query="")[1][0] == f"{begin}1+1"


def test_for_a_spreadsheet_numbers_and_other_texts_are_as_they_were(iris: StrictClient) -> None:
    cells = [
        "-12.5",
        " -12.5 ",
        "+4",
        "-1,5",
        "1e-3",
        "-2E+5",
        "a-b",
        "a=b",
        "",
        "'=1",
        "x\r\ny",
        "me@example.com",
    ]
    assert for_spreadsheet(iris, *cells)[1][: len(cells)] == cells


def test_for_a_spreadsheet_numbers_that_go_on_as_formulas_are_none(iris: StrictClient) -> None:
    cells = ["-1+1", "+1|calc", "-1 x", "--1", "+-1", "-", "1;=2", "x\n=2", " =2", "\ufeff=2", "a; =2", "\xa0@2"]
    expected = [
        "'-1+1", "'+1|calc", "'-1 x", "'--1", "'+-1", "'-", "1;'=2", "x\n'=2", "' =2", "'\ufeff=2", "a;' =2",
        "'\xa0@2",
    ]  # fmt: skip
    assert for_spreadsheet(iris, *cells)[1][: len(cells)] == expected


def test_for_a_spreadsheet_headings_labels_and_errors_are_harmless_too(client: StrictClient) -> None:
    client.put_model(
        "iris", models.iris(), class_names='["=a()", "+b", "@c"]', column_names='["=w", "x", "y", "z"]'
    )
    body = "@id,=w,x,y,z\n=1,5.1,3.5,1.4,0.2\n2,tall,3.5,1.4,0.2\n"
    heading, first, second = table(send(client, "?format=csv&spreadsheet=1&on_error=row", body))
    assert heading[:3] == ["'@id", "prediction", "probability_=a()"]
    assert first[:2] == ["'=1", "'=a()"]
    assert second[-1].startswith("'=w: ")


@pytest.mark.parametrize("value", ["false", "0"])
def test_spreadsheet_false_leaves_texts_as_they_are(iris: StrictClient, value: str) -> None:
    assert for_spreadsheet(iris, "=1", query=f"&spreadsheet={value}")[1][0] == "=1"


@pytest.mark.parametrize("query", ["spreadsheet=yes", "spreadsheet=true&spreadsheet=false"])
def test_anything_else_than_true_and_false_is_refused(iris: StrictClient, query: str) -> None:
    assert send(iris, f"?format=csv&{query}").status_code == 422


def test_other_formats_have_texts_as_they_are(client: StrictClient) -> None:
    client.put_model("iris", models.iris(), class_names='["=a()", "+b", "@c"]')
    answer = client.post(f"{ADDRESS}?spreadsheet=true", json={"instances": ROWS[:1]})
    assert answer.json["labels"] == ["=a()"]
    accepted = client.post(
        f"{ADDRESS}?spreadsheet=true", json={"instances": ROWS[:1]}, headers={"Accept": "text/csv"}
    )
    assert table(accepted)[1][0] == "'=a()"


def test_a_column_may_be_called_spreadsheet(iris: StrictClient) -> None:
    body = INPUT.replace("id,", "spreadsheet,", 1)
    assert table(send(iris, "?format=csv&spreadsheet=true", body))[0][0] == "spreadsheet"


def test_the_download_of_a_page_is_for_spreadsheets(iris: StrictClient) -> None:
    assert (
        "/predict?format=csv&amp;on_error=row&amp;spreadsheet=true" in iris.get("/ui/models/iris/versions/1").text
    )
