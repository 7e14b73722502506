"""What a caller has as rows is understood as what it is, or refused by name; never taken for something else."""

import datetime as dt
import decimal
import enum
import io
import json
from collections import namedtuple
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from wsgi_service.client.sending import NPY, body_of

pd = pytest.importorskip("pandas")
pl = pytest.importorskip("polars")
pa = pytest.importorskip("pyarrow")

Pair = namedtuple("Pair", ["a", "b"])
TABLE = pd.DataFrame({"a": [1.0, 2.0], "b": [3, 4]})
SPLIT = {"dataframe_split": {"columns": ["a", "b"], "data": [[1.0, 3], [2.0, 4]]}}
DAY = dt.date(2024, 1, 31)


class Colour(enum.StrEnum):
    RED = "red"


class Streamed:
    """A frame of a library that nobody knows, which hands out its columns as Arrow does."""

    def __init__(self, table: Any) -> None:
        self._table = table

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        return self._table.__arrow_c_stream__(requested_schema)


class Interchanged:
    """One that has the older protocol only."""

    def __init__(self, table: Any) -> None:
        self._table = table

    def __dataframe__(self, *arguments: Any, **named: Any) -> Any:
        return self._table.__dataframe__(*arguments, **named)


class Later:
    """One that is computed later."""

    columns = ("a", "b")

    def compute(self) -> None:
        """Never called here."""


class Tensor:
    """An array of a library that nobody knows."""

    def __init__(self, values: Any) -> None:
        self._values = values

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        return np.array(self._values, dtype=dtype)


def sent(rows: Any) -> Any:
    """What goes to the server: the JSON, or the array."""
    body, type_ = body_of(rows, {})
    if type_ != NPY:
        assert isinstance(body, bytes)
        return json.loads(body)
    return np.load(io.BytesIO(b"".join(body)), allow_pickle=False)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ("good day", {"instances": ["good day"]}),
        (["good", "day"], {"instances": ["good", "day"]}),
        (np.array(["good"], dtype=object), {"instances": ["good"]}),
        (pd.Series(["good", "day"], index=[7, 8]), {"instances": ["good", "day"]}),
        (pl.Series(["good"]), {"instances": ["good"]}),
        (pd.Categorical(["good"]), {"instances": ["good"]}),
        (pa.chunked_array([["good"], ["day"]]), {"instances": ["good", "day"]}),
        ((word for word in ("good", "day")), {"instances": ["good", "day"]}),
        ({"a": 1, "b": "x"}, {"instances": [{"a": 1, "b": "x"}]}),
        ({"a": [1, 2], "b": np.array([np.nan, 3])}, {"inputs": {"a": [1, 2], "b": [None, 3]}}),
        ({"a": pd.Series([1, 2], index=[5, 6])}, {"inputs": {"a": [1, 2]}}),
        ([{"a": np.float32(0.5), "b": np.True_}], {"instances": [{"a": 0.5, "b": True}]}),
        ([Pair(1, "x")], {"instances": [{"a": 1, "b": "x"}]}),
        ([TABLE.iloc[0]], {"instances": [{"a": 1.0, "b": 3.0}]}),
        (([value, None] for value in (1, 2)), {"instances": [[1, None], [2, None]]}),
        (zip([1, 2], ["x", "y"], strict=True), {"instances": [[1, "x"], [2, "y"]]}),
        ([np.array([1.0, np.nan])], {"instances": [[1.0, None]]}),
        ([[np.ma.masked, np.array(2)]], {"instances": [[None, 2]]}),
        ([[DAY, decimal.Decimal("1.5"), Colour.RED]], {"instances": [["2024-01-31", 1.5, "red"]]}),
        (np.array([["a", 1.5], [None, 2]], dtype=object), {"instances": [["a", 1.5], [None, 2]]}),
        (np.array([["2024-01-31T12:00", "NaT"]], dtype="M8[ns]"), {"instances": [["2024-01-31T12:00:00", None]]}),
        (np.array([(1.0, 3), (2.0, 4)], dtype=[("a", "f8"), ("b", "i8")]), SPLIT),
        (TABLE, SPLIT),
        (TABLE.astype({"b": "Int64"}), SPLIT),
        (pl.from_pandas(TABLE), SPLIT),
        (pa.Table.from_pandas(TABLE), SPLIT),
        (pa.RecordBatch.from_pandas(TABLE), SPLIT),
        (Streamed(pa.Table.from_pandas(TABLE)), SPLIT),
        (Interchanged(pa.Table.from_pandas(TABLE)), SPLIT),
        (pd.DataFrame([[1.5, 2.5]]), {"instances": [[1.5, 2.5]]}),
        (
            pd.DataFrame({"a": pd.Categorical(["x", None]), "b": pd.array([None, True], dtype="boolean")}),
            {"dataframe_split": {"columns": ["a", "b"], "data": [["x", None], [None, True]]}},
        ),
        (
            pl.DataFrame({"a": pl.Series(["x"], dtype=pl.Categorical), "b": [DAY]}),
            {"dataframe_split": {"columns": ["a", "b"], "data": [["x", "2024-01-31"]]}},
        ),
        (pa.table({"a": pa.array(["x", None]).dictionary_encode()}).to_reader(),
         {"dataframe_split": {"columns": ["a"], "data": [["x"], [None]]}}),
    ],
)  # fmt: skip
def test_rows_go_as_what_they_are(rows: Any, expected: Any) -> None:
    assert sent(rows) == expected


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (np.array([[1, 2]]), [[1, 2]]),
        (np.array([[1, 2]], order="F", dtype=np.uint8), [[1, 2]]),
        (np.array([[1.5]], dtype=np.longdouble), [[1.5]]),
        (np.array([[True, False]]), [[1, 0]]),
        (np.ma.masked_array([[1, 2]], [[True, False]]), [[np.nan, 2]]),
        (sparse.csr_array(np.eye(2)), np.eye(2)),
        (sparse.coo_matrix(np.eye(2)), np.eye(2)),
        (Tensor([[1.5, 2.5]]), [[1.5, 2.5]]),
    ],
)
def test_numbers_go_as_an_array(rows: Any, expected: Any) -> None:
    np.testing.assert_array_equal(sent(rows), expected)
    listed = json.loads(body_of(rows, {}, arrays=False)[0])["instances"]  # type: ignore[arg-type]
    np.testing.assert_array_equal(np.array(listed, dtype=np.float64), expected)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (np.array([1.0, 2.0]), r"rows and columns.*ndarray.*float at 0.*reshape\(1, -1\)"),
        (np.array(3.0), "One value came"),
        (np.ones((1, 1, 1)), "3 dimensions"),
        (np.array([[1j]]), "Row 0, column 0: .* complex128"),
        (np.array([[1]], dtype="m8[ns]"), "Row 0, column 0: .* timedelta64"),
        (np.array([["20000-01-01"]], dtype="M8[D]"), "Row 0, column 0: a time beyond"),
        (np.array([b"good"]), "Row 0 is of the type bytes"),
        (np.array([(1, 2)], dtype=[("a", "i8"), ("b", "i8")])[0], "One value came"),
        (TABLE["a"], r"Series.*float at 0.*to_frame\(\).T"),
        (TABLE.iloc[0], r"Series.*to_frame\(\).T"),
        (pl.Series([1.0]), "Series"),
        (pd.Series(["good", None]), "Series.*at 1"),
        (pa.array([1.0]), "DoubleArray"),
        (pl.DataFrame({"a": [1]}).lazy(), r"LazyFrame of polars.*collect\(\)"),
        (Later(), r"Later.*compute\(\)"),
        (b"good day", "type bytes"),
        ({"good", "day"}, "type set"),
        (3, "type int"),
        (None, "type NoneType"),
        ([1.0, 2.0], r"Row 0 is of the type float.*\[\[…\]\]"),
        (range(2), "Row 0 is of the type int"),
        ([[1.0], 2.0], "Row 1 is of the type float"),
        ([TABLE], "Row 0 is of the type DataFrame"),
        ([np.ones((1, 2))], "Row 0 is of the type ndarray"),
        ([[1], [[2]]], "Row 1, column 0: .* list"),
        ([{"a": {"b": 1}}], "Row 0, column 'a': .* dict"),
        ([{"a": dt.time(1)}], "Row 0, column 'a': .* time"),
        ([[float("inf")]], "Row 0, column 0: an infinite number"),
        ({"a": [1], "b": [float("-inf")]}, "Row 0, column 'b': an infinite number"),
        ({"a": [1, 2], "b": 1}, "one value for 'b'"),
        (TABLE.to_dict(), "type dict"),
        (pd.DataFrame({"a": pd.period_range("2024", periods=1)}), "Row 0, column 'a': .* Period"),
        (pl.DataFrame({"a": [dt.timedelta(1)]}), "Row 0, column 'a': .* timedelta"),
        (pa.table({"a": [[1, 2]]}), "Row 0, column 'a': .* list"),
        (pd.DataFrame([[1, 2]], columns=["a", 1]), "Some names"),
        (Tensor([1.0]), "rows and columns"),
    ],
)
def test_what_is_not_understood_is_refused_by_name(rows: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        body_of(rows, {})


CELLS = (
    st.floats(-1e9, 1e9),
    st.integers(-(2**62), 2**62),
    st.none() | st.floats(-1e9, 1e9),
    st.none() | st.text(st.characters(codec="utf-8"), max_size=5),
    st.booleans(),
    st.dates(),
)


@settings(max_examples=40)
@given(st.lists(st.tuples(*CELLS), min_size=1, max_size=6))
def test_a_table_goes_alike_from_every_library(rows: list[tuple[Any, ...]]) -> None:
    columns = {name: list(values) for name, values in zip("abcdef", zip(*rows, strict=True), strict=True)}
    types = [pa.float64(), pa.int64(), pa.float64(), pa.string(), pa.bool_(), pa.date32()]
    table = pa.table({name: pa.array(columns[name], type_) for name, type_ in zip(columns, types, strict=True)})
    expected = {"columns": list(columns), "data": [[cell(value) for value in row] for row in rows]}
    frames = [pd.DataFrame(columns), pl.from_arrow(table), table, Streamed(table)]
    assert [sent(frame) for frame in frames] == [{"dataframe_split": expected}] * len(frames)


def cell(value: Any) -> Any:
    return value.isoformat() if isinstance(value, dt.date) else value
