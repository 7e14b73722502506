"""Tables and results in memory."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from wsgi_service.errors import ResultTooLarge

CellKind = Literal["f8", "i8", "bool", "time", "text"]
#: The dtype of each kind but text.
NUMPY: dict[str, Any] = {"f8": np.float64, "i8": np.int64, "bool": np.bool_, "time": "datetime64[us]"}

#: Values in one answer; a transformer can make a row a million columns wide.
MAX_VALUES = 10_000_000
#: Of a text that take about as long to write as a number.
CHARACTERS = 8
#: Bytes that a Parquet or Arrow body may take when it is taken apart, and those of a number and of a text.
TAKEN_APART, NUMBER, TEXT = 160 << 20, 8, 72


@dataclass
class Cells:
    """One column: values of one kind, and which of them are there (None: all of them).

    `values` is an array for f8, i8, bool and time, and a list of str for text; what is missing holds 0, NaT or ''.
    """

    kind: CellKind
    values: NDArray[Any] | list[str]
    valid: NDArray[np.bool_] | None = None

    def at(self, rows: NDArray[np.int64]) -> "Cells":
        """These rows of the column."""
        values = [self.values[row] for row in rows] if isinstance(self.values, list) else self.values[rows]
        return Cells(self.kind, values, None if self.valid is None else self.valid[rows])


@dataclass
class Table:
    """Rows to predict: either one float64 matrix (rows x columns, C order), or one `Cells` per column."""

    rows: int
    matrix: NDArray[np.float64] | None = None
    columns: list[Cells] = field(default_factory=list)

    def at(self, rows: NDArray[np.int64]) -> "Table":
        """A table of these rows."""
        matrix = None if self.matrix is None else self.matrix[rows]
        return Table(len(rows), matrix, [cells.at(rows) for cells in self.columns])


def merged(parts: Sequence[tuple[NDArray[np.int64], Any]], rows: int) -> Any:
    """One result of so many rows, from results of some of them each, with the places of these."""
    arrays = [np.asarray(result) for _, result in parts]
    kind = np.result_type(*arrays) if all(array.dtype.kind in "biuf" for array in arrays) else np.dtype(object)
    found = np.empty((rows, *arrays[0].shape[1:]), dtype=kind)
    for (places, _), array in zip(parts, arrays, strict=True):
        found[places] = array
    return found


def check_entries(results: Sequence[NDArray[Any]], rows: int) -> None:
    """Look at the results of a program.

    Raises:
        ResultTooLarge: like `encode_result`.
        ValueError: one is not a number, a truth or a text, one entry for each row.
    """
    for result in results:
        kind = result.dtype.kind
        if kind in "biuf" and result.ndim and result.shape[0] == rows and result.size <= MAX_VALUES:
            continue  # as nearly all of them are
        check_shape([result], rows)
        if kind not in "biufU" and not all(isinstance(one, str) for one in result.ravel().tolist()):
            raise ValueError("the result is not made of numbers or texts")


def check_shape(arrays: list[Any], rows: int | None) -> None:
    """Raises ValueError unless each has one entry for each row, or ResultTooLarge."""
    if any(array.ndim < 1 or (rows is not None and array.shape[0] != rows) for array in arrays):
        raise ValueError("the result has not one entry for each row")
    values = sum(math.prod(array.shape) for array in arrays)
    if values > MAX_VALUES:
        raise ResultTooLarge(
            f"The answer would hold {values} values, and at most {MAX_VALUES} are sent at once. Send fewer rows."
        )


def values_in(results: Sequence[Any]) -> int:
    """How many values there are in the results of methods; a long text counts as several."""
    return sum(_values_in(result) for result in results)


def _values_in(result: Any) -> int:
    if isinstance(result, np.ndarray):
        return result.size
    if result and isinstance(result[0], (list, np.ndarray)):
        return values_in(result)
    return len(result) + sum(len(value) for value in result if isinstance(value, str)) // CHARACTERS
