"""Rows as the estimator wants them: a float matrix, an object array, a list of texts or a DataFrame."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from model_store.schema import Column, Schema

#: Dates and times as they travel: microseconds, without a time zone.
TIMES = "datetime64[us]"
DTYPES = {"number": np.float64, "integer": np.int64, "boolean": np.bool_}


def as_input(schema: Schema, rows: Sequence[Sequence[Any]]) -> Any:
    """Rows of Python values in the shape that the estimator's methods take.

    Args:
        schema: of the estimator.
        rows: one sequence of values per row, in the order of the columns; None is a missing value.
    """
    columns = [list(values) for values in zip(*rows, strict=True)]
    return assemble(
        schema,
        [_array(column, values) for column, values in zip(schema.inputs, columns, strict=True)],
    )


def assemble(schema: Schema, arrays: Sequence[np.ndarray[Any, Any]]) -> Any:
    """One array per column, in the shape that the estimator's methods take."""
    if schema.text:
        return arrays[0].tolist()
    if schema.frame:
        return _frame(schema.column_names, arrays)
    if all(array.dtype.kind in "if" for array in arrays):
        return np.column_stack(arrays)
    return _objects(arrays)


def _frame(names: Sequence[str], arrays: Sequence[np.ndarray[Any, Any]]) -> Any:
    import pandas as pd

    # With its dtype said, pandas leaves None alone, which encoders tell from NaN.
    columns = {name: pd.Series(array, dtype=array.dtype) for name, array in zip(names, arrays, strict=True)}
    return pd.DataFrame(columns, columns=list(names))


def _objects(arrays: Sequence[np.ndarray[Any, Any]]) -> np.ndarray[Any, Any]:
    table = np.empty((len(arrays[0]), len(arrays)), dtype=object)
    for index, array in enumerate(arrays):
        table[:, index] = array
    return table


def _array(column: Column, values: list[Any]) -> np.ndarray[Any, Any]:
    if column.type in DTYPES and None not in values:
        return np.array(values, dtype=DTYPES[column.type])
    if column.type in ("number", "integer"):
        return np.array([np.nan if value is None else value for value in values], dtype=np.float64)
    if column.type == "datetime":
        return np.array([value or "NaT" for value in values], dtype=TIMES)
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array
