"""Every way to send rows gives the same answers, and the same errors by row and column."""

import io
import json
from typing import Any

import models
import numpy as np
import pytest
from conftest import StrictClient
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import load_iris

from model_store.schema import Column, Schema
from wsgi_service.rows.control import HOW
from wsgi_service.rows.formats import csv_body, csv_numbers, json_body
from wsgi_service.rows.unread import Reading

pytestmark = pytest.mark.extras

ROWS = load_iris().data[[0, 60, 120]].tolist()
NAMES = models.MEASURES
ADDRESS = "/models/iris/predict"
FILE = "multipart/form-data"


@pytest.fixture
def iris(client: StrictClient) -> StrictClient:
    client.put_model("iris", models.iris(), column_names=json.dumps(NAMES))
    return client


def as_csv(rows: list[list[Any]], names: list[str] | None = NAMES, delimiter: str = ",") -> bytes:
    lines = [names, *rows] if names else rows
    return "\n".join(delimiter.join(map(str, line)) for line in lines).encode()


def as_npy(array: Any, **options: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, array, **options)
    return file.getvalue()


BODIES: dict[str, tuple[str, bytes]] = {
    "instances by position": ("application/json", json.dumps({"instances": ROWS}).encode()),
    "instances by name": (
        "application/json",
        json.dumps({"instances": [dict(zip(NAMES, row, strict=True)) for row in ROWS]}).encode(),
    ),
    "columns": (
        "application/json",
        json.dumps({"inputs": {name: [row[i] for row in ROWS] for i, name in enumerate(NAMES)}}).encode(),
    ),
    "inputs by row": ("application/json", json.dumps({"inputs": ROWS}).encode()),
    "dataframe_split": (
        "application/json",
        json.dumps({"dataframe_split": {"columns": NAMES[::-1], "data": [row[::-1] for row in ROWS]}}).encode(),
    ),
    "dataframe_split with an index": (
        "application/json",
        json.dumps({"dataframe_split": {"index": [0, 1, 2], "columns": NAMES, "data": ROWS}}).encode(),
    ),
    "dataframe_records": (
        "application/json",
        json.dumps({"dataframe_records": [dict(zip(NAMES, row, strict=True)) for row in ROWS]}).encode(),
    ),
    "csv by name": ("text/csv", as_csv([row[::-1] for row in ROWS], NAMES[::-1])),
    "csv by position": ("text/csv", as_csv(ROWS, None)),
    "csv with a mark and CRLF": ("text/csv", b"\xef\xbb\xbf" + as_csv(ROWS).replace(b"\n", b"\r\n")),
    "csv in UTF-16": ("text/csv", as_csv(ROWS).decode().encode("utf-16")),
    "csv with semicolons": ("text/csv", as_csv(ROWS, delimiter=";")),
    "csv with tabs": ("text/csv", as_csv(ROWS, delimiter="\t")),
    "csv with tabs, and commas in a name": (
        "text/csv",
        as_csv([[*row, "x"] for row in ROWS], [*NAMES, "a, b, c, d, e, f"], "\t"),
    ),
    "csv with semicolons, and commas in names": (
        "text/csv",
        as_csv([[*row, "x", 1] for row in ROWS], [*NAMES, "price, EUR", "size, cm, or in, or ft, or m"], ";"),
    ),
    "csv with commas, and a quoted name with tabs": (
        "text/csv",
        as_csv([[*row, "x"] for row in ROWS], [*NAMES, '"a\tb\tc\td\te\tf"']),
    ),
    "csv with quotes": ("text/csv", as_csv([[f'"{value}"' for value in row] for row in ROWS])),
    "csv with other columns": ("text/csv", as_csv([[*row, "x"] for row in ROWS], [*NAMES, "id"])),
    "ndjson": ("application/x-ndjson", "\n".join(json.dumps(row) for row in ROWS).encode()),
    "ndjson by name": (
        "application/x-ndjson",
        "\r\n".join(json.dumps(dict(zip(NAMES, row, strict=True))) for row in ROWS).encode() + b"\n\n",
    ),
    "npy": ("application/x-npy", as_npy(np.array(ROWS))),
    "npy in columns": ("application/x-npy", as_npy(np.asfortranarray(ROWS))),
    "npy the other way round": ("application/x-npy", as_npy(np.array(ROWS, dtype=">f8"))),
}


@pytest.mark.parametrize("body", BODIES)
def test_rows_are_read_the_same_however_they_are_written(iris: StrictClient, body: str) -> None:
    type_, content = BODIES[body]
    answer = iris.post(ADDRESS, data=content, content_type=type_)
    assert answer.status_code == 200, answer.json
    assert answer.json["predictions"] == models.iris().predict(ROWS).tolist()
    query = {"method": "predict_proba"}
    if type_ == "application/json":
        content = json.dumps(json.loads(content) | query).encode()
        query = {}
    exact = iris.post(ADDRESS, data=content, content_type=type_, query_string=query)
    assert exact.json["predictions"] == models.iris().predict_proba(np.array(ROWS)).tolist()


@pytest.mark.parametrize("name", ["in.csv", "in.CSV", "in.json", "in.ndjson", "in.npy", "in.txt"])
def test_a_file_is_sent_by_a_form_with_the_model_beside_it(iris: StrictClient, name: str) -> None:
    contents = {
        ".json": BODIES["instances by name"][1], ".ndjson": BODIES["ndjson"][1], ".npy": BODIES["npy"][1],
    }  # fmt: skip
    content = contents.get(name[name.index(".") :], BODIES["csv by name"][1])
    parts = {"file": (io.BytesIO(content), name), "model": "iris", "version": "1"}
    answer = iris.post("/predict", data=parts)
    assert (answer.status_code, answer.json["predictions"]) == (200, [0, 1, 2])
    assert "alias" not in answer.json


def test_a_form_of_a_page_is_one_record(iris: StrictClient) -> None:
    fields = dict(zip(NAMES, map(str, ROWS[1]), strict=True)) | {"model": "iris", "method": "predict"}
    answer = iris.post("/predict", data=fields)
    assert (answer.status_code, answer.json["prediction"]) == (200, 1)


@pytest.mark.parametrize("body", ['{"instances": [[1]]}', "  [[1,2,3,4]]"])
def test_json_that_curl_sent_as_a_form_is_told_how(iris: StrictClient, body: str) -> None:
    answer = iris.post("/predict", data=body, content_type="application/x-www-form-urlencoded")
    assert answer.status_code == 415
    assert '-H "Content-Type: application/json"' in answer.json["detail"]


def test_control_keys_stand_in_one_place(iris: StrictClient) -> None:
    twice = iris.post("/predict?model=iris", json={"model": "iris", "instances": ROWS})
    assert twice.status_code == 422
    assert iris.post("/predict?model=iris", json={"instances": ROWS}).status_code == 200
    assert iris.post(f"{ADDRESS}?model=iris", json={"instances": ROWS}).status_code == 400
    assert iris.post(f"{ADDRESS}?onerror=row", json={"instances": ROWS}).status_code == 400


WRONG: dict[str, tuple[str, bytes]] = {
    "json": ("application/json", json.dumps({"instances": [ROWS[0], [1, "x", 3, None]]}).encode()),
    "csv": ("text/csv", as_csv([ROWS[0], [1, "x", 3, ""]])),
    "ndjson": ("application/x-ndjson", json.dumps(ROWS[0]).encode() + b'\n[1, "x", 3, null]'),
}


@pytest.mark.parametrize("body", WRONG)
def test_wrong_cells_are_named_by_row_and_column(iris: StrictClient, body: str) -> None:
    type_, content = WRONG[body]
    answer = iris.post(ADDRESS, data=content, content_type=type_)
    assert (answer.status_code, answer.json["type"]) == (422, "/problems/invalid-rows")
    found = [(error["row"], error["column"]) for error in answer.json["errors"]]
    assert found == [(1, NAMES[1]), (1, NAMES[3])]
    assert {error.get("line") for error in answer.json["errors"]} == ({3} if body == "csv" else {None})


@pytest.mark.parametrize("body", WRONG)
def test_row_by_row_the_good_rows_are_predicted_and_the_others_named(iris: StrictClient, body: str) -> None:
    type_, content = WRONG[body]
    answer = iris.post(f"{ADDRESS}?on_error=row", data=content, content_type=type_)
    assert (answer.status_code, answer.json["predictions"]) == (200, [0, None])
    assert {error["row"] for error in answer.json["errors"]} == {1}
    assert answer.json["warnings"]


def test_row_by_row_not_one_has_to_be_right(iris: StrictClient) -> None:
    answer = iris.post(f"{ADDRESS}?on_error=row", json={"instances": [[1], "x", None]})
    assert (answer.status_code, answer.json["predictions"]) == (200, [None] * 3)
    assert [error["row"] for error in answer.json["errors"]] == [0, 1, 2]


def test_the_line_is_the_one_that_a_spreadsheet_shows(iris: StrictClient) -> None:
    """Also behind a field with a line break in it, and behind empty lines."""
    content = as_csv([['"a\nb"', *ROWS[0]], ["c", 1, 2, 3, "x"]], ["id", *NAMES]) + b"\n\n" + b"d,1,2,x,4"
    answer = iris.post(ADDRESS, data=content, content_type="text/csv")
    assert [(error["row"], error["line"]) for error in answer.json["errors"]] == [(1, 4), (2, 6)]


def test_decimal_commas_are_recognised_and_read_when_asked(iris: StrictClient) -> None:
    content = as_csv([[str(value).replace(".", ",") for value in row] for row in ROWS], delimiter=";")
    refused = iris.post(ADDRESS, data=content, content_type="text/csv")
    assert (refused.status_code, "?decimal=," in refused.json["detail"]) == (422, True)
    answer = iris.post(f"{ADDRESS}?decimal=,", data=content, content_type="text/csv")
    assert answer.json["predictions"] == [0, 1, 2]


@pytest.mark.parametrize(
    ("type_", "content", "status"),
    [
        ("text/csv", b"", 422),
        ("text/csv", as_csv([], NAMES), 422),
        ("text/csv", as_csv([ROWS[0][:3]], NAMES[:3]), 422),
        ("text/csv", as_csv([ROWS[0][:3]], NAMES), 422),
        ("text/csv", as_csv([[1, 2, 3, "1_0"]], None), 422),
        ("text/csv", as_csv([[1, 2, 3, "nan"]], None), 422),
        ("text/csv", as_csv([[1, 2, 3, "1e400"]], None), 422),
        ("text/csv", b"\xff\xfe\xff", 400),
        ("text/csv", b'1,2,3,"4', 400),
        ("application/x-ndjson", b"", 422),
        ("application/x-ndjson", b"[1,2,3,4]\n[1,", 400),
        ("application/x-ndjson", b"[" * 100_000, 400),
        ("application/x-npy", b"", 400),
        ("application/x-npy", b"\x93NUMPY\x01\x00", 400),
        ("application/x-npy", as_npy(np.array(ROWS))[:-1], 400),
        ("application/x-npy", as_npy(np.zeros((2, 4))).replace(b"(2, 4), }  ", b"(-2, -4), }"), 422),
        ("application/x-npy", as_npy(np.array(ROWS)) + b"x", 400),
        ("application/x-npy", as_npy(np.array(ROWS)).replace(b"(3, 4)", b"(9, 4)"), 400),
        ("application/x-npy", as_npy(np.array(ROWS)).replace(b"<f8", b"|O8"), 422),
        ("application/x-npy", as_npy(np.array([[{}]]), allow_pickle=True), 422),
        ("application/x-npy", as_npy(np.array(ROWS)[0]), 422),
        ("application/x-npy", as_npy(np.array(ROWS)[:, :3]), 422),
        ("application/x-npy", as_npy(np.zeros((0, 4))), 422),
        ("application/x-npy", as_npy(np.array([[1, 2, 3, np.nan]])), 422),
        ("application/x-npy", as_npy(np.array([[1, 2, 3, np.inf]])), 422),
        ("application/json", b'{"inputs": {"a": [1], "b": [1, 2]}}', 422),
        ("application/json", b'{"inputs": {"a": 1}}', 422),
        ("application/json", b'{"dataframe_split": {"data": 1}}', 422),
        ("application/json", b'{"dataframe_split": {"columns": 1, "data": [[1]]}}', 422),
        ("application/json", b'{"dataframe_split": {"columns": ["a"], "data": [[1, 2]]}}', 422),
        ("application/json", b'{"dataframe_records": {}}', 422),
        ("application/json", b'{"instances": [[1,2,3,4]], "inputs": [[1,2,3,4]]}', 422),
        ("application/x-www-form-urlencoded", b"a=%ff", 400),
        ("application/x-www-form-urlencoded", b"", 422),
    ],
)
def test_bodies_that_are_wrong_are_refused(iris: StrictClient, type_: str, content: bytes, status: int) -> None:
    answer = iris.post(ADDRESS, data=content, content_type=type_)
    assert answer.status_code == status, answer.json
    assert answer.mimetype == "application/problem+json"


@pytest.mark.parametrize("body", ["csv by position", "ndjson", "npy", "columns"])
def test_the_row_limit_holds_for_every_format(folder: Any, pool: Any, body: str) -> None:
    from wsgi_service.app import create_app
    from wsgi_service.settings import Settings

    service = create_app(Settings(data=str(folder), row_limit=2), pool)
    client = StrictClient(service)
    client.put_model("iris", models.iris(), column_names=json.dumps(NAMES))
    type_, content = BODIES[body]
    assert client.post(ADDRESS, data=content, content_type=type_).status_code == 413
    service.catalog.registry.close()


def test_texts_and_categories_come_as_csv(client: StrictClient) -> None:
    client.put_model("spam", models.spam())
    answer = client.post("/predict", data='text\n"cheap money, now"\nlunch\n', content_type="text/csv")
    assert answer.json["predictions"] == models.spam().predict(["cheap money, now", "lunch"]).tolist()
    client.put_model("colours", models.colours())
    address = "/models/colours/predict"
    answer = client.post(address, data="x0\nred\ngreen\nblue\n", content_type="text/csv")
    assert "not one of the allowed: green, red" in answer.json["detail"]
    answer = client.post(f"{address}?on_error=row", data="x0\nred\ngreen\nblue\n", content_type="text/csv")
    assert answer.json["predictions"] == ["warm", "cold", None]


def test_missing_values_come_as_empty_cells_and_as_nan(client: StrictClient) -> None:
    client.put_model("gaps", models.boosting())
    rows = models.gappy_diabetes()[0][:3]
    expected = models.boosting().predict(rows).tolist()
    lines = [["" if np.isnan(value) else repr(value) for value in row] for row in rows.tolist()]
    names = [f"x{index}" for index in range(rows.shape[1])]
    answer = client.post("/predict", data=as_csv(lines, names), content_type="text/csv")
    assert answer.json["predictions"] == expected
    answer = client.post("/predict", data=as_npy(rows), content_type="application/x-npy")
    assert answer.json["predictions"] == expected


NUMBERS = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**63), 2**63)


@given(rows=st.lists(st.lists(NUMBERS, min_size=2, max_size=2), min_size=1, max_size=5))
def test_numbers_in_csv_are_those_that_were_written(rows: list[list[float]]) -> None:
    schema = Schema(inputs=tuple(Column(name=name, type="number") for name in "ab"))
    text = "\n".join(",".join(repr(value) for value in row) for row in [*rows]).encode()
    read = csv_body.read_sent(text, {}).read(schema, Reading(100))
    assert read.table is not None
    np.testing.assert_array_equal(read.table.matrix, np.array(rows, dtype=float))


def test_very_wide_csv_is_read_by_looking_names_up() -> None:
    """With 50,000 names in another order, searching a list for each would take minutes."""
    names = [f"column {index}" for index in range(50_000)]
    schema = Schema(inputs=tuple(Column(name=name, type="number") for name in names))
    body = as_csv([[*range(49_999, -1, -1), "x"]], [*names[::-1], "id"])
    read = csv_body.read_sent(body, {}).read(schema, Reading(100))
    assert read.table is not None
    assert read.table.matrix is not None
    assert read.table.matrix[0, [0, 1, 49_999]].tolist() == [0.0, 1.0, 49_999.0]
    assert read.passing == {"id": ["x"]}


@pytest.mark.parametrize("decimal", [".", ","])
def test_a_column_that_is_not_used_may_be_left_out_of_texts_too(client: StrictClient, decimal: str) -> None:
    client.put_model("people", models.people())
    address = f"/models/people/predict?decimal={decimal}"
    body = "age;visits;city;note\n31;2;Oslo;all good\n"
    assert client.post(address, data=body, content_type="text/csv").json["predictions"] == ["stay"]
    fields = {"age": "31", "visits": "2", "city": "Oslo", "note": "all good"}
    assert client.post(address, data=fields).json["prediction"] == "stay"
    assert client.get("/models/people/predict", query_string=fields).json["prediction"] == "stay"


FIELDS = st.sampled_from(
    ["1", "-2.5", "3e2", "0", "", "x", '"4"', "01", ".5", "5.", "nan", "1e400", "1;2", " 6 ", "[7]", "1_0"]
)


@given(
    st.lists(st.lists(FIELDS, min_size=1, max_size=3), min_size=1, max_size=6),
    st.booleans(),
    st.sampled_from(",;"),
)
def test_the_short_way_for_numbers_gives_what_the_long_way_gives(
    rows: list[list[str]], heading: bool, delimiter: str
) -> None:
    lines = [delimiter.join(row) for row in ([["b", "a"], *rows] if heading else rows)]
    body = "\n".join(lines).encode()
    schema = Schema(inputs=(Column(name="a", type="number"), Column(name="b", type="number")))
    short = csv_numbers.numbers_of(body, schema)
    if short is None:
        return
    whole = csv_body.read_table(schema, csv_body.read_lines(body, {"a", "b"}), Reading(10))
    assert whole.table is not None
    np.testing.assert_array_equal(short.matrix, whole.table.matrix)


def test_the_short_way_is_taken_for_plain_numbers_over_many_pieces() -> None:
    matrix = np.random.default_rng(0).normal(size=(40_000, 2))
    body = "a\tb\r\n" + "".join(f"{a!r}\t{b!r}\r\n" for a, b in matrix.tolist())
    schema = Schema(inputs=(Column(name="a", type="number"), Column(name="b", type="number")))
    assert len(body) > 2 * csv_numbers.PIECE
    table = csv_numbers.numbers_of(body.encode(), schema)
    assert table is not None
    np.testing.assert_array_equal(table.matrix, matrix)
    for wrong in ("1\t2\t3\n", "1\n", "1\t\n", "1\t2\n\n3\t4", "1\ttrue"):
        assert csv_numbers.numbers_of((body + wrong).encode(), schema) is None


CELLS = st.one_of(st.integers(-5, 5), st.floats(), st.none(), st.text(max_size=1), st.booleans())
PLAIN_BODIES = st.fixed_dictionaries(
    {"instances": st.lists(st.lists(st.one_of(st.floats(-9, 9), CELLS), min_size=1, max_size=3), max_size=3)},
    optional={
        "method": st.sampled_from(["predict", 3, None]),
        "return": st.sampled_from([["predict"], "predict", 1.5]),
        "exact": st.sampled_from([True, "yes", 0]),
        "model": st.just("iris"),
        "other": st.just(1),
    },
)


@given(PLAIN_BODIES, st.sampled_from(["number", "integer", "any"]), st.booleans())
def test_plain_rows_are_read_in_one_pass_as_they_are_in_two(body: Any, kind: Any, narrow: bool) -> None:
    text = json.dumps(body, separators=(",", ":") if narrow else None).encode()
    schema = Schema(inputs=tuple(Column(name=name, type=kind, sample=0) for name in ("a", "b")))
    assert what_is_read(json_body.read_sent, text, schema) == what_is_read(json_body._read_any, text, schema)


def what_is_read(read: Any, text: bytes, schema: Schema) -> Any:
    try:
        sent = read(text, HOW)
        table = sent.read(schema, Reading(100)).table
    except Exception as error:  # noqa: BLE001 - whatever it is, it is to be the same
        return type(error), str(error)
    cells = table.matrix if table.matrix is not None else [(one.kind, list(one.values)) for one in table.columns]
    return sent.control, sent.flat, np.asarray(cells, dtype=object).tolist()
