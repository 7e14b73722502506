"""Parquet files and Arrow streams as rows and as answers."""

import io
import random
from decimal import Decimal
from typing import Any

import models
import numpy as np
import pytest
from conftest import StrictClient
from sklearn.datasets import load_iris

pytestmark = pytest.mark.extras

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

ROWS = load_iris().data[[0, 60, 120]]
NAMES = ["x0", "x1", "x2", "x3"]
PARQUET, ARROW = "application/vnd.apache.parquet", "application/vnd.apache.arrow.stream"
ADDRESS = "/models/iris/predict"


def columns(rows: Any = ROWS, names: list[str] = NAMES) -> dict[str, Any]:
    return dict(zip(names, np.asarray(rows).T, strict=True))


def as_parquet(table: Any, **options: Any) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table(table), sink, **options)
    return sink.getvalue()


def as_arrow(table: Any, make: Any = pa.ipc.new_stream) -> bytes:
    sink = pa.BufferOutputStream()
    table = pa.table(table)
    with make(sink, table.schema) as stream:
        stream.write_table(table)
    return sink.getvalue().to_pybytes()


def post(client: StrictClient, body: bytes, type_: str = ARROW, query: str = "", name: str = "iris") -> Any:
    return client.post(f"/models/{name}/predict{query}", data=body, content_type=type_)


@pytest.fixture
def iris(client: StrictClient) -> StrictClient:
    client.put_model("iris", models.iris(), class_names=",".join(models.SPECIES))
    return client


@pytest.mark.system
@pytest.mark.parametrize(
    ("type_", "body"),
    [
        (PARQUET, as_parquet(columns())),
        (PARQUET, as_parquet(columns(), compression="zstd", row_group_size=1)),
        (PARQUET, as_parquet({name: columns()[name] for name in reversed(NAMES)})),
        (ARROW, as_arrow(columns())),
        (ARROW, as_arrow(columns(), pa.ipc.new_file)),
        (ARROW, as_arrow(columns(names=["a", "b", "c", "d"]))),
        (ARROW, as_arrow({name: pa.array(values).dictionary_encode() for name, values in columns().items()})),
        (ARROW, as_arrow({name: [str(value) for value in values] for name, values in columns().items()})),
        (ARROW, as_arrow({name: [Decimal(str(v)) for v in values] for name, values in columns().items()})),
    ],
)
def test_tables_are_read_bit_by_bit(iris: StrictClient, type_: str, body: bytes) -> None:
    answer = post(iris, body, type_, "?method=predict_proba")
    assert answer.status_code == 200, answer.json
    assert answer.json["predictions"] == models.iris().predict_proba(ROWS).tolist()


@pytest.mark.parametrize(
    ("name", "body"), [("in.parquet", as_parquet(columns())), ("in.arrow", as_arrow(columns()))]
)
def test_a_form_knows_them_by_how_their_names_end(iris: StrictClient, name: str, body: bytes) -> None:
    answer = iris.post("/predict", data={"file": (io.BytesIO(body), name), "model": "iris"})
    assert answer.json["predictions"] == [0, 1, 2]


@pytest.mark.parametrize(("type_", "format_"), [(PARQUET, "parquet"), (ARROW, "arrow")])
def test_a_table_comes_back_as_a_table_with_its_other_columns(
    iris: StrictClient, type_: str, format_: str
) -> None:
    table = columns() | {"id": [7, 8, 9], "when": np.array(["2024-01-01", "NaT", "2024-01-03"], "datetime64[us]")}
    body = as_parquet(table) if type_ == PARQUET else as_arrow(table)
    answer = post(iris, body, type_, f"?format={format_}")
    assert answer.headers["Content-Type"] == type_
    read = (
        pq.read_table(io.BytesIO(answer.data)) if type_ == PARQUET else pa.ipc.open_stream(answer.data).read_all()
    )
    assert read.column_names == ["id", "when", "prediction", *(f"probability_{name}" for name in models.SPECIES)]
    assert read["id"].to_pylist() == [7, 8, 9]
    assert read["when"].to_pylist() == ["2024-01-01T00:00:00", None, "2024-01-03T00:00:00"]
    assert read["prediction"].to_pylist() == models.SPECIES
    np.testing.assert_array_equal(
        np.column_stack([read[name] for name in read.column_names[3:]]), models.iris().predict_proba(ROWS)
    )
    by_accept = iris.post(ADDRESS, data=body, content_type=type_, headers={"Accept": type_})
    assert by_accept.headers["Content-Type"] == type_


@pytest.mark.system
def test_mixed_columns_arrive_as_they_are(client: StrictClient) -> None:
    client.put_model("people", models.people())
    table = models.people_table()
    body = as_parquet(pa.Table.from_pandas(table, preserve_index=False))
    answer = post(client, body, PARQUET, "?method=predict_proba", "people")
    assert answer.json["predictions"] == models.people().predict_proba(table).tolist()


@pytest.mark.parametrize(
    ("change", "column", "words"),
    [
        ({"x1": [1.0, None, 3.0]}, "x1", "a missing value"),
        ({"x1": [1.0, float("nan"), 3.0]}, "x1", "a missing value"),
        ({"x1": [1.0, float("inf"), 3.0]}, "x1", "too large"),
        ({"x1": [1.0, 2.0, 3.0], "x2": ["a", "b", "c"]}, "x2", "expected a number, got text"),
        ({"x3": ["a", "b", "c"]}, "x3", "expected a number, got text"),
    ],
)
def test_errors_name_row_and_column(iris: StrictClient, change: dict[str, Any], column: str, words: str) -> None:
    answer = post(iris, as_arrow(columns() | change))
    assert answer.status_code == 422
    assert answer.json["errors"][0]["column"] == column
    assert words in answer.json["errors"][0]["message"]


def test_rows_that_are_right_are_answered_where_that_is_wanted(iris: StrictClient) -> None:
    body = as_arrow(columns() | {"x1": [3.5, None, 3.2], "id": ["a", "b", "c"]})
    read = pa.ipc.open_stream(post(iris, body, query="?format=arrow&on_error=row").data).read_all().to_pylist()
    assert [row["prediction"] for row in read] == ["setosa", None, "virginica"]
    assert [row["id"] for row in read] == ["a", "b", "c"]
    assert read[1]["error"] == "x1: a missing value (null) is not taken here"
    assert [read[0]["error"], read[2]["error"]] == [None, None]


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (as_arrow({"x0": [1.0]}), 422, "is missing in the table"),
        (as_arrow(columns() | {"more": [[1], [2], [3]]}), 422, "'more' is of a type that is not read"),
        (as_arrow(columns() | {"more": [b"1", b"2", b"3"]}), 422, "'more' is of a type that is not read"),
        (as_arrow(pa.table([[1.0], [2.0]], names=["x0", "x0"])), 422, "have the same name"),
        (as_arrow({name: pa.array([], pa.float64()) for name in NAMES}), 422, "no rows"),
        (b"", 400, "not a whole Arrow"),
        (as_arrow(columns())[:-40], 400, "not a whole Arrow"),
        (as_parquet(columns()), 400, "not a whole Arrow"),
    ],
)
def test_what_is_wrong_with_a_table_is_said(iris: StrictClient, body: bytes, status: int, words: str) -> None:
    answer = post(iris, body)
    assert (answer.status_code, answer.mimetype) == (status, "application/problem+json")
    assert words in answer.json["detail"]


@pytest.mark.parametrize("type_", [PARQUET, ARROW])
def test_more_rows_than_the_limit_are_not_even_read(iris: StrictClient, type_: str) -> None:
    rows = np.zeros(1_000_001)
    body = (as_parquet if type_ == PARQUET else as_arrow)(dict.fromkeys(NAMES[:1], rows))
    answer = post(iris, body, type_)
    assert (answer.status_code, answer.json["type"]) == (413, "/problems/too-many-rows")


@pytest.mark.system
def test_a_small_file_of_a_huge_table_costs_the_reader_only(iris: StrictClient) -> None:
    """A million times the same ten kilobytes are a few hundred bytes in Parquet, and ten gigabytes outside."""
    column = pa.DictionaryArray.from_arrays(pa.array(np.zeros(900_000, dtype=np.int32)), ["y" * 10_000])
    body = as_parquet({"note": column} | {name: np.zeros(900_000) for name in NAMES}, compression="zstd")
    assert len(body) < 100_000
    answer = post(iris, body, PARQUET)
    assert answer.status_code in {400, 413, 422, 507}, answer.data[:200]
    assert post(iris, as_parquet(columns()), PARQUET).json["predictions"] == [0, 1, 2]


@pytest.mark.parametrize("make", [as_parquet, as_arrow])
def test_damaged_tables_never_end_in_a_failure_of_the_server(iris: StrictClient, make: Any) -> None:
    chance = random.Random(5)
    whole = make(columns() | {"id": ["a", "b", "c"], "flag": [True, None, False]})
    for _ in range(60):
        damaged = bytearray(whole)
        for _ in range(chance.randint(1, 8)):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        answer = post(iris, bytes(damaged), PARQUET if make is as_parquet else ARROW)
        assert answer.status_code in {200, 400, 413, 422}, answer.data[:300]


@pytest.mark.parametrize(
    "times",
    [
        pa.array([10**18], pa.timestamp("s")),
        pa.array([-(10**17)], pa.timestamp("us")),
        pa.array([2**62], pa.timestamp("ms")),
    ],
)
def test_times_outside_the_years_1_to_9999_are_refused(iris: StrictClient, times: Any) -> None:
    body = as_arrow({name: values[:1] for name, values in columns().items()} | {"when": times})
    answer = post(iris, body)
    assert (answer.status_code, "9999" in answer.json["detail"]) == (422, True), answer.json


def test_a_column_of_the_input_with_the_name_of_an_output_is_kept_beside_it(iris: StrictClient) -> None:
    body = as_arrow(columns() | {"prediction": ["a", "b", "c"]})
    read = pa.ipc.open_stream(post(iris, body, query="?format=arrow").data).read_all()
    assert read["prediction_given"].to_pylist() == ["a", "b", "c"]
    assert read["prediction"].to_pylist() == models.SPECIES


@pytest.mark.parametrize("type_", [pa.string_view(), pa.large_string(), pa.dictionary(pa.int8(), pa.string())])
def test_texts_in_every_layout_are_texts(iris: StrictClient, type_: Any) -> None:
    names = pa.array(["a", None, "c"]).cast(type_)
    answer = post(iris, as_arrow(columns() | {"id": names}), query="?format=arrow")
    assert answer.status_code == 200
    assert pa.ipc.open_stream(answer.data).read_all()["id"].to_pylist() == ["a", None, "c"]


@pytest.mark.system
def test_a_table_that_is_too_large_for_memory_is_not_the_fault_of_its_bytes() -> None:
    from wsgi_service.hosts import parquet_and_arrow

    def no_room(*_: Any) -> Any:
        raise pa.ArrowMemoryError("malloc of size 1 failed")

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(parquet_and_arrow.OPENERS, "Arrow", no_room)
        with pytest.raises(MemoryError):
            parquet_and_arrow.read("Arrow", b"", 10)
