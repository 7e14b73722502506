"""Missing numbers are filled in double precision; the operator that skl2onnx takes has single precision only."""

from typing import Any

import numpy as np
from skl2onnx.common.data_types import DoubleTensorType

from model_store.acceleration.operators import chosen, constant, double, give, op
from model_store.acceleration.report import Unconvertible


def convert_imputer(scope: Any, operator: Any, container: Any) -> None:
    """What skl2onnx calls for a SimpleImputer."""
    imputer = operator.raw_operator
    statistics = np.asarray(imputer.statistics_)
    if statistics.dtype.kind != "f":
        raise Unconvertible("its imputer fills texts")
    rows = double(scope, container, operator.inputs[0].full_name)
    given = isinstance(operator.inputs[0].type, DoubleTensorType)
    sought = imputer.missing_values if given else _single(imputer.missing_values)
    gaps = _gaps(scope, container, rows, sought, len(statistics))
    kept = np.flatnonzero(~np.isnan(statistics))  # a column in which all was missing is left out
    filled = op(scope, container, "Where", [gaps, constant(scope, container, _filling(statistics)), rows])
    if len(kept) < len(statistics):
        filled = chosen(scope, container, filled, kept.tolist())
    if imputer.indicator_ is not None:
        shown = chosen(scope, container, double(scope, container, gaps), imputer.indicator_.features_.tolist())
        filled = op(scope, container, "Concat", [filled, shown], axis=1)
    give(operator, container, filled, 0)


def _single(missing: Any) -> Any:
    """What a number becomes in rows of single precision."""
    return float(np.float32(missing)) if isinstance(missing, int | float) else missing


def _gaps(scope: Any, container: Any, rows: str, missing: Any, width: int) -> str:
    """The name of which values are missing."""
    if isinstance(missing, float) and np.isnan(missing):
        return op(scope, container, "IsNaN", [rows])
    if not isinstance(missing, int | float):
        raise Unconvertible("its imputer looks for something else than numbers")
    return op(scope, container, "Equal", [rows, constant(scope, container, np.full((1, width), float(missing)))])


def _filling(statistics: Any) -> Any:
    return np.where(np.isnan(statistics), 0.0, statistics)[None, :]
