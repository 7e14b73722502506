"""What a caller has as rows, told apart and written as the body of a predict."""

import io
import json
from collections.abc import Iterable, Mapping, Set
from datetime import date
from decimal import Decimal
from typing import Any

import numpy as np
from numpy.lib import format as npy

from wsgi_service.client.connections import Body
from wsgi_service.client.dataframes import frame_of

NPY, JSON = "application/x-npy", "application/json"
INSTANCES = "instances"
PLAIN = frozenset({str, int, bool, type(None)})
#: Types that go through something else than values in an order.
NO_SEQUENCES = (str, bytes, bytearray, memoryview, Set, Mapping)
TWO = 2
EIGHT = 8
WHAT_WORKS = (
    "Give an array of rows x columns, a DataFrame, a list of rows (lists, or records by name), or, for a model "
    "that takes texts, a text or a list of texts."
)


class _Unsent(Exception):
    """A value that JSON cannot carry to a column; the text says what came."""


def body_of(rows: Any, beside: Mapping[str, Any], arrays: bool = True) -> tuple[Body, str]:
    """Rows as a body with its type: arrays of numbers as .npy if they may be, all else in JSON.

    Args:
        rows: an array (rows x columns), a DataFrame of any library, a sparse matrix, a list or an iterator of rows
            (lists, records, texts), one record, a dict of columns, one text, or a column of texts.
        beside: what is said beside them, if they go as JSON.
        arrays: whether they may go as .npy.

    Raises:
        ValueError: they are something else; the text says what came and what would work.
    """
    rows = rows.toarray() if hasattr(rows, "toarray") else rows  # a sparse matrix
    form = _form(rows)
    if isinstance(form, np.ndarray):
        if arrays:
            return _array_body(form), NPY
        form = {INSTANCES: _listed(form.tolist())}
    return json.dumps(form | dict(beside), allow_nan=False).encode(), JSON


def _form(rows: Any) -> Any:
    """The key of a body with its value, or a matrix of numbers."""
    if isinstance(rows, str):
        return {INSTANCES: [rows]}
    if isinstance(rows, Mapping):
        return _of_mapping(rows)
    if _is_series(rows):
        return {INSTANCES: _texts(rows.to_list(), rows)}
    if not isinstance(rows, np.ndarray):
        frame = frame_of(rows)
        if frame is not None:
            return _of_frame(frame.names, frame.rows)
        if hasattr(type(rows), "to_pylist"):  # a column of Arrow
            return {INSTANCES: _texts(rows.to_pylist(), rows)}
        if not hasattr(type(rows), "__array__"):
            return {INSTANCES: _listed(_sequence(rows))}
        rows = _as_array(rows)
    return _of_array(rows)


def _is_series(rows: Any) -> bool:
    return hasattr(type(rows), "to_list") and hasattr(type(rows), "dtype")


def _as_array(rows: Any) -> Any:
    """The array of what says that it is one, such as a tensor. Raises ValueError."""
    try:
        return np.asarray(rows)
    except Exception as error:
        raise ValueError(f"{_called(rows)} does not become an array: {error}") from error


def _of_array(rows: Any) -> Any:
    if rows.dtype.names is not None and rows.ndim == 1:
        return _of_frame(list(rows.dtype.names), rows)
    if rows.ndim == 1:
        texts = rows.dtype.kind in "UOS"
        return {INSTANCES: _listed(rows.tolist()) if texts else _texts(rows.tolist(), rows)}
    if rows.ndim != TWO or rows.dtype.names is not None:
        raise ValueError(_misshapen(rows))
    if rows.dtype.kind not in "iufb":
        return {INSTANCES: _listed(rows)}
    if np.ma.isMaskedArray(rows):
        rows = np.ma.filled(rows.astype(np.float64), np.nan)
    return rows.astype(np.float64) if rows.dtype.itemsize > EIGHT else rows


def _misshapen(rows: Any) -> str:
    if rows.ndim == 0:
        return f"One value came, and not rows and columns. {WHAT_WORKS}"
    return f"The array must have rows and columns, and it has {rows.ndim} dimensions. {WHAT_WORKS}"


def _array_body(rows: Any) -> tuple[bytes, memoryview]:
    """A .npy file: its header, and the numbers where they are."""
    rows = np.ascontiguousarray(rows)
    header = io.BytesIO()
    npy.write_array_header_1_0(header, npy.header_data_from_array_1_0(rows))
    return header.getvalue(), rows.reshape(-1).view(np.uint8).data


def _of_frame(names: list[Any], rows: Iterable[Any]) -> dict[str, Any]:
    """Rows by name; by position where no name is a text, which is how scikit-learn takes such a frame."""
    texts = [isinstance(name, str) for name in names]
    if names and not any(texts):
        return {INSTANCES: _listed(map(list, rows))}
    if not all(texts):
        raise ValueError("Some names of columns are texts and others are not. Make all of them texts, or none.")
    data = [
        [_at(row, name, value) for name, value in zip(names, values, strict=True)]
        for row, values in enumerate(rows)
    ]
    return {"dataframe_split": {"columns": names, "data": data}}


def _of_mapping(given: Mapping[Any, Any]) -> dict[str, Any]:
    """One record, or columns by name."""
    if not given or not any(map(_is_column, given.values())):
        return {INSTANCES: [_record(0, given.items())]}
    if not all(map(_is_column, given.values())):
        odd = next(name for name, value in given.items() if not _is_column(value))
        raise ValueError(
            f"The dict has lists, but one value for '{odd}'. Give a list for each column, or one value for each."
        )
    columns = {str(name): _sequence(values) for name, values in given.items()}
    return {
        "inputs": {
            name: [_at(row, name, value) for row, value in enumerate(values)] for name, values in columns.items()
        }
    }


def _is_column(value: Any) -> bool:
    return not isinstance(value, (str, bytes, np.generic)) and getattr(value, "ndim", 1) > 0 and _iterates(value)


def _iterates(value: Any) -> bool:
    return hasattr(type(value), "__iter__") or hasattr(type(value), "__array__")


def _sequence(rows: Any) -> list[Any]:
    """The values of something that has an order. Raises ValueError."""
    if isinstance(rows, NO_SEQUENCES) or not _iterates(rows):
        raise ValueError(f"{_called(rows)} is not understood as rows. {WHAT_WORKS}")
    return list(rows.to_list() if _is_series(rows) else rows)


def _texts(values: list[Any], given: Any) -> list[Any]:
    """The texts of a column. Raises ValueError: of anything else it may be one row or one column."""
    odd = next((row for row, value in enumerate(values) if not isinstance(value, str)), None)
    if odd is None:
        return values
    raise ValueError(
        f"There must be rows and columns. {_called(given)} of one dimension came, with a value of the type "
        f"{type(values[odd]).__name__} at {odd}: it may be one row, or one column of many. An array's "
        "reshape(1, -1) is one row, and its reshape(-1, 1) one column; to_frame() makes a column of a Series, "
        "to_frame().T a row."
    )


def _listed(rows: Iterable[Any]) -> list[Any]:
    return [_row(index, row) for index, row in enumerate(rows)]


def _row(index: int, row: Any) -> Any:
    """A text as it is, a record by name, anything else that has an order by position. Raises ValueError."""
    if isinstance(row, str):
        return str(row)
    named = _names_in(row)
    if named is not None:
        return _record(index, zip(named, _sequence(row), strict=True))
    if isinstance(row, Mapping):
        return _record(index, row.items())
    if isinstance(row, NO_SEQUENCES) or getattr(row, "ndim", 1) != 1 or not _iterates(row):
        raise ValueError(
            f"Row {index} is of the type {type(row).__name__}, and not a list of values, a record or a text. "
            "One row alone is a list in a list: [[…]]."
        )
    return [_at(index, column, value) for column, value in enumerate(_sequence(row))]


def _names_in(row: Any) -> list[str] | None:
    """The names of the values in a named tuple, a record of an array, or a Series that is a row."""
    names = getattr(row, "_fields", None)
    if names is None and isinstance(row, np.void):
        names = row.dtype.names
    if names is None and _is_series(row):
        names = list(getattr(row, "index", ()))
    return list(names) if names and all(isinstance(name, str) for name in names) else None


def _record(index: int, items: Iterable[tuple[Any, Any]]) -> dict[str, Any]:
    return {str(name): _at(index, name, value) for name, value in items}


def _at(row: int, column: Any, value: Any) -> Any:
    """A value as JSON has it. Raises ValueError, naming its place."""
    if type(value) in PLAIN:
        return value
    try:
        return _plain(value)
    except _Unsent as error:
        where = f"column {column}" if isinstance(column, int) else f"column '{column}'"
        raise ValueError(f"Row {row}, {where}: {error}") from None


def _plain(value: Any) -> Any:
    """A value as JSON has it; None for what is missing. Raises _Unsent."""
    if isinstance(value, np.datetime64):
        return _time(value.astype("datetime64[us]").item())  # finer ones would become integers
    if value is np.ma.masked or type(value).__name__ == "NAType":
        return None
    if isinstance(value, np.generic | np.ndarray) or hasattr(type(value), "__array__"):
        value = _item(value)
    if isinstance(value, float | Decimal):
        return _number(float(value))
    if isinstance(value, date):
        return _time(value)
    if isinstance(value, str | int | None):  # also members of enumerations
        return value
    raise _Unsent(_no_cell(value))


def _item(value: Any) -> Any:
    """The Python value of a number of numpy or of a tensor without dimensions."""
    array = np.asarray(value)
    if array.ndim or array.dtype.kind not in "iufbUO":
        raise _Unsent(_no_cell(value))
    return float(array) if array.dtype.kind == "f" else array.item()


def _number(value: float) -> float | None:
    if value != value:  # noqa: PLR0124 - NaN
        return None
    if value in (float("inf"), float("-inf")):
        raise _Unsent("an infinite number cannot be sent. Give a finite one, or a missing value.")
    return value


def _time(value: Any) -> str | None:
    if not isinstance(value, date | None):
        raise _Unsent("a time beyond the year 9999 cannot be sent.")
    return value.isoformat() if value is not None and value == value else None  # noqa: PLR0124 - NaT


def _called(value: Any) -> str:
    """What a value is called in a message: by its type."""
    return f"Something of the type {type(value).__name__}"


def _no_cell(value: Any) -> str:
    kind = type(value).__name__
    return f"a value of the type {kind} cannot be sent. Give a number, a text, true or false, a date or a time."
