"""Rows R26 to R42 of the table of bad inputs, in every format that can say what they say."""

import io
import json
import struct
import tempfile
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote
from wsgiref.validate import validator

import models
import numpy as np
import pytest
from conftest import StrictClient

from wsgi_service.app import create_app
from wsgi_service.hosts.pool import HostPool
from wsgi_service.settings import Settings

pytestmark = pytest.mark.extras

JSON, CSV, NDJSON, NPY = "application/json", "text/csv", "application/x-ndjson", "application/x-npy"
PARQUET, ARROW = "application/vnd.apache.parquet", "application/vnd.apache.arrow.stream"
FIELDS, FORM = "application/x-www-form-urlencoded", "multipart/form-data"
NAMES = ["x0", "x1", "x2", "x3"]
GAPS = [f"x{index}" for index in range(models.gappy_diabetes()[0].shape[1])]
GOOD = [5.1, 3.5, 1.4, 0.2]
#: A cell whose bytes are these, in the formats that are text.
Raw = type("Raw", (str,), {})
Sent = dict[str, Any]


def literal(value: Any) -> str:
    """A value as JSON, also where JSON has no such value."""
    if isinstance(value, Raw):
        return str(value)
    return json.dumps(value)


def cell(value: Any) -> str:
    """A value as it is written in CSV and forms."""
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def listed(row: list[Any]) -> str:
    return "[" + ",".join(map(literal, row)) + "]"


def record(names: list[str], row: list[Any]) -> str:
    return (
        "{"
        + ",".join(f"{json.dumps(name)}:{literal(value)}" for name, value in zip(names, row, strict=True))
        + "}"
    )


def under(key: str, value: str) -> Sent:
    return {"data": f'{{"{key}":{value}}}'.encode(), "content_type": JSON}


def columns(names: list[str], row: list[Any]) -> str:
    return record(names, [Raw(listed([value])) for value in row])


def split(names: list[str], row: list[Any]) -> str:
    return f'{{"columns":{json.dumps(names)},"data":[{listed(row)}]}}'


def as_csv(names: list[str], row: list[Any]) -> bytes:
    return f"{','.join(names)}\n{','.join(map(cell, row))}\n".encode()


def pairs(names: list[str], row: list[Any]) -> str:
    return "&".join(f"{quote(name)}={quote(cell(value))}" for name, value in zip(names, row, strict=True))


def table(names: list[str], row: list[Any]) -> Any:
    pa = pytest.importorskip("pyarrow")
    if any(isinstance(value, Raw) for value in row):
        row = [float(value) if isinstance(value, Raw) else value for value in row]
    return pa.table([pa.array([value]) for value in row], names=names)


def as_parquet(names: list[str], row: list[Any]) -> bytes:
    sink = io.BytesIO()
    content = table(names, row)
    pytest.importorskip("pyarrow.parquet").write_table(content, sink)
    return sink.getvalue()


def as_arrow(names: list[str], row: list[Any]) -> bytes:
    content = table(names, row)
    pa = pytest.importorskip("pyarrow")
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, content.schema) as stream:
        stream.write_table(content)
    return bytes(sink.getvalue().to_pybytes())


def as_npy(_names: list[str], row: list[Any]) -> bytes:
    file = io.BytesIO()
    np.save(file, np.array([[float(value) if isinstance(value, Raw) else value for value in row]]))
    return file.getvalue()


#: One row with names, as each format has it.
NAMED: dict[str, Callable[[list[str], list[Any]], Sent]] = {
    "records": lambda names, row: under("instances", f"[{record(names, row)}]"),
    "one record": lambda names, row: {"data": record(names, row).encode(), "content_type": JSON},
    "columns": lambda names, row: under("inputs", columns(names, row)),
    "dataframe_split": lambda names, row: under("dataframe_split", split(names, row)),
    "dataframe_records": lambda names, row: under("dataframe_records", f"[{record(names, row)}]"),
    "csv": lambda names, row: {"data": as_csv(names, row), "content_type": CSV},
    "csv in a form": lambda names, row: {"data": {"file": (io.BytesIO(as_csv(names, row)), "in.csv")}},
    "ndjson": lambda names, row: {"data": record(names, row).encode(), "content_type": NDJSON},
    "parquet": lambda names, row: {"data": as_parquet(names, row), "content_type": PARQUET},
    "arrow": lambda names, row: {"data": as_arrow(names, row), "content_type": ARROW},
    "fields": lambda names, row: {"data": pairs(names, row), "content_type": FIELDS},
    "link": lambda names, row: {"method": "GET", "query_string": pairs(names, row)},
}
#: One row without names.
PLACED: dict[str, Callable[[list[str], list[Any]], Sent]] = {
    "rows": lambda _names, row: under("instances", f"[{listed(row)}]"),
    "inputs": lambda _names, row: under("inputs", f"[{listed(row)}]"),
    "csv without names": lambda _names, row: {"data": as_csv([], row)[1:], "content_type": CSV},
    "ndjson without names": lambda _names, row: {"data": listed(row).encode(), "content_type": NDJSON},
}
NUMBERS_ONLY = {"npy": lambda names, row: {"data": as_npy(names, row), "content_type": NPY}}
EVERY = NAMED | PLACED
BINARY = frozenset({"parquet", "arrow", "npy"})
JSON_ALONE = frozenset(EVERY) - {"csv", "csv in a form", "csv without names", "fields", "link", *BINARY}


@pytest.fixture(scope="module")
def iris(pool: HostPool) -> Iterator[StrictClient]:
    """A server that all these tests ask, since none of them changes it."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as path:
        service = create_app(Settings(data=path, acceleration="off"), pool)
        client = StrictClient(validator(service))
        client.put_model("iris", models.iris(), column_names=json.dumps(NAMES))
        client.put_model("spam", models.spam())
        client.put_model("gaps", models.boosting(), column_names=json.dumps(GAPS))
        client.put_model("colours", models.colours())
        client.put_model("line", models.line())
        yield client
        service.catalog.registry.close()


def ask(client: StrictClient, sent: Sent, name: str = "iris", query: str = "") -> Any:
    where = f"/models/{name}/predict"
    return client.open(where + query, **{"method": "POST"} | sent)


def refused(answer: Any, *statuses: int) -> dict[str, Any]:
    assert answer.status_code in statuses, answer.data[:400]
    assert answer.headers["Content-Type"] == "application/problem+json; charset=utf-8"
    document: dict[str, Any] = answer.json
    assert document["detail"]
    return document


def answers(answer: Any) -> list[Any]:
    """One prediction for each row, also where one record was asked for."""
    found: list[Any] = answer.json.get("predictions", [answer.json.get("prediction")])
    return found


def named_wrong(answer: Any, column: str = "x1") -> None:
    """The answer says that row 0 is wrong in a column."""
    document = refused(answer, 422)
    assert (document["errors"][0]["row"], document["errors"][0]["column"]) == (0, column), document


@pytest.mark.parametrize("form", EVERY | NUMBERS_ONLY)
def test_every_format_says_a_row_that_is_right(iris: StrictClient, form: str) -> None:
    answer = ask(iris, (EVERY | NUMBERS_ONLY)[form](NAMES, GOOD))
    assert answer.status_code == 200, answer.data
    assert answers(answer) == [0]


# R26: pages of other sites


@pytest.mark.parametrize("type_", ["text/plain", "", FIELDS, FORM])
def test_r26_a_page_of_another_site_gets_nothing(iris: StrictClient, type_: str) -> None:
    parts = {"file": (io.BytesIO(as_csv(NAMES, GOOD)), "in.csv")}
    sent = {"data": parts} if type_ == FORM else {"data": pairs(NAMES, GOOD), "content_type": type_ or None}
    answer = iris.post("/models/iris/predict", headers={"Origin": "http://evil.example"}, **sent)
    refused(answer, 403, 415)
    assert not [name for name, _ in answer.headers if name.startswith("Access-Control")]


# R27, R29: types and codings


@pytest.mark.parametrize("form", ["records", "csv", "ndjson", "fields"])
@pytest.mark.parametrize("charset", ["latin-1", "utf-7", "windows-1252", "x"])
def test_r27_another_charset_is_refused(iris: StrictClient, form: str, charset: str) -> None:
    sent = NAMED[form](NAMES, GOOD)
    refused(ask(iris, sent | {"content_type": f"{sent['content_type']}; charset={charset}"}), 415)


@pytest.mark.parametrize("form", sorted((EVERY | NUMBERS_ONLY).keys() - {"link"}))
@pytest.mark.parametrize("coding", ["gzip", "br", "deflate", "zstd"])
def test_r29_nothing_is_uncompressed(iris: StrictClient, form: str, coding: str) -> None:
    sent = (EVERY | NUMBERS_ONLY)[form](NAMES, GOOD) | {"headers": {"Content-Encoding": coding}}
    refused(ask(iris, sent), 415)


# R30, R31, R32: bodies that hold no rows, or cannot be read

NOTHING = [
    *((JSON, body) for body in (b"", b"null", b"[]", b"{}", b'"x"', b"1", b'{"inputs":{}}', b'{"inputs":[]}')),
    *((JSON, body) for body in (b'{"dataframe_split":{}}', b'{"dataframe_records":[]}', b'{"instances":[]}')),
    *((CSV, body) for body in (b"", b"\n", b"\r\n\r\n", b"x0,x1,x2,x3\n", b"\xef\xbb\xbf")),
    *((NDJSON, body) for body in (b"", b"\n\n", b"null", b"1", b'"x"', b"[]", b"{}")),
    *((type_, b"") for type_ in (NPY, PARQUET, ARROW, FIELDS)),
    (f"{FORM}; boundary=b", b""), (f"{FORM}; boundary=b", b"--b--\r\n"),
]  # fmt: skip
TORN = [
    *((JSON, body) for body in (b'{"instances":[["\xff"]]}', '{"instances":[["é"]]}'.encode("latin-1"))),
    *((JSON, b'{"instances":[[5.1,3.5,1.4,0.2]]}' + rest) for rest in (b"x", b"{}", b",", b"\x00")),
    *((JSON, body * 100_000) for body in (b"[", b'{"a":', b'{"instances":[')),
    (CSV, "x0,x1,x2,x3\né,1,1,1\n".encode("latin-1")), (CSV, b'x0,x1,x2,x3\n"1,1,1,1\n'), (CSV, b'1,2,3,"4"5\n'),
    *((NDJSON, body) for body in ('["é"]'.encode("latin-1"), b"[1,2,3,4] x", b"[1,2,3,4][1]", b"{", b"\xff")),
    *((NDJSON, body * 100_000) for body in (b"[", b'{"a":')),
    (NPY, b"\x93NUMPY\x01\x00\xff\xff{"), (NPY, b"\x93NUMPY\x01\x00" + struct.pack("<H", 60) + b"(" * 60),
    *((NPY, b"\x93NUMPY\x01\x00" + struct.pack("<H", 9000) + sign * 9000) for sign in (b"-", b"[", b"\0")),
    (PARQUET, b"PAR1" * 3), (ARROW, b"\xff\xff\xff\xff\x10\x00\x00\x00"), (FIELDS, b"x0=%ff"),
    (f"{FORM}; boundary=b", b"--b\r\nContent-Disposition: form-data"),
]  # fmt: skip


@pytest.mark.parametrize(("type_", "body"), NOTHING, ids=lambda value: repr(value)[:30])
def test_r30_a_body_without_rows(iris: StrictClient, type_: str, body: bytes) -> None:
    refused(ask(iris, {"data": body, "content_type": type_}), *((501,) if needs_arrow(type_) else (400, 422)))


@pytest.mark.parametrize(("type_", "body"), TORN, ids=lambda value: repr(value)[:30])
def test_r31_r32_a_body_that_cannot_be_read(iris: StrictClient, type_: str, body: bytes) -> None:
    refused(ask(iris, {"data": body, "content_type": type_}), 501 if needs_arrow(type_) else 400)


def needs_arrow(type_: str) -> bool:
    """Whether the body is of a type for which pyarrow is not here."""
    if type_ not in {PARQUET, ARROW}:
        return False
    try:
        import pyarrow as pa  # noqa: F401
    except ImportError:
        return True
    return False


# R33, R34: numbers


@pytest.mark.parametrize("form", EVERY | NUMBERS_ONLY)
@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "1e400", "-1e400"])
def test_r33_no_number_that_is_not_finite(iris: StrictClient, form: str, value: str) -> None:
    answer = ask(iris, (EVERY | NUMBERS_ONLY)[form](NAMES, [5.1, Raw(value), 1.4, 0.2]))
    if form in JSON_ALONE and value.endswith("400"):
        assert "has a number that" in refused(answer, 422)["detail"]
    elif form in JSON_ALONE:
        refused(answer, 400)
    else:
        named_wrong(answer, "x1")


@pytest.mark.parametrize("form", EVERY)
@pytest.mark.parametrize("value", ["9" * 5000, "1" + "0" * 400])
def test_r34_numbers_without_end(iris: StrictClient, form: str, value: str) -> None:
    answer = ask(iris, EVERY[form](NAMES, [5.1, Raw(value), 1.4, 0.2]))
    refused(answer, 400, 422)
    assert value not in answer.text


@pytest.mark.parametrize("form", EVERY | NUMBERS_ONLY)
@pytest.mark.parametrize("value", ["9223372036854775808", "-0.0", "1e-400", "61E-1"])
def test_r34_numbers_that_a_float_holds(iris: StrictClient, form: str, value: str) -> None:
    assert ask(iris, (EVERY | NUMBERS_ONLY)[form](NAMES, [5.1, Raw(value), 1.4, 0.2])).status_code == 200


# R35, R36: keys and characters

UNKNOWN = ["colour", "__proto__", "__class__", "X0"]
STRICT_KEYS = [*sorted(JSON_ALONE - PLACED.keys()), "fields", "link"]


@pytest.mark.parametrize("form", STRICT_KEYS)
@pytest.mark.parametrize("key", UNKNOWN)
def test_r35_r40_an_unknown_column_is_refused_and_not_repeated(iris: StrictClient, form: str, key: str) -> None:
    answer = ask(iris, NAMED[form]([*NAMES, key], [*GOOD, 1.0]))
    refused(answer, 422)
    assert key == "X0" or key not in answer.text


@pytest.mark.parametrize("form", ["csv", "csv in a form", "parquet", "arrow"])
@pytest.mark.parametrize("key", UNKNOWN)
def test_r35_other_columns_of_a_table_pass_through(iris: StrictClient, form: str, key: str) -> None:
    answer = ask(iris, NAMED[form]([*NAMES, key], [*GOOD, 7]), query="?format=csv")
    assert answer.text.splitlines()[0].startswith(f"{key},prediction,")


@pytest.mark.parametrize(
    ("form", "status"),
    [(form, 200) for form in (*sorted(JSON_ALONE - PLACED.keys() - {"dataframe_split"}), "fields", "link")]
    + [(form, 422) for form in ("dataframe_split", "csv", "csv in a form", "parquet", "arrow")],
)
def test_r35_of_a_key_that_stands_twice_the_last_counts_and_columns_stand_once(
    iris: StrictClient, form: str, status: int
) -> None:
    answer = ask(iris, NAMED[form](["x0", *NAMES], [99.0, *GOOD]))
    assert answer.status_code == status, answer.data
    assert status == 422 or answers(answer) == [0]


@pytest.mark.parametrize("form", sorted(JSON_ALONE))
def test_r36_half_a_character_is_no_text(iris: StrictClient, form: str) -> None:
    refused(ask(iris, EVERY[form](NAMES, [Raw(r'"\ud800"'), 1, 1, 1])), 400)


@pytest.mark.parametrize("form", sorted(EVERY))
def test_r36_a_nul_is_text_like_any_other(iris: StrictClient, form: str) -> None:
    (name,) = [column["name"] for column in iris.get("/models/spam/versions/1").json["schema"]["inputs"]]
    answer = ask(iris, EVERY[form]([name], ["a\x00b"]), "spam")
    assert answer.status_code == 200, answer.data
    assert ask(iris, EVERY[form]([name], ["a"]), "spam").status_code == 200


# R37, R38, R39: shapes, kinds and sizes


@pytest.mark.parametrize("form", [*sorted(PLACED), "npy"])
@pytest.mark.parametrize("row", [[1.0], [1.0] * 3, [1.0] * 5])
def test_r37_rows_of_another_width(iris: StrictClient, form: str, row: list[float]) -> None:
    document = refused(ask(iris, (PLACED | NUMBERS_ONLY)[form](NAMES, row)), 422)
    assert "4 columns" in document["detail"]


RAGGED = [
    (JSON, b'{"instances":[[1,2,3,4],[1]]}'), (JSON, b'{"inputs":[[1,2,3,4],[1,2,3]]}'),
    (JSON, b'{"inputs":{"x0":[1,2],"x1":[1],"x2":[1],"x3":[1]}}'), (CSV, b"x0,x1,x2,x3\n1,2,3,4\n1,2,3\n"),
    (JSON, b'{"dataframe_split":{"columns":["x0","x1","x2","x3"],"data":[[1,2,3,4],[1]]}}'),
    (JSON, b'{"dataframe_records":[{"x0":1,"x1":1,"x2":1,"x3":1},{"x0":1}]}'), (CSV, b"1,2,3,4\n1,2,3,4,5\n"),
    (NDJSON, b"[1,2,3,4]\n[1]"), (NDJSON, b'{"x0":1,"x1":1,"x2":1,"x3":1}\n{"x0":1}'),
    (JSON, b'{"instances":[1,2,3,4]}'), (JSON, b'{"instances":[[[1],[2],[3],[4]]]}'), (NDJSON, b"1\n2\n3\n4"),
]  # fmt: skip


@pytest.mark.parametrize(("type_", "body"), RAGGED)
def test_r37_rows_of_several_widths_or_depths(iris: StrictClient, type_: str, body: bytes) -> None:
    refused(ask(iris, {"data": body, "content_type": type_}), 422)


@pytest.mark.parametrize("shape", [(4,), (1, 4, 1), (0, 4), (1,) * 32])
def test_r37_arrays_of_other_dimensions(iris: StrictClient, shape: tuple[int, ...]) -> None:
    file = io.BytesIO()
    np.save(file, np.zeros(shape))
    refused(ask(iris, {"data": file.getvalue(), "content_type": NPY}), 422)


@pytest.mark.parametrize("form", EVERY)
@pytest.mark.parametrize("value", ["red", None], ids=["text", "missing"])
def test_r38_a_number_is_wanted(iris: StrictClient, form: str, value: Any) -> None:
    named_wrong(ask(iris, EVERY[form](NAMES, [5.1, value, 1.4, 0.2])))


@pytest.mark.parametrize("form", EVERY)
def test_r38_a_boolean_is_a_number(iris: StrictClient, form: str) -> None:
    answer = ask(iris, EVERY[form](["x0"], [True]), "line")
    assert answers(answer) == pytest.approx([3.0])


@pytest.mark.parametrize("form", EVERY)
def test_r38_a_number_may_be_written_as_text(iris: StrictClient, form: str) -> None:
    assert ask(iris, EVERY[form](NAMES, ["5.1", "3.5", "1.4", "0.2"])).status_code == 200


@pytest.mark.parametrize("form", EVERY)
def test_r38_missing_values_where_the_model_takes_them(iris: StrictClient, form: str) -> None:
    row = [None, *[0.01] * (len(GAPS) - 1)]
    answer = ask(iris, EVERY[form](GAPS, row), "gaps")
    expected = models.boosting().predict(np.array([[np.nan, *row[1:]]])).tolist()
    assert answers(answer) == expected


@pytest.mark.parametrize("form", sorted(EVERY.keys() - BINARY - {"fields", "link", "one record"}))
def test_r39_more_rows_than_the_limit(iris: StrictClient, form: str) -> None:
    one = EVERY[form](NAMES, GOOD)
    many = {"rows": listed(GOOD), "inputs": listed(GOOD), "records": record(NAMES, GOOD)}
    many |= {"dataframe_records": record(NAMES, GOOD)}
    if form in many:
        key = {"records": "instances", "rows": "instances"}.get(form, form)
        one = under(key, "[" + ",".join([many[form]] * 100_001) + "]")
    elif form == "columns":
        one = under("inputs", record(NAMES, [Raw("[" + ",".join(["1"] * 100_001) + "]")] * 4))
    elif form == "dataframe_split":
        one = under("dataframe_split", f'{{"data":[{",".join(["[1,1,1,1]"] * 100_001)}]}}')
    elif form == "csv in a form":
        part = b'--b\r\nContent-Disposition: form-data; name="file"; filename="in.csv"\r\n\r\n'
        one = {"data": part + b"1,1,1,1\n" * 100_001 + b"\r\n--b--\r\n", "content_type": f"{FORM}; boundary=b"}
    elif form.startswith("csv"):
        one["data"] = b"x0,x1,x2,x3\n" * (form == "csv") + b"1,1,1,1\n" * 100_001
    else:
        one["data"] = (one["data"] + b"\n") * 100_001
    document = refused(ask(iris, one), 413)
    assert document["type"] == "/problems/too-many-rows"


# R40, R41, R42: categories, columns and methods


@pytest.mark.parametrize("form", EVERY)
def test_r40_a_category_that_the_model_does_not_know(iris: StrictClient, form: str) -> None:
    named_wrong(ask(iris, EVERY[form](["x0"], ["blue"]), "colours"), "x0")
    assert ask(iris, EVERY[form](["x0"], ["green"]), "colours").status_code == 200


@pytest.mark.parametrize("form", NAMED)
def test_r40_a_missing_column_is_named(iris: StrictClient, form: str) -> None:
    document = refused(ask(iris, NAMED[form](NAMES[:3], GOOD[:3])), 422)
    assert "x3" in json.dumps(document["detail"])


@pytest.mark.parametrize("form", NAMED)
def test_r40_columns_in_another_order_are_found_by_name(iris: StrictClient, form: str) -> None:
    answer = ask(iris, NAMED[form](NAMES[::-1], GOOD[::-1]))
    assert answers(answer) == [0]


METHODS = ["transform", "__class__", "fit", "set_params", "", "PREDICT"]


@pytest.mark.parametrize("form", EVERY | NUMBERS_ONLY)
@pytest.mark.parametrize("method", METHODS)
def test_r41_r42_a_method_that_the_version_does_not_have(iris: StrictClient, form: str, method: str) -> None:
    sent = (EVERY | NUMBERS_ONLY)[form](NAMES, GOOD)
    if form in {"link", "fields"}:
        key = "query_string" if form == "link" else "data"
        answer = ask(iris, sent | {key: f"{sent[key]}&method={method}"})
    elif sent.get("content_type") == JSON:
        answer = ask(iris, sent | {"data": json.dumps(json.loads(sent["data"]) | {"method": method})})
    else:
        answer = ask(iris, sent, query=f"?method={method}")
    assert refused(answer, 422)["type"] == "/problems/unsupported-method"


@pytest.mark.parametrize("form", EVERY | NUMBERS_ONLY)
def test_r41_probabilities_of_a_model_that_has_none(iris: StrictClient, form: str) -> None:
    sent = (EVERY | NUMBERS_ONLY)[form](["x0"], [1.0])
    if sent.get("content_type") == JSON:
        sent["data"] = json.dumps(json.loads(sent["data"]) | {"method": "predict_proba"})
        answer = ask(iris, sent, "line")
    elif form == "link":
        answer = ask(iris, sent | {"query_string": "x0=1&method=predict_proba"}, "line")
    elif form == "fields":
        answer = ask(iris, sent | {"data": "x0=1&method=predict_proba"}, "line")
    else:
        answer = ask(iris, sent, "line", "?method=predict_proba")
    assert refused(answer, 422)["type"] == "/problems/unsupported-method"
