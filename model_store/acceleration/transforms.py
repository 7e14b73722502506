"""Transformers that skl2onnx has in single precision only: gaps are filled, and rows are normalised."""

from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import Normalizer

from model_store.acceleration.operators import chosen, constant, double, give, number, op, total
from model_store.acceleration.report import Unconvertible

#: A shorter row is not normalised, as in `sklearn.preprocessing`.
SHORTEST = 10 * float(np.finfo(np.float64).eps)


def converters() -> dict[type, Callable[[Any, Any, Any], None]]:
    """Estimator's type -> what skl2onnx calls to convert it."""
    return {SimpleImputer: _convert_imputer, Normalizer: _convert_normalizer}


def _convert_imputer(scope: Any, operator: Any, container: Any) -> None:
    imputer = operator.raw_operator
    statistics = np.asarray(imputer.statistics_)
    if statistics.dtype.kind != "f":
        raise Unconvertible("its imputer fills texts")
    rows = operator.inputs[0].full_name
    gaps = _gaps(scope, container, rows, imputer.missing_values, len(statistics))
    kept = np.flatnonzero(~np.isnan(statistics))  # a column in which all was missing is left out
    filled = op(scope, container, "Where", [gaps, constant(scope, container, _filling(statistics)), rows])
    if len(kept) < len(statistics):
        filled = chosen(scope, container, filled, kept.tolist())
    if imputer.indicator_ is not None:
        shown = chosen(scope, container, double(scope, container, gaps), imputer.indicator_.features_.tolist())
        filled = op(scope, container, "Concat", [filled, shown], axis=1)
    give(operator, container, filled, 0)


def _gaps(scope: Any, container: Any, rows: str, missing: Any, width: int) -> str:
    """The name of which values are missing."""
    if isinstance(missing, float) and np.isnan(missing):
        return op(scope, container, "IsNaN", [rows])
    if not isinstance(missing, int | float):
        raise Unconvertible("its imputer looks for something else than numbers")
    return op(scope, container, "Equal", [rows, constant(scope, container, np.full((1, width), float(missing)))])


def _filling(statistics: Any) -> Any:
    return np.where(np.isnan(statistics), 0.0, statistics)[None, :]


def _convert_normalizer(scope: Any, operator: Any, container: Any) -> None:
    """Rows in parts of their length."""
    norm, rows, width = operator.raw_operator.norm, operator.inputs[0].full_name, operator.inputs[0].type.shape[1]
    if norm == "l2":
        squares = op(scope, container, "Mul", [rows, rows])
        length = op(scope, container, "Sqrt", [total(scope, container, squares, width)])
    elif norm == "l1":
        length = total(scope, container, op(scope, container, "Abs", [rows]), width)
    else:
        sizes = op(scope, container, "Abs", [rows])
        length = chosen(scope, container, sizes, [0])
        for column in range(1, width):
            length = op(scope, container, "Max", [length, chosen(scope, container, sizes, [column])])
    short = op(scope, container, "Less", [length, number(scope, container, SHORTEST)])
    length = op(scope, container, "Where", [short, number(scope, container, 1.0), length])
    give(operator, container, op(scope, container, "Div", [rows, length]), 0)
